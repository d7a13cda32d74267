"""
streaq: a worker with 64 tasks at once.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from running import running
from streaq import Worker

AT_ONCE = 64
sender, worker = (Worker(os.environ["PEER_REDIS_URL"], concurrency=AT_ONCE, handle_signals=False) for _ in range(2))
_handle: Callable[[int], None]


async def deliver(number: int, chat_id: str, text: str) -> None:
    """
    Do nothing.
    """
    _handle(number)


task = sender.task(deliver)
worker.task(deliver)


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    """
    Connect.
    """
    async with sender:
        yield


async def send(number: int) -> None:
    """
    Hand in a task.
    """
    await task.enqueue(number, f"chat-{number % 500}", "Yes.")


@asynccontextmanager
async def working(handler: Callable[[int], None]) -> AsyncIterator[None]:
    """
    Run the worker.
    """
    global _handle
    _handle = handler
    async with running(worker.run_async()):
        yield
