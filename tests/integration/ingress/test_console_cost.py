"""
What the console costs while somebody looks.
"""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import suppress
from pathlib import Path

import pytest

from common.queue.connection import Connections
from sandbox import Sandbox
from tests.fleet import Fleet, fleet

LOOKS = 60
STATE_EVERY_S, HOUR_EVERY_S = 2.0, 15.0
MOST_OF_A_CORE = 0.02

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads processor times from /proc")


def spent_s(pid: int) -> float:
    """
    Return the processor time of a process so far.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def traffic(running: Fleet, sandbox: Sandbox) -> None:
    """
    Let 1 000 messages a minute go through, until it is cancelled.
    """
    chat = next(iter(sandbox.avito.chats)).id
    n = 0
    while True:
        n += 1
        await running.send(chat, f"message {n}")
        await asyncio.sleep(0.06)


async def test_the_live_page_costs_less_than_two_percent_of_a_core(
    connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """
    The ingress' processor time for one look, times the looks of an open page, with 1 000 messages a minute beside it.
    """
    settings = {"API_KEY": "k", "RATE_LIMIT_REQUESTS": "2000", "RECONCILE_INTERVAL": "0"}
    async with fleet(connections, redis_url, sandbox, tmp_path, **settings) as running:
        ingress = await running.start("ingress")
        await running.start("dispatcher")
        await running.client.post("/console/login", data={"api_key": "k", "next": "/console"})
        costs_s = {}
        flowing = asyncio.create_task(traffic(running, sandbox))
        await sandbox.avito.wait_for(lambda avito: len(avito.sent()) >= 50, timeout_s=30)
        flowing.cancel()
        with suppress(asyncio.CancelledError):
            await flowing
        # Tokens are out, the hour has its minutes: what is drawn is all there. Now only the looks cost.
        for path in ("/console/state", "/console/hour"):
            await running.client.get(path)
            before_s = spent_s(ingress.pid)
            for _ in range(LOOKS):
                answer = await running.client.get(path)
                assert 200 == answer.status_code
            costs_s[path] = (spent_s(ingress.pid) - before_s) / LOOKS
        assert re.search(r'class="a[1-4]"', (await running.client.get("/console/state")).text)

    share = costs_s["/console/state"] / STATE_EVERY_S + costs_s["/console/hour"] / HOUR_EVERY_S
    assert share < MOST_OF_A_CORE, f"{share:.2%} of a core: {costs_s}"
