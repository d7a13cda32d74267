"""
Waking: a hint that is never missed for long, and a stop that does not wait for the block to end.
"""

from __future__ import annotations

import asyncio
import time

from common.queue.connection import TIMEOUT_S
from common.queue.entry import Entry
from common.queue.gate import Permit
from common.queue.outcomes import Done, Outcome
from common.queue.waker import Waker
from tests.harness import Queue, Recorder, eventually


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


async def test_who_is_woken_is_read_for_no_more(queue: Queue) -> None:
    """
    An entry in one of a watcher's streams ends the watch of all of them, until he watches anew; others go on.
    """
    waker = Waker(queue.connections)
    task = asyncio.create_task(waker.run())
    calls: list[str] = []
    woken, other = asyncio.Event(), asyncio.Event()

    def wake() -> None:
        calls.append("woken")
        woken.set()

    waker.watch({queue.keys.events.stream: "0-0"}, other.set)
    waker.watch({queue.keys.commands.stream: "0-0", queue.keys.bulk.stream: "0-0"}, wake)
    await queue.send("m1")
    await asyncio.wait_for(woken.wait(), 3)
    await queue.send("m2", priority="bulk")
    await queue.connections.commands.xadd(queue.keys.events.stream, {"kind": "text"})
    await asyncio.wait_for(other.wait(), 3)
    assert calls == ["woken"]

    woken.clear()
    waker.watch({queue.keys.bulk.stream: "0-0"}, wake)
    await asyncio.wait_for(woken.wait(), 3)
    waker.stop()
    await asyncio.wait_for(task, 3)


async def test_who_has_settled_the_last_message_waits_for_a_new_one(queue: Queue) -> None:
    """
    After the last message `take` is not asked again, and the next one is handled without waiting for the timer.
    """
    handled_s: list[float] = []

    def decide(_entry: Entry, _permit: Permit) -> Outcome:
        handled_s.append(time.monotonic())
        return Done("sent")

    recorder = Recorder(decide)
    async with queue.running(recorder) as role:
        (consumer,) = role.consumers
        for n in range(1, 4):
            await queue.send(f"m{n}")
            await recorder.count(n, timeout_s=3)
            await eventually(lambda: not consumer.running and consumer.held == 0)
            asked_s = consumer.progress_s

            assert asked_s < handled_s[-1]


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
