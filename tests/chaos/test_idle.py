"""
What a gateway costs Redis while nothing happens.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from common.queue.connection import Connections, connect
from sandbox import Sandbox
from tests import servers
from tests.chaos.table import Report
from tests.fleet import fleet
from tests.harness import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

MOST_A_MINUTE = 250
# Sent by clients alone; everything else is called inside of scripts.
SENT = ("evalsha", "xread", "client|unblock")


async def calls(connections: Connections) -> dict[str, int]:
    """
    Return how often Redis has run each command, those inside of scripts among them.
    """
    told = await connections.commands.info("commandstats")
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in told.items() if name != "cmdstat_info"}


async def test_an_idle_gateway_asks_little(sandbox: Sandbox, tmp_path: Path, report: Report) -> None:
    """
    Three processes, one for each role: at most 250 commands a minute together, with those that scripts call.
    """
    with servers.embedded() as server:
        connections = connect(server.connection_url, timeout_s=10.0)
        async with fleet(connections, server.connection_url, sandbox, tmp_path) as running:
            await running.start_all(("ingress",), ("dispatcher",), ("forwarder",))
            # The look for missed webhooks, once after the start, is no idling.
            await eventually(lambda: bool(sandbox.journal.list("avito")) and not sandbox.journal.open_now["avito"])
            await asyncio.sleep(10)
            before = await calls(connections)
            await asyncio.sleep(60)
            after = await calls(connections)
        await connections.aclose()
    ran = {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}
    total, sent = sum(ran.values()), sum(ran.get(name, 0) for name in SENT)
    report.notes["idle"] = (
        f"Three idle processes, one for each role: {sent} commands a minute, {total} with those that scripts call."
    )
    assert total <= MOST_A_MINUTE, ran
