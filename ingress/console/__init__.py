"""
The console at `/console`: pages for the person on call, rendered here, brought to life by htmx.

A page is a function of a `Page` (who asks, in which language, about which account) and of what was read; the pages
change nothing that the REST API could not.
"""
