"""
A stand-in for n8n that answers at once and keeps when each message came.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

from bench.load import HOST

_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_LENGTH: Final = b"\r\ncontent-length:"


class Sink:
    """
    What came, in its order: the monotonic time and the body of each call.
    """

    def __init__(self) -> None:
        self.came: list[tuple[float, bytes]] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        """
        Return its address.
        """
        return f"http://{HOST}:{self.port}/webhook"

    async def up(self) -> None:
        """
        Listen, on the same port as before.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Call(self, self._open), HOST, self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """
        Refuse connections, and cut off those that are open.
        """
        if self._server is not None:
            self._server.close()
            for transport in list(self._open):
                transport.abort()
            self._server = None

    def take(self, body: bytes) -> None:
        """
        Note a call.
        """
        self.came.append((time.perf_counter(), body))
        self._news.set()

    async def has(self, count: int, longest_s: float) -> bool:
        """
        Wait until so many calls came; say whether they did.
        """
        try:
            async with asyncio.timeout(longest_s):
                while len(self.came) < count:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def firsts_s(self) -> dict[str, float]:
        """
        Return when each message first came, by its id; the gateway and a plain forwarder name it at different places.
        """
        firsts: dict[str, float] = {}
        for at_s, body in self.came:
            message = json.loads(body)
            own = message.get("meta")
            name = own["external_message_id"] if own else message["payload"]["value"]["id"]
            firsts.setdefault(name, at_s)
        return firsts


class _Call(asyncio.Protocol):
    """
    One connection.
    """

    def __init__(self, sink: Sink, opened: set[asyncio.Transport]) -> None:
        self._sink = sink
        self._opened = opened
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._opened.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._opened.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head = self._got.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._got[:head].lower().find(_LENGTH)
        length = int(self._got[at + len(_LENGTH) : head].split(b"\r\n", 1)[0])
        if len(self._got) - head - 4 < length:
            return
        self._sink.take(self._got[head + 4 :])
        self._got = b""
        self._transport.write(_ANSWER)


@asynccontextmanager
async def sink() -> AsyncIterator[Sink]:
    """
    Run one for as long as the block lasts.
    """
    made = Sink()
    await made.up()
    try:
        yield made
    finally:
        await made.down()
