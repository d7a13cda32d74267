"""
The plain loop that a forwarder may be: `python forward.py httpx|aiohttp URL COUNT`, 64 in flight, no queue.

Bodies come as JSON lines on standard input, go round and round, and each is read and written as JSON. Prints the p50
and p99 of a request in ms.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

AT_ONCE = 64

Post = Callable[[str, object], Awaitable[int]]


async def loop(post: Post, url: str, count: int, bodies: list[str]) -> list[float]:
    """
    Post them all; return how long each took.
    """
    numbers = iter(range(count))
    took_s: list[float] = []

    async def work() -> None:
        for number in numbers:
            body = json.loads(bodies[number % len(bodies)])
            began_s = time.perf_counter()
            status = await post(url, body)
            took_s.append(time.perf_counter() - began_s)
            if status != 200:
                raise RuntimeError(f"answered {status}")

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return took_s


async def with_httpx(url: str, count: int, bodies: list[str]) -> list[float]:
    """
    Use one client for all, as httpx recommends.
    """
    import httpx

    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=AT_ONCE), timeout=30.0) as client:

        async def post(to: str, body: object) -> int:
            return (await client.post(to, json=body)).status_code

        return await loop(post, url, count, bodies)


async def with_aiohttp(url: str, count: int, bodies: list[str]) -> list[float]:
    """
    Use one session for all, as aiohttp recommends.
    """
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

        async def post(to: str, body: object) -> int:
            async with session.post(to, json=body) as response:
                await response.read()
                return response.status

        return await loop(post, url, count, bodies)


if __name__ == "__main__":
    import uvloop

    name, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    lines = sys.stdin.read().splitlines()
    took_s = sorted(uvloop.run((with_httpx if name == "httpx" else with_aiohttp)(url, count, lines)))
    print(json.dumps([took_s[len(took_s) // 2] * 1000, took_s[int(len(took_s) * 0.99)] * 1000]))
