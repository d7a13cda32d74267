"""
arq: a worker with 64 jobs at once; it asks twice a second, as it does by default.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker
from running import running

AT_ONCE = 64
_handle: Callable[[int], None]
_pool: ArqRedis


async def deliver(_: Any, number: int, chat_id: str, text: str) -> None:
    """
    Do nothing.
    """
    _handle(number)


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    """
    Connect.
    """
    global _pool
    url = os.environ["PEER_REDIS_URL"]
    path = url.removeprefix("unix://") if url.startswith("unix:") else None
    _pool = await create_pool(RedisSettings(unix_socket_path=path) if path else RedisSettings.from_dsn(url))
    yield
    await _pool.aclose()


async def send(number: int) -> None:
    """
    Hand in a job.
    """
    await _pool.enqueue_job("deliver", number, f"chat-{number % 500}", "Yes.")


@asynccontextmanager
async def working(handler: Callable[[int], None]) -> AsyncIterator[None]:
    """
    Run the worker.
    """
    global _handle
    _handle = handler
    worker = Worker([deliver], redis_pool=_pool, max_jobs=AT_ONCE, handle_signals=False, log_results=False)
    async with running(worker.async_run()):
        yield
