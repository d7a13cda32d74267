"""
Acceptance: once, whole, and visible; refused rather than half done.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from common.errors import RedisAway, RedisRefused
from common.queue.connection import connect
from common.queue.intake import Accepted, Conflict, Duplicate, Full, Intake, NewCommand, NewEvent
from common.queue.replies import read_rows
from common.settings import Settings
from tests import servers
from tests.harness import USER_ID, Queue


def _command(command_id: str, **more: object) -> NewCommand:
    return NewCommand(id=command_id, kind="text", chat_id="c1", body={"text": "hello"}, **more)  # type: ignore[arg-type]


async def test_an_accepted_command_is_readable_in_its_stream(queue: Queue) -> None:
    """
    The entry is plain fields, under the id that the reply names.
    """
    reply = await queue.send("m1", "u2i-x")

    ((entry_id, fields),) = await read_rows(queue.connections.commands, queue.keys.commands.stream, "-", "+")
    assert reply == Accepted("m1", entry_id, 0)
    assert {"id": "m1", "kind": "text", "chat_id": "u2i-x", "body": '{"text":"m1"}'} == {
        name: value for name, value in fields.items() if name != "accepted_at"
    }


async def test_one_key_from_fifty_callers_makes_one_command(queue: Queue) -> None:
    """
    Fifty requests with one idempotency key at once: one entry, and everybody learns its id.
    """
    replies = await asyncio.gather(
        *(queue.intake.command(USER_ID, _command(f"m{n}", idempotency_key="k", fingerprint="f")) for n in range(50))
    )

    first = next(reply for reply in replies if isinstance(reply, Accepted))
    others = [reply for reply in replies if isinstance(reply, Duplicate)]
    assert [Duplicate(first.command_id, first.entry_id)] * 49 == others
    assert await queue.connections.commands.xlen(queue.keys.commands.stream) == 1


async def test_a_key_with_another_body_is_a_conflict(queue: Queue) -> None:
    """
    The same key with another fingerprint stores nothing.
    """
    await queue.intake.command(USER_ID, _command("m1", idempotency_key="k", fingerprint="f"))
    reply = await queue.intake.command(USER_ID, _command("m2", idempotency_key="k", fingerprint="other"))

    assert (Conflict(), 1) == (reply, await queue.connections.commands.xlen(queue.keys.commands.stream))


async def test_a_queue_that_is_too_long_refuses(queue: Queue, settings: Settings) -> None:
    """
    What would wait longer than MAX_QUEUE_WAIT is refused with a time; a scheduled send is not.
    """
    intake = Intake(queue.connections, settings.model_copy(update={"max_queue_wait": 1.2}))
    replies = [await intake.command(USER_ID, _command(f"m{n}")) for n in range(3)]
    scheduled = await intake.command(USER_ID, _command("later", not_before_ms=9_999_999_999_999))

    assert [Accepted, Accepted, Full] == [type(reply) for reply in replies]
    assert isinstance(scheduled, Accepted)


async def test_a_repeated_webhook_is_one_event(queue: Queue) -> None:
    """
    The second delivery of a message id is a duplicate of the first.
    """
    event = NewEvent(id="e1", chat_id="c1", body=json.dumps({"a": 1}))
    first = await queue.intake.event(USER_ID, event)
    second = await queue.intake.event(USER_ID, event)

    assert isinstance(first, Accepted)
    assert Duplicate("e1", first.entry_id) == second
    assert await queue.connections.commands.xlen(queue.keys.events.stream) == 1


async def test_many_commands_keep_their_order(queue: Queue) -> None:
    """
    A batch larger than one round trip lies in the stream in the order given.
    """
    ids = [f"m{n}" for n in range(700)]
    await queue.intake.commands(USER_ID, [_command(command_id) for command_id in ids])

    rows = await read_rows(queue.connections.commands, queue.keys.commands.stream, "-", "+")
    assert ids == [fields["id"] for _, fields in rows]


async def test_a_server_that_forgot_the_scripts_learns_them_again(queue: Queue) -> None:
    """
    After SCRIPT FLUSH a batch is stored once and whole.
    """
    await queue.send("m0")
    await queue.connections.commands.script_flush()
    await asyncio.gather(*(queue.send(f"m{n}") for n in range(1, 20)))

    assert await queue.connections.commands.xlen(queue.keys.commands.stream) == 20


async def test_a_server_that_is_away_is_an_outage_within_two_seconds(settings: Settings) -> None:
    """
    Nothing listens: the caller learns it soon, and never hears `accepted`.
    """
    connections = connect("redis://127.0.0.1:1")
    async with asyncio.timeout(2):
        with pytest.raises(RedisAway):
            await Intake(connections, settings).command(USER_ID, _command("m1"))
    await connections.aclose()


async def test_a_full_server_refuses_whole_and_still_settles(settings: Settings) -> None:
    """
    At maxmemory nothing is half stored, and what is in the queue drains (R15).
    """
    from tests.harness import Recorder, eventually

    with servers.embedded() as server:
        connections = connect(server.connection_url)
        queue = Queue(connections, settings)
        for n in range(20):
            await queue.send(f"m{n}", f"c{n % 3}")
        before = sorted(await connections.commands.keys("*"))
        await connections.commands.config_set("maxmemory", "1mb")
        with pytest.raises(RedisRefused):
            await queue.send("too-much", "c1", idempotency_key="k")
        assert before == sorted(await connections.commands.keys("*"))

        recorder = Recorder()
        # The group is made by a worker at its start, which a full server refuses: it was there before.
        await connections.commands.config_set("maxmemory", "0")
        await connections.commands.xgroup_create(queue.keys.commands.stream, "dispatcher", "0")
        await connections.commands.xgroup_create(queue.keys.bulk.stream, "dispatcher", "0", mkstream=True)
        await connections.commands.config_set("maxmemory", "1mb")
        async with queue.running(recorder):
            await eventually(queue.empty)
        assert [f"m{n}" for n in range(20)] == sorted(recorder.ids(), key=lambda name: int(name[1:]))
        await connections.aclose()
