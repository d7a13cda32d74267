"""
SAQ: its Redis queue and a worker with 64 jobs at once.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from running import running
from saq import Worker
from saq.queue.redis import RedisQueue

AT_ONCE = 64
# Its own `from_url` does not know unix sockets.
queue = RedisQueue(Redis.from_url(os.environ["PEER_REDIS_URL"]))
_handle: Callable[[int], None]


async def deliver(_: Any, *, number: int, chat_id: str, text: str) -> None:
    """
    Do nothing.
    """
    _handle(number)


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    """
    Connect.
    """
    await queue.connect()
    yield
    await queue.disconnect()


async def send(number: int) -> None:
    """
    Hand in a job.
    """
    await queue.enqueue("deliver", number=number, chat_id=f"chat-{number % 500}", text="Yes.")


@asynccontextmanager
async def working(handler: Callable[[int], None]) -> AsyncIterator[None]:
    """
    Run the worker.
    """
    global _handle
    _handle = handler
    worker: Any = Worker(queue, functions=[deliver], concurrency=AT_ONCE)
    async with running(worker.start()):
        yield
