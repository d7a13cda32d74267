"""
Holding by hand: nothing of a direction goes out until an operator lets it go on.
"""

from __future__ import annotations

import asyncio
import time

from common.queue.connection import connect
from common.queue.entry import Entry
from common.queue.gate import Limits, Permit
from common.queue.hold import Holds
from common.queue.outcomes import Done, Outcome
from common.settings import Settings
from tests.harness import USER_ID, Queue, Recorder, eventually


def holds_of(queue: Queue) -> Holds:
    """
    Return what an operator has in hand.
    """
    return Holds(queue.connections, queue.settings.key_prefix)


async def test_what_is_held_stays_and_goes_on_within_two_seconds(queue: Queue) -> None:
    """
    Held: two workers take nothing, in whatever state they were. Let go: all goes out, the first within 2 s.
    """
    holds, recorder = holds_of(queue), Recorder()
    other = Recorder()
    async with queue.running(recorder) as one, queue.running(other) as two:
        await queue.send("before", "c0")
        await eventually(lambda: len(recorder.seen) + len(other.seen) == 1)
        assert await holds.hold(USER_ID, "commands", by="test", why="a look")
        held_s = time.monotonic()
        for n in range(30):
            await queue.send(f"m{n}", f"c{n % 10}")
        # Both have asked again since.
        consumers = [*one.consumers, *two.consumers]
        await eventually(lambda: all(consumer.progress_s > held_s + 2.0 for consumer in consumers))
        assert 1 == len(recorder.seen) + len(other.seen)
        assert await queue.left() == 30

        assert await holds.resume(USER_ID, "commands")
        resumed_s = time.monotonic()
        await eventually(lambda: len(recorder.seen) + len(other.seen) > 1)
        first_s = time.monotonic() - resumed_s
        await eventually(queue.empty)

    assert first_s < 2.0
    assert sorted(["before", *(f"m{n}" for n in range(30))]) == sorted(recorder.ids() + other.ids())


async def test_what_is_under_way_goes_on_and_so_do_reads(queue: Queue) -> None:
    """
    A request that has begun is settled, and who has no queue entry gets a permit.
    """
    begun, finish = asyncio.Event(), asyncio.Event()

    async def decide(_entry: Entry, permit: Permit) -> Outcome:
        await permit.token()
        begun.set()
        await finish.wait()
        await permit.token()
        permit.ended()
        return Done("sent")

    recorder = Recorder(decide)
    async with queue.running(recorder):
        await queue.send("m1")
        await asyncio.wait_for(begun.wait(), 10)
        await holds_of(queue).hold(USER_ID, "commands", by="test")
        async with await queue.gate().acquire(wait_s=0):
            pass
        finish.set()
        await eventually(queue.empty)
        record = await queue.records.command(USER_ID, "m1")

    assert record is not None
    assert "sent" == record.status


async def test_a_hold_is_told_and_outlasts_who_made_it(queue: Queue, redis_url: str, settings: Settings) -> None:
    """
    Who, why and since when can be read by anybody; once more keeps the beginning; each direction has its own.
    """
    del settings
    holds = holds_of(queue)
    assert {} == await holds.of(USER_ID)
    assert await holds.hold(USER_ID, "commands", by="Анна", why="prices are wrong")
    first = (await holds.of(USER_ID))["commands"]
    assert not await holds.hold(USER_ID, "commands", by="Олег", why="x" * 500)
    connections = connect(redis_url)
    found = await Holds(connections, queue.settings.key_prefix).of(USER_ID)
    await connections.aclose()

    assert ("Анна", "prices are wrong") == (first.by, first.why)
    assert abs(first.since_ms - time.time() * 1000) < 60_000
    assert ("Олег", "x" * 200, first.since_ms) == (
        found["commands"].by,
        found["commands"].why,
        found["commands"].since_ms,
    )
    assert "events" not in found
    assert await holds.resume(USER_ID, "commands")
    assert not await holds.resume(USER_ID, "commands")
    assert {} == await holds.of(USER_ID)


async def test_a_pause_of_the_gate_and_a_hold_do_not_mix(queue: Queue) -> None:
    """
    What Avito asked for goes on counting while an operator holds, and is not ended by letting go.
    """
    limits = Limits(requests=100, window_s=60.0, connections=5, timeout_s=1.0)
    gate, holds, recorder = queue.gate(limits), holds_of(queue), Recorder()
    paused_s = time.monotonic()
    await gate.pause(4.0, "429")
    await holds.hold(USER_ID, "commands", by="test")
    await queue.send("m1")
    async with queue.running(recorder, limits):
        await holds.resume(USER_ID, "commands")
        usage = await gate.usage()
        await eventually(queue.empty)
        gone_s = time.monotonic() - paused_s

    assert usage.paused_ms > 0
    assert "429" == usage.reason
    assert gone_s >= 3.9
