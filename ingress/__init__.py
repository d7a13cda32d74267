"""
The HTTP face: the REST API for n8n, Avito's webhook, health, metrics and the API's documentation.

What is accepted here is in a Redis Stream before the answer goes out (design section 6).
"""
