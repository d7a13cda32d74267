"""
taskiq-redis: its broker on a stream, which acknowledges; its receiver with 64 tasks at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from running import running
from taskiq.receiver import Receiver
from taskiq_redis import RedisStreamBroker

AT_ONCE = 64
broker = RedisStreamBroker(os.environ["PEER_REDIS_URL"], queue_name="bench", consumer_group_name="workers")
_handle: Callable[[int], None]


@broker.task(task_name="deliver")
async def deliver(number: int, chat_id: str, text: str) -> None:
    """
    Do nothing.
    """
    _handle(number)


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    """
    Connect, and make the group.
    """
    broker.is_worker_process = True
    await broker.startup()
    yield
    await broker.shutdown()


async def send(number: int) -> None:
    """
    Hand in a task.
    """
    await deliver.kiq(number, f"chat-{number % 500}", "Yes.")


@asynccontextmanager
async def working(handler: Callable[[int], None]) -> AsyncIterator[None]:
    """
    Run the receiver.
    """
    global _handle
    _handle = handler
    over = asyncio.Event()
    receiver = Receiver(broker, max_async_tasks=AT_ONCE, run_startup=False)
    async with running(receiver.listen(over)):
        yield
        over.set()
