"""
Stand-ins for Avito and n8n with fault switches: for the demo, the tests and the benchmarks.

Nothing of the gateway is imported here, so what the sandbox says of Avito is said independently of it.
"""

from __future__ import annotations

from sandbox.behaviour import Behaviour, Limit, Webhooks
from sandbox.chats import Account
from sandbox.faults import AvitoFault, N8nFault, WebhookFault
from sandbox.journal import Record
from sandbox.n8n import Received, Reply
from sandbox.options import Options
from sandbox.server import Sandbox

__all__ = [
    "Account",
    "AvitoFault",
    "Behaviour",
    "Limit",
    "N8nFault",
    "Options",
    "Received",
    "Record",
    "Reply",
    "Sandbox",
    "WebhookFault",
    "Webhooks",
]
