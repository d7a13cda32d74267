"""
Several accounts in one process: each has its streams, its gate and its place; none waits for another.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable

import pytest

from common.queue import scripts
from common.queue.connection import Connections
from common.queue.entry import Entry
from common.queue.gate import Limits, Permit
from common.queue.intake import NewEvent
from common.queue.outcomes import Done, Outcome
from common.queue.role import Role
from common.settings import Settings
from tests.harness import UNLIMITED, Queue, Recorder, eventually

ACCOUNTS = ("100000001", "100000003", "100000004", "100000005", "100000006", "100000007")


@pytest.fixture(name="queues")
def _queues(connections: Connections, settings: Settings) -> list[Queue]:
    """
    The queues of accounts that lie on all masters of a cluster.
    """
    return [Queue(connections, settings, user_id) for user_id in ACCOUNTS]


def role_of(queues: list[Queue], recorders: list[Recorder], limits: Limits = UNLIMITED) -> Role:
    """
    Return one dispatcher for all these accounts.
    """
    accounts = {
        queue.user_id: (queue.gate(limits), recorder) for queue, recorder in zip(queues, recorders, strict=True)
    }
    return Role("dispatcher", queues[0].connections, queues[0].settings.key_prefix, accounts, capacity=20, grace_s=5.0)


async def _until_empty(queues: list[Queue]) -> None:
    for queue in queues:
        await eventually(queue.empty)


async def test_each_accounts_chats_keep_their_order(queues: list[Queue]) -> None:
    """
    Accepted in shared round trips and handled by one process, whatever server each account lies on.
    """

    async def decide(_entry: Entry, _permit: Permit) -> Outcome:
        await asyncio.sleep(random.random() * 0.003)
        return Done("sent")

    recorders = [Recorder(decide) for _ in queues]
    role = role_of(queues, recorders)
    task = asyncio.create_task(role.run())
    for n in range(20):
        await asyncio.gather(*(queue.send(f"{n:02}", f"c{n % 3}") for queue in queues))
    await _until_empty(queues)
    role.stop()
    await asyncio.wait_for(task, 20)

    for recorder in recorders:
        by_chat: dict[str, list[str]] = defaultdict(list)
        for entry in recorder.seen:
            by_chat[entry.chat_id].append(entry.id)
        assert {chat: sorted(ids) for chat, ids in by_chat.items()} == by_chat
        assert len(recorder.seen) == 20


async def test_an_idle_account_wakes_at_once_wherever_it_lies(queues: list[Queue]) -> None:
    """
    With 5 s between two looks, what comes to an idle account is handled well before the next: a read waited for it.
    """
    recorders = [Recorder() for _ in queues]
    role = role_of(queues, recorders)
    task = asyncio.create_task(role.run())
    for queue, recorder in zip(queues, recorders, strict=True):
        await queue.send("first")
        await recorder.count(1)
    await _until_empty(queues)
    slowest_s = 0.0
    for queue, recorder in zip(queues, recorders, strict=True):
        for count in (2, 3):
            sent_s = time.monotonic()
            await queue.send(f"m{count}")
            await recorder.count(count)
            slowest_s = max(slowest_s, time.monotonic() - sent_s)
    role.stop()
    await asyncio.wait_for(task, 20)

    assert slowest_s < 2.5


async def test_one_message_id_is_each_accounts_own(queues: list[Queue]) -> None:
    """
    Dedupe knows an event by its account and id.
    """
    replies = [
        type(await queue.intake.event(queue.user_id, NewEvent(id="same", chat_id="c1", body="{}"))).__name__
        for queue in queues
        for _ in range(2)
    ]

    assert ["Accepted", "Duplicate"] * len(queues) == replies


async def test_the_end_of_a_command_is_heard_on_any_server(
    queues: list[Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Who waits hears of it by the one subscription, not by looking: the look is put off for longer than the test waits.
    """
    monkeypatch.setattr("common.queue.records._LOOK_EACH_S", 60.0)
    releases = [asyncio.Event() for _ in queues]

    def waiting(release: asyncio.Event) -> Callable[[Entry, Permit], asyncio.Future[Outcome]]:
        async def decide() -> Outcome:
            await release.wait()
            return Done("sent")

        return lambda _entry, _permit: asyncio.ensure_future(decide())

    role = role_of(queues, [Recorder(waiting(release)) for release in releases])
    task = asyncio.create_task(role.run())
    for number, (queue, release) in enumerate(zip(queues, releases, strict=True)):
        await queue.send(f"m{number}")
        ended = asyncio.create_task(queues[0].records.wait(queue.user_id, f"m{number}", 30.0))
        await eventually(lambda number=number: _is_heard(queues[0], f"m{number}"))  # type: ignore[misc]
        release.set()
        record = await asyncio.wait_for(ended, 10)
        assert record is not None
        assert record.status == "sent"
    role.stop()
    await asyncio.wait_for(task, 20)


def _is_heard(queue: Queue, command_id: str) -> bool:
    ends = queue.records._ends
    return ends._subscribed.is_set() and command_id in ends._listeners


async def test_an_account_without_its_group_keeps_no_other_from_being_looked_after(queues: list[Queue]) -> None:
    """
    What a dead worker of one account left behind is put back although another account's group is lost.
    """
    role = role_of(queues[:2], [Recorder(), Recorder()])
    lost, other = role.consumers
    await role.lease.beat()
    for consumer, queue in zip(role.consumers, queues[:2], strict=True):
        await consumer.ensure_group()
        await queue.send("m1")
        consumer.held = 1
    client = other._connections.commands
    await client.xgroup_destroy(queues[0].keys.commands.stream, "dispatcher")
    # Taken under the own name, and unknown to the consumer: the reply was lost.
    arguments = [2, "dispatcher", role.lease.name, 1, *queues[1].gate().arguments]
    await scripts.TAKE(client, other.script_keys, arguments)
    await role.janitor.sweep()

    retries = [await client.zcard(consumer.streams[0].indexes[4]) for consumer in (lost, other)]
    assert [0, 1] == retries


async def test_a_paused_account_holds_up_no_other(queues: list[Queue]) -> None:
    """
    While one account's gate is closed and its queue is long, the others send.
    """
    recorders = [Recorder() for _ in queues]
    limits = Limits(requests=1000, window_s=1.0, connections=20, timeout_s=1.0)
    paused, others = queues[0], queues[1:]
    await paused.gate(limits).pause(60.0, "429 from Avito")
    for n in range(50):
        await paused.send(f"m{n}", f"c{n}")
    role = role_of(queues, recorders, limits)
    task = asyncio.create_task(role.run())
    for n in range(20):
        await asyncio.gather(*(queue.send(f"m{n}", f"c{n}") for queue in others))
    await _until_empty(others)
    left = await paused.left()
    role.stop()
    await asyncio.wait_for(task, 20)

    assert (50, 0, [20] * len(others)) == (left, len(recorders[0].seen), [len(r.seen) for r in recorders[1:]])
