"""
One blocking read over the streams of one place: of a whole server, or of one slot of a cluster (R3, R4).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from redis.exceptions import MovedError, ResponseError

from common import log
from common.queue.connection import REDIS_ERRORS, Connections, Line, meaning

_INTERRUPT_S: Final = 0.005


class Reader:
    """
    Calls back whoever watches a stream when something new lies in it, once per `watch`.
    """

    def __init__(self, connections: Connections, block_s: float) -> None:
        self._connections = connections
        self._block_s = block_s
        self._watched: dict[str, tuple[str, Callable[[], None]]] = {}
        self._changed = asyncio.Event()
        # What the read under way asks for; None while none is.
        self._asked: dict[str, str] | None = None
        self._stale = False
        self._interrupt: asyncio.Task[None] | None = None
        self._line: Line | None = None
        self._client_id = 0
        self._stopped = False
        self._log = log.logger(__name__)

    def watch(self, last_ids: Mapping[str, str], wake: Callable[[], None]) -> None:
        """
        Call `wake` when a stream gets an entry above its last id. A stream has one watcher.
        """
        for stream, last_id in last_ids.items():
            self._watched[stream] = (last_id, wake)
        asked = self._asked or {}
        if any(asked.get(stream) != last_id for stream, last_id in last_ids.items()):
            self._set_changed()

    def forget(self, stream: str) -> None:
        """
        Watch a stream no more; a read that already includes it wakes nobody.
        """
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
        if self._asked is not None and (self._interrupt is None or self._interrupt.done()):
            self._interrupt = asyncio.create_task(self._end_block(), name="waker-interrupt")

    async def _end_block(self) -> None:
        # The read may not have reached the server yet: ask until one that knows all streams is under way.
        while self._stale and self._asked is not None and self._line is not None:
            try:
                ended = await self._line.unblock(self._client_id)
            except REDIS_ERRORS:
                return
            await asyncio.sleep(0 if ended else _INTERRUPT_S)

    async def run(self) -> None:
        """
        Read until `stop`; an outage is waited out.
        """
        while not self._stopped:
            if not self._watched:
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                await self._read(await self._connected())
            except REDIS_ERRORS as error:
                # It lies elsewhere now, or the read ended with its stream: that is news, and no outage.
                ended = isinstance(error, MovedError) or (
                    isinstance(error, ResponseError) and str(error).startswith("UNBLOCKED")
                )
                await self._hang_up()
                for _, wake in self._watched.values():
                    wake()
                if not ended:
                    self._log.warning("waker.failed", error=str(meaning(error)))
                await asyncio.sleep(1.0 if not ended else 0.1)
        await self._hang_up()
        if self._interrupt is not None:
            await self._interrupt

    async def _connected(self) -> Line:
        if self._line is None:
            self._line = await self._connections.line(next(iter(self._watched)), self._block_s)
            self._client_id = await self._line.client.client_id()
        return self._line

    async def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            await line.client.aclose()

    async def _read(self, line: Line) -> None:
        streams = {stream: last_id for stream, (last_id, _) in self._watched.items()}
        if not streams or self._stopped:
            return
        self._asked, self._stale = streams, False
        started_s = time.monotonic()
        try:
            reply = await line.client.xread(streams, count=1, block=round(line.block_s * 1000))  # type: ignore[arg-type]
        finally:
            self._asked = None
        named = [str(row[0]) for row in reply] if isinstance(reply, list) else [str(name) for name in reply or ()]
        for stream in named:
            watched = self._watched.get(stream)
            if watched is not None and watched[0] == streams[stream]:
                # Who is woken asks `take` and watches anew, all his streams: a read of the others alone would be in the
                # way of that, and be ended again at once.
                self._watched = {name: other for name, other in self._watched.items() if other[1] != watched[1]}
                watched[1]()
        if not named and not self._stale and time.monotonic() - started_s < _INTERRUPT_S:
            # A server that does not wait must not be asked in a tight loop.
            await asyncio.sleep(0.1)
