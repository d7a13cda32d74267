"""
Waking: a hint that is never missed for long, and a stop that does not wait for the block to end.
"""

from __future__ import annotations

import asyncio

from common.queue.connection import TIMEOUT_S
from common.queue.waker import Waker
from tests.harness import Queue


async def test_a_new_entry_wakes_who_watches_its_stream(queue: Queue) -> None:
    """
    The watcher of a stream is called once something lies above its last id, also when it began to watch later.
    """
    waker = Waker(queue.connections)
    task = asyncio.create_task(waker.run())
    first, second = asyncio.Event(), asyncio.Event()
    waker.watch({queue.keys.bulk.stream: "0-0"}, second.set)
    waker.watch({queue.keys.commands.stream: "0-0"}, first.set)
    await queue.send("m1")
    await asyncio.wait_for(first.wait(), 3)
    await queue.send("m2", priority="bulk")
    await asyncio.wait_for(second.wait(), 3)
    waker.stop()
    await asyncio.wait_for(task, 3)


async def test_a_stop_while_the_read_is_being_prepared_ends_at_once(queue: Queue) -> None:
    """
    Stopped before its first read began, it does not block for one.
    """
    waker = Waker(queue.connections)
    waker.watch({queue.keys.commands.stream: "0-0"}, lambda: None)
    task = asyncio.create_task(waker.run())
    await asyncio.sleep(0)
    waker.stop()
    await asyncio.wait_for(task, 3)


async def test_a_blocking_read_may_last_longer_than_a_command(queue: Queue) -> None:
    """
    All streams of an account share it, on whatever server.
    """
    streams = (queue.keys.commands.stream, queue.keys.bulk.stream, queue.keys.events.stream)
    block_ms = round(TIMEOUT_S * 1000) + 200

    assert not await queue.connections.blocking.xread(dict.fromkeys(streams, "0"), block=block_ms)
