"""
Lanes: per chat one entry is out at a time, in order; other chats do not wait.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict

from common.queue.entry import Entry
from common.queue.gate import Limits, Permit
from common.queue.outcomes import Done, Outcome, Retry
from tests.harness import UNLIMITED, Queue, Recorder, eventually


async def test_each_chat_is_handled_in_the_order_of_acceptance(queue: Queue) -> None:
    """
    With 20 slots and random durations every chat's entries come in order, one at a time.
    """
    out: set[str] = set()
    together: list[str] = []

    async def decide(entry: Entry, _permit: Permit) -> Outcome:
        if entry.chat_id in out:
            together.append(entry.id)
        out.add(entry.chat_id)
        await asyncio.sleep(random.random() * 0.003)
        out.discard(entry.chat_id)
        return Done("sent")

    recorder = Recorder(decide)
    sent: dict[str, list[str]] = defaultdict(list)
    for n in range(300):
        chat = f"c{random.randrange(10)}"
        sent[chat].append(f"m{n}")
        await queue.send(f"m{n}", chat)

    async with queue.running(recorder):
        await recorder.count(300)
        await eventually(queue.empty)

    got: dict[str, list[str]] = defaultdict(list)
    for entry in recorder.seen:
        got[entry.chat_id].append(entry.id)
    assert sent == got
    assert together == []


async def test_a_retry_holds_back_its_chat_and_no_other(queue: Queue) -> None:
    """
    While the first message of a chat waits for its retry, its second waits and another chat goes on.
    """

    def decide(entry: Entry, _permit: Permit) -> Outcome:
        return Retry(0.2, "refused") if entry.id == "a1" and entry.tries.attempts == 0 else Done("sent")

    recorder = Recorder(decide)
    await queue.send("a1", "a")
    await queue.send("a2", "a")
    await queue.send("b1", "b")

    async with queue.running(recorder):
        await eventually(queue.empty)

    assert ["a1", "a1", "a2"] == [entry.id for entry in recorder.seen if entry.chat_id == "a"]
    assert recorder.ids().index("b1") < recorder.ids().index("a2")


async def test_a_chat_has_one_entry_out_over_both_streams(queue: Queue) -> None:
    """
    A bulk and an interactive message of one chat never run together, and the interactive one overtakes.
    """
    both: list[int] = []
    recorder = Recorder()

    async def decide(_entry: Entry, _permit: Permit) -> Outcome:
        both.append(recorder.open_now)
        await asyncio.sleep(0.002)
        return Done("sent")

    recorder.decide = decide
    for n in range(10):
        await queue.send(f"b{n}", "c1", priority="bulk")
        await queue.send(f"i{n}", "c1")

    async with queue.running(recorder):
        await eventually(queue.empty)

    assert [1] * 20 == both
    assert [f"i{n}" for n in range(10)] == [i for i in recorder.ids() if i.startswith("i")]
    assert [f"b{n}" for n in range(10)] == [i for i in recorder.ids() if i.startswith("b")]


async def test_interactive_overtakes_a_backlog_of_bulk(queue: Queue) -> None:
    """
    Under a tight limit an interactive message that comes late is sent before most of the bulk ones.
    """
    recorder = Recorder()
    limits = Limits(requests=10, window_s=1.0, connections=20, timeout_s=1.0, reserve=2)
    for n in range(40):
        await queue.send(f"b{n}", f"c{n % 7}", priority="bulk")

    async with queue.running(recorder, limits):
        await recorder.count(3)
        await queue.send("now", "c1")
        await eventually(lambda: "now" in recorder.ids())
        assert recorder.ids().index("now") < 20


async def test_a_scheduled_send_waits_for_its_time_and_blocks_nobody(queue: Queue) -> None:
    """
    A send for later lets its chat go on, and is sent when due.
    """
    recorder = Recorder()
    async with queue.running(recorder):
        redis_time = await queue.connections.commands.time()
        due_ms = redis_time[0] * 1000 + redis_time[1] // 1000 + 300
        await queue.send("later", "a", not_before_ms=due_ms)
        await queue.send("first", "a")
        await recorder.count(1)
        record = await queue.records.command("100000001", "later")
        assert record is not None
        assert record.status == "scheduled"
        await recorder.count(2)

    assert ["first", "later"] == recorder.ids()
    assert recorder.seen[1].taken_ms >= due_ms


async def test_an_expired_entry_is_handed_out_without_a_slot(queue: Queue) -> None:
    """
    What has passed its `expires_at` asks only for its settlement and uses nothing of the limit.
    """
    recorder = Recorder(lambda entry, _permit: Done("expired" if entry.verdict == "expired" else "sent"))
    gate = queue.gate(Limits(requests=5, window_s=60.0, connections=5, timeout_s=1.0))
    await queue.send("old", "a", expires_at_ms=1)

    async with queue.running(recorder, gate.limits):
        await eventually(queue.empty)

    record = await queue.records.command("100000001", "old")
    assert record is not None
    assert ("expired", ["expired"]) == (record.status, [entry.verdict for entry in recorder.seen])
    assert (await gate.usage()).tokens_out == 0


async def test_a_follower_deleted_by_hand_is_passed_over(queue: Queue) -> None:
    """
    XDEL of a waiting entry leaves its chat running.
    """
    first = asyncio.Event()

    async def decide(entry: Entry, _permit: Permit) -> Outcome:
        if entry.id == "a1":
            await first.wait()
        return Done("sent")

    recorder = Recorder(decide)
    ids = [(await queue.send(f"a{n}", "a")).entry_id for n in (1, 2, 3)]
    async with queue.running(recorder, UNLIMITED):
        await recorder.count(1)
        await queue.connections.commands.xdel(queue.keys.commands.stream, ids[1])
        first.set()
        await eventually(queue.empty)

    assert ["a1", "a3"] == recorder.ids()
