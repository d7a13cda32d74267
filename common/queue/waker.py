"""
Waking: one blocking read over the streams of all idle consumers of a process (R3, R4).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from common import log
from common.queue.connection import BLOCK_S, Connections, meaning

_INTERRUPT_S: Final = 0.005


class Waker:
    """
    Call back whoever watches a stream when something new lies in it, once per `watch`.

    Waking is a hint: who is woken asks `take`. Faults are only logged here; a consumer also asks by its own timer.
    """

    def __init__(self, connections: Connections) -> None:
        self._commands = connections.commands
        self._blocking = connections.blocking
        self._watched: dict[str, tuple[str, Callable[[], None]]] = {}
        self._changed = asyncio.Event()
        self._reading = False
        self._asked: dict[str, str] = {}
        self._stale = False
        self._interrupt: asyncio.Task[None] | None = None
        self._client_id = 0
        self._stopped = False
        self._log = log.logger("waker")

    def watch(self, last_ids: Mapping[str, str], wake: Callable[[], None]) -> None:
        """
        Call `wake` when a stream gets an entry above its last id. A stream has one watcher.
        """
        for stream, last_id in last_ids.items():
            self._watched[stream] = (last_id, wake)
        # A read that waits for just these is left alone.
        if any(self._asked.get(stream) != last_id for stream, last_id in last_ids.items()):
            self._set_changed()

    def forget(self, streams: tuple[str, ...]) -> None:
        """
        Watch these streams no more; a read that already includes them wakes nobody.
        """
        for stream in streams:
            self._watched.pop(stream, None)

    def stop(self) -> None:
        """
        End `run` without waiting for the block to time out.
        """
        self._stopped = True
        self._set_changed()

    def _set_changed(self) -> None:
        self._changed.set()
        self._stale = True
        if self._reading and (self._interrupt is None or self._interrupt.done()):
            self._interrupt = asyncio.create_task(self._end_block(), name="waker-interrupt")

    async def _end_block(self) -> None:
        # The read may not have reached the server yet: ask until one that knows all streams is under way.
        while self._stale and self._reading:
            try:
                ended = await self._commands.client_unblock(self._client_id)
            except (RedisError, OSError):
                return
            await asyncio.sleep(0 if ended else _INTERRUPT_S)

    async def run(self) -> None:
        """
        Read until `stop`; an outage is waited out.
        """
        client: Redis | None = None
        while not self._stopped:
            if not self._watched:
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                if client is None:
                    client = self._blocking.client()
                    self._client_id = await client.client_id()
                await self._read(client)
            except (RedisError, OSError) as error:
                ended = isinstance(error, ResponseError) and str(error).startswith("UNBLOCKED")
                if client is not None:
                    await client.aclose()
                    client = None
                for _, wake in self._watched.values():
                    wake()
                if not ended:
                    self._log.warning("wake_up_read_failed", error=str(meaning(error)))
                await asyncio.sleep(1.0 if not ended else 0.1)
        if client is not None:
            await client.aclose()
        if self._interrupt is not None:
            await self._interrupt

    async def _read(self, client: Redis) -> None:
        streams = {stream: last_id for stream, (last_id, _) in self._watched.items()}
        if not streams or self._stopped:
            return
        self._reading, self._stale, self._asked = True, False, streams
        started_s = time.monotonic()
        try:
            reply = await client.xread(streams, count=1, block=round(BLOCK_S * 1000))  # type: ignore[arg-type]
        finally:
            self._reading, self._asked = False, {}
        named = [str(row[0]) for row in reply] if isinstance(reply, list) else [str(name) for name in reply or ()]
        for stream in named:
            watched = self._watched.get(stream)
            if watched is not None and watched[0] == streams[stream]:
                del self._watched[stream]
                watched[1]()
        if not named and not self._stale and time.monotonic() - started_s < _INTERRUPT_S:
            # A server that does not wait must not be asked in a tight loop.
            await asyncio.sleep(0.1)
