"""
Putting back and dropping sets of dead letters.
"""

from __future__ import annotations

import asyncio
import itertools

from common.queue.choice import Choice, Filter
from common.queue.clearing import Batch, Clearing
from common.queue.dead import DeadLetters
from common.queue.entry import Tries
from common.queue.keys import Side
from common.queue.outcomes import Dead
from common.queue.replies import read_rows
from common.queue.search import Search, Wanted
from common.settings import Settings
from tests.harness import USER_ID, Queue, Recorder, eventually

REJECTED = Choice((Filter("reason", False, "rejected"),))


async def bury(queue: Queue, side: Side, own_id: str, **more: str) -> str:
    """
    Put one dead letter there and return its id.
    """
    stream = queue.keys.commands if side == "commands" else queue.keys.events
    kind = "text" if side == "commands" else "message"
    fields = {"id": own_id, "kind": kind, "chat_id": "c1", "body": f'{{"text": "{own_id}"}}', "reason": "rejected"}
    fields |= {"source": stream.stream, "detail": "400"} | ({"received_at": "1"} if side == "events" else {}) | more
    return str(await queue.connections.commands.xadd(stream.dead, fields))  # type: ignore[arg-type]


async def all_of(clearing: Clearing, choice: Choice, *, looks: int, per_min: float | None = None) -> int:
    """
    Put a choice back batch by batch, and return how many it was.
    """
    counted = await clearing.count(choice)
    assert counted.newest is not None
    done, batch = 0, Batch(0, "", 0)
    while batch.after is not None:
        batch = await clearing.put_back(
            choice,
            newest=counted.newest,
            after=batch.after or None,
            per_min=per_min,
            next_ms=batch.next_ms,
            looks=looks,
        )
        done += batch.done
    return done


async def test_a_filtered_set_goes_back_in_order_and_the_rest_stays(queue: Queue, settings: Settings) -> None:
    """
    What the choice takes goes back in batches, oldest first; other letters, and those that come later, stay.
    """
    wanted = [f"m{n}" for n in range(450)]
    for n, own_id in enumerate(wanted):
        await bury(queue, "commands", own_id)
        if n % 100 == 0:
            await bury(queue, "commands", f"other{n}", reason="crashed")
    clearing = Clearing(queue.connections, settings, USER_ID, "commands")
    counted = await clearing.count(REJECTED)
    assert (450, True) == (counted.number, counted.is_all)
    await bury(queue, "commands", "late")
    assert counted.newest is not None

    first = await clearing.put_back(REJECTED, newest=counted.newest, looks=200)
    second = await clearing.put_back(REJECTED, newest=counted.newest, after=first.after, looks=1000)

    assert (450, None) == (first.done + second.done, second.after)
    rows = await read_rows(queue.connections.commands, queue.keys.commands.stream, "-", "+")
    assert wanted == [fields["id"] for _, fields in rows]
    left = await DeadLetters(queue.connections, settings).list(USER_ID, "commands")
    assert ["late", *(f"other{n}" for n in (400, 300, 200, 100, 0))] == [letter.fields["id"] for letter in left]


async def test_a_paced_set_is_scheduled_one_after_the_other(queue: Queue, settings: Settings) -> None:
    """
    Each letter has a time of its own, a minute's share behind the one before it, over all batches; its state says so.
    """
    for n in range(6):
        await bury(queue, "commands", f"m{n}")
    clearing = Clearing(queue.connections, settings, USER_ID, "commands")

    assert 6 == await all_of(clearing, REJECTED, looks=1, per_min=600)

    rows = await read_rows(queue.connections.commands, queue.keys.commands.stream, "-", "+")
    times = [int(fields["not_before"]) for _, fields in rows]
    assert [100] * 5 == [later - earlier for earlier, later in itertools.pairwise(times)]
    record = await queue.records.command(USER_ID, "m5")
    assert record is not None
    assert (str(times[5]), "text") == (record.fields["not_before"], record.fields["kind"])


async def test_a_paced_set_is_sent_in_its_order_not_before_its_time(queue: Queue, settings: Settings) -> None:
    """
    Redis does the pacing: whoever put them back may be gone. What may have been sent before is no exception.
    """
    await bury(queue, "commands", "m0", unknown_since="1")
    await bury(queue, "commands", "m1", unknown_since="1")
    await bury(queue, "commands", "m2")
    clearing = Clearing(queue.connections, settings, USER_ID, "commands")

    recorder = Recorder()
    async with queue.running(recorder):
        await queue.send("first", "c2")
        await recorder.count(1)
        await all_of(clearing, REJECTED, looks=1000, per_min=120)
        await recorder.count(4)
        await eventually(queue.empty)

    sent = recorder.seen[1:]
    assert ["m0", "m1", "m2"] == [entry.id for entry in sent]
    assert [True, True, False] == [entry.tries.outcome_unknown for entry in sent]
    assert all(entry.taken_ms >= int(entry.fields["not_before"]) for entry in sent)


async def test_a_redriven_doubt_that_crashes_goes_by_its_retries(queue: Queue, settings: Settings) -> None:
    """
    Once it was out again its schedule is over: only what was not tried since waits for it.
    """
    await bury(queue, "commands", "m1", unknown_since="1")
    (letter,) = await DeadLetters(queue.connections, settings).list(USER_ID, "commands")
    await DeadLetters(queue.connections, settings).put_back(USER_ID, "commands", letter, not_before_ms=1)
    raw = (await queue.connections.commands.hvals(queue.keys.commands.indexes[5]))[0]

    assert Tries(outcome_unknown=True, unknown_since_ms=1, redriven=True) == Tries.model_validate_json(raw)


async def test_a_paced_event_waits_and_does_not_die_of_age(queue: Queue, settings: Settings) -> None:
    """
    Its age counts from the time that it may go.
    """
    await bury(queue, "events", "e1", reason="expired")
    await bury(queue, "events", "e2", reason="expired")
    clearing = Clearing(queue.connections, settings, USER_ID, "events")

    assert 2 == await all_of(clearing, Choice(), looks=1000, per_min=1)

    rows = await read_rows(queue.connections.commands, queue.keys.events.stream, "-", "+")
    assert [fields["not_before"] for _, fields in rows] == [fields["received_at"] for _, fields in rows]
    record = await queue.records.event(USER_ID, "e2")
    assert record is not None
    assert ("scheduled", "1") == (record.status, record.fields["received_at"])


async def test_what_was_put_back_is_found_again(queue: Queue, settings: Settings) -> None:
    """
    Also when its record and its place in the index were gone: they are made anew, and a search shows it once.
    """
    await queue.send("m1", "c1")
    async with queue.running(Recorder(lambda _entry, _permit: Dead("rejected", "400"))):
        await eventually(queue.empty)
    search = Search(queue.connections, settings, queue.records)
    clearing = Clearing(queue.connections, settings, USER_ID, "commands")
    for lost in ((), (queue.keys.command("m1"), queue.keys.messages)):
        if lost:
            await queue.connections.commands.delete(*lost)
        assert 1 == await all_of(clearing, Choice(), looks=1000)

        found = (await search.find(USER_ID, Wanted(text="m1"))).found
        assert [("m1", "c1", "queued")] == [(one.id, one.chat_id, one.record.status) for one in found]
        async with queue.running(Recorder(lambda _entry, _permit: Dead("rejected", "400"))):
            await eventually(queue.empty)


async def test_dropped_is_gone_and_only_what_was_chosen(queue: Queue, settings: Settings) -> None:
    """
    By text, in any case of letters; a single one by its id.
    """
    await bury(queue, "commands", "Alpha")
    one = await bury(queue, "commands", "beta")
    await bury(queue, "commands", "gamma")
    clearing = Clearing(queue.connections, settings, USER_ID, "commands")

    by_text = Choice((Filter("text", True, "ALPHA"),))
    assert Batch(1, None) == await clearing.drop(by_text, newest=one)
    assert Batch(1, None) == await clearing.drop(Choice(dead_id=one), newest=one)
    assert Batch(0, None) == await clearing.drop(Choice(dead_id=one), newest=one)

    left = await DeadLetters(queue.connections, settings).list(USER_ID, "commands")
    assert ["gamma"] == [letter.fields["id"] for letter in left]


async def test_a_confirmation_counts_once(queue: Queue, settings: Settings) -> None:
    """
    Of many requests with one ticket one begins.
    """
    clearing = Clearing(queue.connections, settings, USER_ID, "commands")
    begun = await asyncio.gather(*(clearing.begin("ticket") for _ in range(20)))

    assert [True] + [False] * 19 == sorted(begun, reverse=True)
