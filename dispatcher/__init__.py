"""
The dispatcher: takes commands from the queue and carries them out at Avito.
"""
