"""
Lost webhooks, shown with the program as processes.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

from common.queue.connection import Connections
from sandbox import AvitoFault, Options, Sandbox, WebhookFault
from tests.fleet import fleet

MESSAGES, CHATS = 120, 12
FAST = {"RECONCILE_INTERVAL": "1", "RATE_LIMIT_REQUESTS": "1000", "RATE_LIMIT_WINDOW": "1"}


async def test_every_message_reaches_n8n_although_webhooks_get_lost(
    connections: Connections, redis_url: str, tmp_path: Path
) -> None:
    """
    Avito loses every third webhook and fails on one read in ten; two forwarders find all that is missing, none twice.
    """
    async with (
        Sandbox.start(Options(chats=CHATS)) as sandbox,
        fleet(connections, redis_url, sandbox, tmp_path, **FAST) as running,
    ):
        sandbox.faults.add(WebhookFault(kind="lost", probability=1 / 3))
        sandbox.faults.add(AvitoFault(kind="status", status=503, method="GET", probability=0.1))
        await asyncio.gather(running.start("ingress", "forwarder"), running.start("forwarder"))
        sandbox.avito.webhooks.subscribe(sandbox.avito.default_user_id, f"{running.url}/webhook/avito")
        written: dict[str, set[str]] = defaultdict(set)
        for number in range(MESSAGES):
            chat = list(sandbox.avito.chats)[number % CHATS]
            written[chat.id].add(sandbox.avito.receive(chat.id, str(number)).id)
        received = await sandbox.n8n.wait_for(lambda calls: len(calls) >= MESSAGES, timeout_s=60)

    delivered: dict[str, list[str]] = defaultdict(list)
    for call in received:
        delivered[call.json["external_chat_id"]].append(call.headers["webhook-id"])
    recovered = [call.json["text"] for call in received if "recovered" in call.json["meta"]]
    lost = sum(record.fault == "lost" for record in sandbox.journal.list("webhook"))
    assert written == {chat_id: set(ids) for chat_id, ids in delivered.items()}
    assert (MESSAGES, lost) == (len(received), len(recovered))
    assert lost > MESSAGES / 6
