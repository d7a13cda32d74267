"""
What a person or n8n learns about a message.
"""

from __future__ import annotations

import asyncio
import json
from typing import Literal

import pytest

from common.queue.connection import connect
from common.queue.dead import DeadLetters
from common.queue.entry import Entry
from common.queue.gate import Permit
from common.queue.outcomes import Dead, Done, Outcome, Retry
from common.queue.receipts import Receipts, fingerprint
from common.queue.records import Records
from common.queue.replies import read_rows
from common.settings import Settings
from tests import servers
from tests.harness import USER_ID, Queue, Recorder, eventually


async def _status(queue: Queue, command_id: str) -> str:
    record = await queue.records.command(USER_ID, command_id)
    assert record is not None
    return record.status


async def test_a_commands_state_is_read_from_the_stream(queue: Queue) -> None:
    """
    Queued, sending, retrying, unknown and sent, each while it is so.
    """
    step = asyncio.Event()

    async def decide(entry: Entry, _permit: Permit) -> Outcome:
        if entry.tries.attempts == 0:
            await step.wait()
            return Retry(0.3, "refused", attempt={"status": 500})
        if entry.tries.attempts == 1:
            return Retry(0.3, "cut", unknown=True, attempt={"outcome": "unknown"})
        return Done("sent", message_id="av1", record={"response": json.dumps({"id": "av1"})})

    recorder = Recorder(decide)
    await queue.send("m1")
    assert await _status(queue, "m1") == "queued"
    async with queue.running(recorder):
        await recorder.count(1)
        assert await _status(queue, "m1") == "sending"
        step.set()

        async def retrying() -> bool:
            return await _status(queue, "m1") == "retrying"

        async def unknown() -> bool:
            return await _status(queue, "m1") == "unknown"

        await eventually(retrying)
        await eventually(unknown)
        record = await queue.records.wait(USER_ID, "m1", 5.0)

    assert record is not None
    shown = record.to_json()
    assert ("sent", "av1", {"id": "av1"}) == (shown["status"], shown["message_id"], shown["response"])
    assert ["accepted", "attempt", "attempt", "sent"] == [step["event"] for step in record.timeline]


async def test_waiting_ends_with_the_command(queue: Queue) -> None:
    """
    `wait` returns as soon as the end is published, and with the running state at its time limit.
    """
    release = asyncio.Event()

    async def decide(_entry: Entry, _permit: Permit) -> Outcome:
        await release.wait()
        return Done("sent")

    await queue.send("m1")
    async with queue.running(Recorder(decide)):
        early = await queue.records.wait(USER_ID, "m1", 0.05)
        waiting = asyncio.create_task(queue.records.wait(USER_ID, "m1", 10.0))
        release.set()
        late = await waiting

    assert early is not None
    assert late is not None
    assert (False, "sent") == (early.ended, late.status)


async def test_a_dead_letter_says_why_and_can_be_put_back(queue: Queue) -> None:
    """
    Dead: all fields and the reason; redriven: sent as a new entry under its old id.
    """
    refuse = True

    def decide(_entry: Entry, _permit: Permit) -> Outcome:
        return Dead("rejected", "400 Bad Request", attempt={"status": 400}) if refuse else Done("sent")

    letters = DeadLetters(queue.connections, queue.settings)
    accepted = await queue.send("m1", "c1")
    async with queue.running(Recorder(decide)):
        await eventually(queue.empty)
        (letter,) = await letters.list(USER_ID, "commands")
        assert {
            "id": "m1",
            "chat_id": "c1",
            "source": queue.keys.commands.stream,
            "source_id": accepted.entry_id,
            "reason": "rejected",
            "detail": "400 Bad Request",
            "attempts": "1",
        }.items() <= letter.fields.items()
        assert await _status(queue, "m1") == "failed"
        refuse = False
        assert await letters.redrive(USER_ID, "commands", letter.dead_id)
        await eventually(queue.empty)

    assert ("sent", []) == (await _status(queue, "m1"), await letters.list(USER_ID, "commands"))
    assert await letters.redrive(USER_ID, "commands", letter.dead_id) is None


async def test_a_waiting_command_can_be_cancelled_and_a_running_one_not(queue: Queue) -> None:
    """
    Cancel answers sending, cancelled, ended or unknown, and the chat goes on behind a cancelled message.
    """
    release = asyncio.Event()

    async def decide(entry: Entry, _permit: Permit) -> Outcome:
        if entry.id == "m1":
            await release.wait()
        return Done("sent")

    recorder = Recorder(decide)
    for n in (1, 2, 3):
        await queue.send(f"m{n}", "c1")
    async with queue.running(recorder):
        await recorder.count(1)
        answers = [await queue.records.cancel(USER_ID, name) for name in ("m1", "m2", "m2", "nobody")]
        release.set()
        await eventually(queue.empty)

    assert ["sending", "cancelled", "ended", "unknown"] == answers
    assert ["m1", "m3"] == recorder.ids()
    assert await _status(queue, "m2") == "cancelled"


async def test_a_command_added_by_hand_is_handled_like_any_other(queue: Queue) -> None:
    """
    XADD with kind, chat_id and body is enough; its entry id serves as its id.
    """
    recorder = Recorder()
    async with queue.running(recorder):
        fields = ("kind", "text", "chat_id", "c1", "body", '{"text":"hi"}')
        stream = queue.keys.commands.stream
        entry_id = await queue.connections.commands.execute_command("XADD", stream, "*", *fields)  # type: ignore[no-untyped-call]
        await recorder.count(1)
        await eventually(queue.empty)

    assert [entry_id] == recorder.ids()
    assert await _status(queue, entry_id) == "sent"


async def test_an_asked_for_outcome_is_put_among_the_events(queue: Queue) -> None:
    """
    The end of a command with a callback address is an event of its own, in the same step.
    """
    async with queue.running(Recorder(lambda _entry, _permit: Done("sent", message_id="av1"))):
        await queue.send("m1", "c1", callback_url="http://n8n.local/cb")

        async def told() -> bool:
            return bool(await queue.connections.commands.xlen(queue.keys.events.stream))

        await eventually(told)
    ((_, fields),) = await read_rows(queue.connections.commands, queue.keys.events.stream, "-", "+")
    body = json.loads(fields["body"])
    assert ("callback", "m1.sent", "http://n8n.local/cb") == (fields["kind"], fields["id"], fields["callback_url"])
    assert {"event": "command.sent", "command_id": "m1", "status": "sent", "message_id": "av1"}.items() <= body.items()


async def test_an_event_that_died_of_age_counts_its_age_anew(queue: Queue) -> None:
    """
    Redriven, its `received_at` is the time of the redrive, so that it is not too old again at once.
    """
    dead, events = queue.keys.events.dead, queue.keys.events.stream
    letter = ("id", "e1", "kind", "message", "chat_id", "c1", "body", "{}", "received_at", "1", "reason", "expired")
    client = queue.connections.commands
    dead_id = await client.execute_command("XADD", dead, "*", *letter, "source", events)  # type: ignore[no-untyped-call]
    assert await DeadLetters(queue.connections, queue.settings).redrive(USER_ID, "events", dead_id)

    ((_, fields),) = await read_rows(client, events, "-", "+")
    assert ("e1", True) == (fields["id"], int(fields["received_at"]) > 1_000_000)
    assert "reason" not in fields


@pytest.mark.parametrize("outcome", ["sent", "not_sent"])
async def test_a_doubt_can_be_resolved_when_full(settings: Settings, outcome: Literal["sent", "not_sent"]) -> None:
    """
    At maxmemory a person can still say what became of a send: it ends, or its turn has come again (R15).
    """
    doubtful = asyncio.Event()

    def decide(_entry: Entry, _permit: Permit) -> Outcome:
        doubtful.set()
        return Retry(600, "lost", unknown=True)

    with servers.embedded() as server:
        connections = connect(server.connection_url)
        queue = Queue(connections, settings)
        await queue.send("m1")
        async with queue.running(Recorder(decide)):
            await doubtful.wait()
        await connections.commands.config_set("maxmemory", "1mb")

        reply = await queue.records.resolve(USER_ID, "m1", outcome, "av1" if outcome == "sent" else None)
        waits = await connections.commands.zrangebyscore(queue.keys.commands.indexes[4], 0, 0)

        assert ("ok", 0 if outcome == "sent" else 1) == (reply, await queue.left())
        assert len(waits) == await queue.left()
        await connections.aclose()


async def test_half_a_surrogate_pair_does_not_stop_the_settling(queue: Queue) -> None:
    """
    What the other side answers may be no text that UTF-8 can write: the command ends all the same, and the next one.
    """

    async def decide(entry: Entry, _permit: Permit) -> Outcome:
        if entry.id == "odd":
            return Dead("rejected", "no such chat: \ud83d", attempt={"error": "\ud83d"})
        return Done("sent")

    async with queue.running(Recorder(decide)):
        await queue.send("odd")
        odd = await queue.records.wait(USER_ID, "odd", 5.0)
        await queue.send("next")
        following = await queue.records.wait(USER_ID, "next", 5.0)

    assert odd is not None
    assert following is not None
    assert ("failed", "no such chat: ?", "sent") == (odd.status, odd.fields["detail"], following.status)


async def test_many_may_ask_at_once(redis_url: str, queue: Queue) -> None:
    """
    Also more than redis-py gives connections by default.
    """
    await queue.send("m1")
    patient = connect(redis_url, timeout_s=30.0)
    records = Records(patient, queue.settings)
    found = await asyncio.gather(*(records.command(USER_ID, "m1") for _ in range(120)))
    await patient.aclose()

    assert ["queued"] * 120 == [record.status for record in found if record is not None]


async def test_an_echo_of_the_same_millisecond_was_there_before(queue: Queue) -> None:
    """
    What Avito has shown us when an attempt begins is not that attempt's result, though both have the same time.
    """
    receipts = Receipts(queue.connections, queue.settings.key_prefix)
    client, mark = queue.connections.commands, fingerprint("text", {"text": "hello"})
    await client.zadd(queue.keys.sent("c1"), {"by hand": 5000.0, "ours": 5001.0})
    for message_id in ("by hand", "ours"):
        await client.hset(queue.keys.event(message_id), "fingerprint", mark)

    others = await receipts.others(USER_ID, "c1", ["by hand", "ours"], 5000)
    echo = await receipts.echo(USER_ID, "c1", 5000, mark, created_since_ms=None)

    assert ({"by hand"}, "ours") == (others, echo)
