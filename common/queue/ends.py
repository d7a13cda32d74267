"""
Waiting for the end of commands: one subscription a process, however many wait (`K:done`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Final

from redis.asyncio.client import PubSub

from common import log
from common.queue.connection import REDIS_ERRORS, Connections

_LISTEN_S: Final = 5.0
_RETRY_S: Final = 0.5


class Ends:
    """
    Hears which commands have ended, on whichever replica, while anybody listens.

    What is said while the subscription is down is not heard: whoever waits also looks for himself now and then.
    """

    def __init__(self, connections: Connections, prefix: str) -> None:
        self._connections = connections
        # A brace stands for itself in a pattern; one pattern covers all accounts.
        self._pattern = f"{prefix}:{{*}}:done"
        self._listeners: dict[str, list[asyncio.Event]] = {}
        self._subscribed = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._log = log.logger(__name__)

    @asynccontextmanager
    async def of(self, command_id: str) -> AsyncIterator[asyncio.Event]:
        """
        Give an event that is set when the command has ended; the subscription is up from the first line inside.
        """
        ended = asyncio.Event()
        self._listeners.setdefault(command_id, []).append(ended)
        if self._listening is None or self._listening.done():
            self._subscribed.clear()
            # Not in the context of the one who asks first: it serves all.
            self._listening = asyncio.create_task(self._listen(), name="ends", context=Context())
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._subscribed.wait(), _RETRY_S)
            yield ended
        finally:
            self._listeners[command_id].remove(ended)
            if not self._listeners[command_id]:
                del self._listeners[command_id]

    async def _listen(self) -> None:
        while self._listeners:
            try:
                # Any server will do: a cluster's nodes tell each other what is published.
                line = await self._connections.line(self._pattern, _LISTEN_S)
                pubsub = line.client.pubsub(ignore_subscribe_messages=True)
                try:
                    await self._hear(pubsub)
                finally:
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
                    await line.client.aclose()
            except REDIS_ERRORS as error:
                self._subscribed.clear()
                self._log.info("ends.interrupted", error=str(error))
                await asyncio.sleep(_RETRY_S)

    async def _hear(self, pubsub: PubSub) -> None:
        await pubsub.psubscribe(self._pattern)
        self._subscribed.set()
        while self._listeners:
            message = await pubsub.get_message(timeout=_LISTEN_S)
            for ended in self._listeners.get(message["data"], ()) if message else ():
                ended.set()
