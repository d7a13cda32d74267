"""
The Avito client.

`calls` are what can be asked, as values; `client` asks, with the account's gate and the shared access token; `answers`
says what came of it. `reads` is for callers that wait for the answer, `messages` reads what Avito gives.
"""
