"""
What ingress, dispatcher and forwarder share: settings, errors, log, the queue and the Avito client.
"""
