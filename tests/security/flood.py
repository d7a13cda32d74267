"""
Strangers as a program of their own: `python -m tests.security.flood PORT IDLE SLOW`.

Each holds a connection, idle or slow, and opens another soon after it was closed. Says `open` when all are there, and
how many were closed when its standard input ends.
"""

from __future__ import annotations

import asyncio
import random
import resource
import sys

KEEP_ALIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW_HEAD = b"POST /webhook/avito HTTP/1.1\r\nHost: x\r\nX-Slow: "
SLOW_BODY = b"POST /webhook/avito HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{"
IDLE = (b"", KEEP_ALIVE)
SLOW = (SLOW_HEAD, SLOW_BODY)
EACH_S = 0.5
AGAIN_WITHIN_S = 3.0
SPARE_FILES = 100


class Flood:
    """
    The strangers, and what became of them.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._expected = 0
        self._all_open = asyncio.Event()
        self._opened = 0
        self._closed = 0

    async def run(self, beginnings: list[bytes]) -> None:
        """
        Let a stranger begin with each of these, until standard input ends.
        """
        self._expected = len(beginnings)
        tasks = [asyncio.create_task(self._stranger(beginning)) for beginning in beginnings]
        await self._all_open.wait()
        print("open", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        print(self._closed)  # noqa: T201

    async def _stranger(self, beginning: bytes) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                self._opened += 1
                if self._opened >= self._expected:
                    self._all_open.set()
                try:
                    writer.write(beginning)
                    await self._hold(reader, writer, slow=beginning in SLOW)
                    self._closed += 1
                finally:
                    writer.transport.abort()
            except ConnectionError:
                self._closed += 1
            await asyncio.sleep(random.uniform(0.0, AGAIN_WITHIN_S))

    @staticmethod
    async def _hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool) -> None:
        ended = asyncio.ensure_future(reader.read())
        try:
            while not ended.done():
                await asyncio.wait([ended], timeout=EACH_S if slow else None)
                if slow:
                    writer.write(b" ")
            await ended
        finally:
            ended.cancel()


def main() -> None:
    """
    Read the arguments and begin.
    """
    port, idle, slow = map(int, sys.argv[1:])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY:
        idle = min(idle, hard - slow - SPARE_FILES)
    asyncio.run(Flood(port).run([*IDLE] * (idle // 2) + [*SLOW] * (slow // 2)))


if __name__ == "__main__":
    main()
