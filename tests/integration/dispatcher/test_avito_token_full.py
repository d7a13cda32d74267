"""
The access token while Redis is full.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from common.avito import calls
from common.avito.answers import Ok
from common.avito.client import Avito
from common.avito.token import _STORE
from common.queue.connection import Connections, connect
from common.queue.keys import AccountKeys
from common.settings import Settings
from sandbox import Sandbox
from tests import servers


@pytest.fixture(name="full")
async def _full() -> AsyncIterator[Connections]:
    with servers.embedded() as server:
        connections = connect(server.connection_url)
        yield connections
        await connections.aclose()


async def fill(connections: Connections) -> None:
    """
    Leave no memory for writes.
    """
    await connections.commands.config_set("maxmemory", "1")


async def test_the_token_is_stored_although_redis_is_full(full: Connections) -> None:
    """
    The owner's token is stored and the lock ended even when writes are refused: what sends is what empties Redis.
    """
    await full.commands.set("{a}:lock", "me")
    await fill(full)

    assert await _STORE(full.commands, ["{a}", "{a}:lock"], ["me", "token", 60_000]) == 1
    assert await full.commands.mget("{a}", "{a}:lock") == ["token", None]


async def test_a_token_is_renewed_without_the_lock(full: Connections, settings: Settings, sandbox: Sandbox) -> None:
    """
    No lock can be taken in a full Redis: each process renews for itself, once, and calls go on.
    """
    settings = settings.model_copy(update={"avito_base_url": sandbox.avito_url})
    avito, account = Avito(settings, full), settings.accounts[0]
    await fill(full)

    async def me() -> object:
        async with await avito.gate(account).acquire(wait_s=5) as permit:
            return await avito.call(account, permit, calls.me())

    found = await asyncio.gather(*(me() for _ in range(5)))
    await avito.aclose()

    assert all(isinstance(meaning, Ok) for meaning in found)
    assert len(sandbox.journal.list("avito", path="/token")) == 1
    assert await full.commands.get(AccountKeys(settings.key_prefix, account.user_id).token) is None
