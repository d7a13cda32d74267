"""
A name that leads to another server after a failover, while open connections stay with the old one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from common.errors import RoleChanged
from common.queue.connection import connect
from common.queue.gate import Limits
from common.settings import Settings
from tests import servers
from tests.chaos.proxy import Proxy
from tests.harness import Queue

LIMITS = Limits(requests=100, window_s=60.0, connections=20, timeout_s=30.0)


@pytest.fixture(name="moved")
async def _moved(settings: Settings) -> AsyncIterator[tuple[Queue, Proxy, tuple[str, int]]]:
    with servers.embedded() as old, servers.embedded() as new:
        async with Proxy.start(old.host, old.port) as proxy:
            connections, direct = connect(proxy.url), connect(old.connection_url)
            queue = Queue(connections, settings)
            await queue.send("before")
            async with await queue.gate(LIMITS).acquire(wait_s=1.0):
                pass
            await direct.commands.execute_command("REPLICAOF", new.host, new.port)  # type: ignore[no-untyped-call]
            await direct.aclose()
            yield queue, proxy, (new.host, new.port)
            await queue.intake.stop()
            await connections.aclose()


async def test_accepting_leaves_a_server_that_became_a_replica(moved: tuple[Queue, Proxy, tuple[str, int]]) -> None:
    """
    The first refusal closes the connection, so the next request reaches the new primary.
    """
    queue, proxy, new = moved
    proxy.target = new

    with pytest.raises(RoleChanged):
        await queue.send("refused")

    await queue.send("taken")


async def test_a_permit_leaves_a_server_that_became_a_replica(moved: tuple[Queue, Proxy, tuple[str, int]]) -> None:
    """
    Scripts that are called one by one do the same.
    """
    queue, proxy, new = moved
    proxy.target = new
    gate = queue.gate(LIMITS)

    with pytest.raises(RoleChanged):
        await gate.acquire(wait_s=1.0)

    async with await gate.acquire(wait_s=1.0):
        pass
