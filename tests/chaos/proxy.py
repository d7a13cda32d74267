"""
A TCP proxy, mostly between the gateway and Redis, that loses replies, is slow, or cuts connections.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CHUNK = 65536


@dataclass
class Trap:
    """
    Springs once: when a command with `mark` in it comes by, which then never reaches the server, or once the server has
    `executed` it and the reply, with `told` in it, is back, which then never reaches the client.
    """

    mark: bytes
    executed: bool
    spring: Callable[[], None]
    told: bytes = b""
    sprung: asyncio.Event = field(default_factory=asyncio.Event)

    def let_go(self) -> None:
        """
        Do what it is for.
        """
        self.spring()
        self.sprung.set()


class Proxy:
    """
    Passes bytes on, and does to them what its switches say; each may be changed at any time.

    * `lose`: chance that a chunk of replies, and all that follows on its connection, is swallowed: the command has
      taken effect, and the client waits until its timeout
    * `delay_s`: how long each chunk waits, in both directions. A command still reaches the server when its client has
      given up meanwhile, as on a slow network
    * `trap`: what springs when a certain command comes by; nothing passes any more then
    * `target`: where new connections lead; those that are open keep theirs, as behind a name that changed its address
    """

    def __init__(self, host: str, port: int, seed: int = 0) -> None:
        self.target = (host, port)
        self.lose = 0.0
        self.delay_s = 0.0
        self.lost = 0
        self.trap: Trap | None = None
        self._chance = random.Random(seed)
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def start(cls, host: str, port: int, seed: int = 0, *, listen: int = 0) -> AsyncIterator[Proxy]:
        """
        Listen on the port `listen` (0: any free one) until the block ends.
        """
        proxy = cls(host, port, seed)
        proxy._server = await asyncio.start_server(proxy._serve, "127.0.0.1", listen)
        try:
            yield proxy
        finally:
            proxy._server.close()
            # Who was let in last begins in the next turn of the loop, and a connection is closed in the one after it.
            await asyncio.sleep(0)
            proxy.cut()
            while tasks := list(proxy._tasks):
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await asyncio.sleep(0)

    @property
    def url(self) -> str:
        """
        Return the address for `REDIS_URL`.
        """
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> int:
        """
        Cut all connections; return how many there were.
        """
        cut = list(self._open)
        for writer in cut:
            writer.transport.abort()
        return len(cut)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._open.add(writer)
        try:
            with suppress(OSError, asyncio.CancelledError):
                there, back = await asyncio.open_connection(*self.target)
                try:
                    caught = asyncio.Event()
                    await asyncio.gather(self._requests(reader, back, caught), self._replies(there, writer, caught))
                finally:
                    back.transport.abort()
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    def _springs(self, *, executed: bool, chunk: bytes) -> bool:
        """
        Spring the trap where it is time; say whether it has sprung, now or before.
        """
        trap = self.trap
        if trap is None:
            return False
        if not trap.sprung.is_set() and trap.executed == executed and (trap.told if executed else trap.mark) in chunk:
            trap.let_go()
        return trap.sprung.is_set()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caught: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if self._springs(executed=False, chunk=chunk):
                    break
                if self.trap is not None and self.trap.mark in chunk:
                    caught.set()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(chunk)
                await writer.drain()
        with suppress(OSError):
            writer.write_eof()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caught: asyncio.Event) -> None:
        swallow = False
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if caught.is_set() and self._springs(executed=True, chunk=chunk):
                    break
                caught.clear()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if not swallow and self.lose and self._chance.random() < self.lose:
                    swallow = True
                    self.lost += 1
                if not swallow:
                    writer.write(chunk)
                    await writer.drain()
        writer.transport.abort()
