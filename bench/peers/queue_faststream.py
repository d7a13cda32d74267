"""
FastStream: a stream with a group, messages handled by 64 workers of its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from faststream.redis import RedisBroker, StreamSub

AT_ONCE = 64
broker = RedisBroker(os.environ["PEER_REDIS_URL"], logger=None)


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    """
    Connect, and make the group, so that it is older than what it is to read.
    """
    redis = await broker.connect()
    await redis.xgroup_create("bench", "workers", "0", mkstream=True)
    subscriber = broker.subscriber(
        stream=StreamSub("bench", group="workers", consumer="one", max_records=AT_ONCE), max_workers=AT_ONCE
    )
    subscriber(_deliver)
    yield
    await broker.stop()


_handle: Callable[[int], None]


async def _deliver(message: dict[str, object]) -> None:
    _handle(int(str(message["number"])))


async def send(number: int) -> None:
    """
    Publish.
    """
    await broker.publish({"number": number, "chat_id": f"chat-{number % 500}", "text": "Yes."}, stream="bench")


@asynccontextmanager
async def working(handler: Callable[[int], None]) -> AsyncIterator[None]:
    """
    Run the subscriber.
    """
    global _handle
    _handle = handler
    await broker.start()
    await asyncio.sleep(0)
    yield
