"""
Events to n8n (design section 7).

`webhook` reads what Avito sent, `filters` says which messages n8n wants, `enrich` and `voice` look up what the webhook
lacks, `normalise` makes n8n's event, `deliver` posts it, `decide` says what the answer means, `handler` puts these
together for one account, `app` for all of them.
"""
