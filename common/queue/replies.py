"""
The shapes of Redis' replies, decoded in one place (R7). Connections decode to text, so these are texts.
"""

from __future__ import annotations

from typing import Any, cast

from redis.asyncio import Redis

from common.queue import scripts

Row = tuple[str, dict[str, str]]


async def read_hash(client: Redis, key: str) -> dict[str, str]:
    """
    Return a hash; empty when it is not there.
    """
    return cast("dict[str, str]", await client.hgetall(key))


async def redis_ms(client: Redis, key: str) -> int:
    """
    Return the time, unix ms, of the server that holds a key: scripts go by it.
    """
    return int(await scripts.CLOCK(client, [key], []))


async def read_rows(client: Redis, stream: str, first: str, last: str, *, count: int | None = None) -> list[Row]:
    """
    Return entries from `first` to `last`; newest first where `first` is `+` or the later id.
    """
    reply: Any
    if first == "+" or first.startswith("("):
        reply = await client.xrevrange(stream, first, last, count=count)
    else:
        reply = await client.xrange(stream, first, last, count=count)
    return cast("list[Row]", reply)
