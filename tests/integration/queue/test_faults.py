"""
Workers that die or freeze, groups and servers that vanish: nothing is lost, and the queue goes on by itself.
"""

from __future__ import annotations

import asyncio

import pytest

from common.errors import NoPermit
from common.queue import scripts
from common.queue.connection import connect
from common.queue.dead import DeadLetters
from common.queue.entry import Entry, Tries
from common.queue.gate import Limits, Permit
from common.queue.keys import workers
from common.queue.outcomes import Done, Outcome, Retry
from common.settings import Settings
from tests import servers
from tests.harness import UNLIMITED, USER_ID, Queue, Recorder, eventually


async def _take_unheard(queue: Queue, name: str, want: int = 5, limits: Limits = UNLIMITED) -> None:
    """
    Take, as a worker that dies before it has the reply, or loses it.
    """
    gate = queue.gate(limits)
    for stream in (queue.keys.commands, queue.keys.bulk):
        await scripts.ENSURE(queue.connections.commands, stream.indexes, ["dispatcher"])
    keys = [*queue.keys.commands.indexes, *queue.keys.bulk.indexes, *gate.keys]
    await scripts.TAKE(queue.connections.commands, keys, [2, "dispatcher", name, want, *gate.arguments])


async def test_entries_of_a_dead_worker_are_taken_over_with_their_outcome_unknown(queue: Queue) -> None:
    """
    What a vanished worker held comes back once its life is over, counted as a crash, in order per chat.
    """
    for n in range(3):
        await queue.send(f"m{n}", "c1")
    await _take_unheard(queue, "dead-worker")
    recorder = Recorder()
    async with queue.running(recorder, life_s=0.4):
        await recorder.count(3)
        await eventually(queue.empty)

    assert ["m0", "m1", "m2"] == recorder.ids()
    assert (1, True) == (recorder.seen[0].tries.crashes, recorder.seen[0].tries.outcome_unknown)
    assert Tries() == recorder.seen[1].tries


async def test_what_a_dead_worker_had_open_keeps_nobody_waiting(queue: Queue) -> None:
    """
    Its slots are free with its entries, long before its requests would have timed out; its tokens go on counting.
    """
    limits = Limits(requests=10, window_s=60.0, connections=2, timeout_s=30.0)
    for n in range(2):
        await queue.send(f"m{n}", f"c{n}")
    await _take_unheard(queue, "dead-worker", limits=limits)
    assert (await queue.gate(limits).usage()).slots_open == 2
    recorder = Recorder()
    async with queue.running(recorder, limits, life_s=0.4):
        await recorder.count(2)
        await eventually(queue.empty)
        usage = await queue.gate(limits).usage()

    assert (0, 2) == (usage.slots_open, usage.tokens_out)


async def test_its_slot_tells_since_when_an_entry_was_out(queue: Queue) -> None:
    """
    Redis counts by its clock for how long an entry is pending: too short where that was set back. The gate's is not.
    """
    limits = Limits(requests=10, window_s=60.0, connections=2, timeout_s=30.0)
    accepted = await queue.send("m1")
    await _take_unheard(queue, "dead-worker", limits=limits)
    slots = queue.gate(limits).keys[2]
    (permit,) = await queue.connections.commands.zrange(slots, 0, -1)
    await queue.connections.commands.zincrby(slots, -20_000, str(permit))
    recorder = Recorder()
    async with queue.running(recorder, limits, life_s=0.4) as role:
        await recorder.count(1)
        await eventually(queue.empty)
        ahead_ms = role.consumers[0].gate.now_ms() - role.consumers[0].gate.redis_ms()

    since_ms = recorder.seen[0].tries.unknown_since_ms
    assert since_ms is not None
    assert since_ms <= int(accepted.entry_id.partition("-")[0]) - 19_000
    assert recorder.seen[0].tries.gate_since_ms == pytest.approx(since_ms + ahead_ms, abs=100)


async def test_the_third_crash_is_a_dead_letter(queue: Queue) -> None:
    """
    An entry that killed three workers is handed out for its settlement alone.
    """
    from common.queue.outcomes import Dead

    accepted = await queue.send("m1")
    tries = Tries(crashes=2).model_dump_json()
    await queue.connections.commands.hset(queue.keys.commands.indexes[5], accepted.entry_id, tries)
    await _take_unheard(queue, "dead-worker")
    recorder = Recorder(lambda entry, _permit: Dead(entry.verdict, "three workers died with it"))
    async with queue.running(recorder, life_s=0.4):
        await eventually(queue.empty)

    (letter,) = await DeadLetters(queue.connections, queue.settings).list(USER_ID, "commands")
    assert ("crashed", "3") == (letter.fields["reason"], letter.fields["crashes"])


async def test_a_living_worker_keeps_what_it_has(queue: Queue) -> None:
    """
    Work that lasts longer than a lease is not taken away from a worker that beats.
    """
    release = asyncio.Event()

    async def decide(_entry: Entry, _permit: Permit) -> Outcome:
        await release.wait()
        return Done("sent")

    slow, other = Recorder(decide), Recorder()
    await queue.send("m1", "c1")
    async with queue.running(slow, life_s=0.3):
        await slow.count(1)
        async with queue.running(other, life_s=0.3) as role:
            await eventually(lambda: role.lease.may_bury)
            for consumer in role.consumers:
                consumer.held = 1
            await role.janitor.sweep()
            release.set()
            await eventually(queue.empty)

    assert (1, 0) == (len(slow.seen), len(other.seen))


async def test_a_result_comes_too_late_when_the_entry_was_adopted(queue: Queue) -> None:
    """
    A worker whose name was taken out does not settle; another one sends the message, and the record is its.
    """
    release = asyncio.Event()

    async def decide(_entry: Entry, _permit: Permit) -> Outcome:
        await release.wait()
        return Done("late")

    frozen, other = Recorder(decide), Recorder()
    await queue.send("m1", "c1")
    role = queue.role(frozen, life_s=0.3)
    role.lease.beat_s = 60.0
    task = asyncio.create_task(role.run())
    await frozen.count(1)
    async with queue.running(other, life_s=0.3):
        await other.count(1)
        await eventually(queue.empty)
        release.set()
        role.stop()
        await asyncio.wait_for(task, 20)

    record = await queue.records.command(USER_ID, "m1")
    assert record is not None
    assert record.status == "sent"


async def test_a_worker_that_was_frozen_sends_nothing_under_a_lost_name(queue: Queue) -> None:
    """
    When its name was taken out while it slept, a worker asks for no token: the message is another's now.
    """
    thawed = asyncio.Event()
    refused: list[str] = []

    async def decide(entry: Entry, permit: Permit) -> Outcome:
        if entry.tries.crashes == 0:
            await thawed.wait()
        try:
            await permit.token()
        except NoPermit as error:
            refused.append(error.reason)
            raise
        return Done("sent")

    recorder = Recorder(decide)
    await queue.send("m1")
    async with queue.running(recorder) as role:
        await recorder.count(1)
        # As after a long sleep: the lease is old, and others have removed the name.
        role.lease._renewed_s = float("-inf")
        await queue.connections.commands.zrem(workers(queue.settings.key_prefix), role.lease.name)
        thawed.set()
        await eventually(lambda: bool(refused))

    assert ["lease_lost"] == refused


async def test_a_lost_reply_of_take_is_found_again(queue: Queue) -> None:
    """
    Entries under one's own living name that nobody runs are put back (R6).
    """
    recorder = Recorder()
    async with queue.running(recorder, life_s=0.4) as role:
        (consumer,) = role.consumers
        await eventually(lambda: role.lease.fresh and consumer._grouped)
        async with consumer.taking:
            await queue.send("m1")
            await _take_unheard(queue, role.lease.name, want=1)
        await recorder.count(1)
        await eventually(queue.empty)

    assert [1] == [entry.tries.crashes for entry in recorder.seen]


async def test_a_lost_reply_of_take_is_found_again_soon_after_an_outage(queue: Queue) -> None:
    """
    What is one's own needs no proof that its holder is dead: it does not wait until the leases are whole again.
    """
    recorder = Recorder()
    async with queue.running(recorder, life_s=10.0) as role:
        (consumer,) = role.consumers
        await eventually(lambda: role.lease.fresh and consumer._grouped)
        assert not role.lease.may_bury
        async with consumer.taking:
            await queue.send("m1")
            await _take_unheard(queue, role.lease.name, want=1)
        await recorder.count(1, 8)
        await eventually(queue.empty)


async def test_a_result_counts_although_the_workers_name_was_lost_while_nobody_took_it_over(queue: Queue) -> None:
    """
    After a FLUSHALL the names are gone, but what is taken meanwhile is still its taker's: it is settled, not repeated.
    """
    goes = asyncio.Event()

    async def decide(_entry: Entry, _permit: Permit) -> Outcome:
        await goes.wait()
        return Done("sent")

    recorder = Recorder(decide)
    async with queue.running(recorder, life_s=10.0) as role:
        name = role.lease.name
        await queue.send("m1")
        await recorder.count(1)
        await queue.connections.commands.delete(workers(queue.settings.key_prefix))
        await role.lease.beat()
        assert role.lease.name != name
        goes.set()
        await eventually(queue.empty, 5)

    assert ["m1"] == recorder.ids()


async def test_a_lost_group_is_made_again_at_the_start_of_the_stream(queue: Queue) -> None:
    """
    After XGROUP DESTROY everything still in the stream is handled once; what may have been out is marked unknown.
    """
    hold = asyncio.Event()

    async def decide(entry: Entry, _permit: Permit) -> Outcome:
        if entry.id == "m0":
            await hold.wait()
        return Done("sent")

    recorder = Recorder(decide)
    for n in range(4):
        await queue.send(f"m{n}", "c1")
    async with queue.running(recorder, capacity=2) as role:
        await recorder.count(1)
        await queue.connections.commands.xgroup_destroy(queue.keys.commands.stream, "dispatcher")
        await queue.send("m4", "c2")
        await recorder.count(2)
        hold.set()
        await eventually(queue.empty)
        assert role.consumers[0].recreated_groups == 1

    assert ["m0", "m4", "m1", "m2", "m3"] == recorder.ids()
    assert [False, True, True, True, True] == [entry.tries.outcome_unknown for entry in recorder.seen]
    assert [False, True, True, True, True] == [entry.tries.gate_since_ms is not None for entry in recorder.seen]
    assert (await queue.gate().usage()).slots_open == 0


async def test_workers_go_on_when_redis_is_back(settings: Settings) -> None:
    """
    A server that is stopped and started again with its file: everything accepted is handled, without a restart.
    """
    with servers.embedded() as server:
        connections = connect(server.connection_url, timeout_s=0.5)
        queue = Queue(connections, settings)
        recorder = Recorder()
        async with queue.running(recorder):
            await queue.send("before")
            await recorder.count(1)
            port = server.port
            await asyncio.to_thread(server.stop)
            server._desired_port = port
            await asyncio.to_thread(server.start)
            await queue.send("after")
            await recorder.count(2)
            await eventually(queue.empty)
        await connections.aclose()

    assert ["before", "after"] == recorder.ids()


async def test_workers_go_on_after_flushall(settings: Settings) -> None:
    """
    FLUSHALL takes groups, names and gate; what is accepted afterwards is handled.
    """
    with servers.embedded() as server:
        connections = connect(server.connection_url)
        queue = Queue(connections, settings)
        recorder = Recorder()
        async with queue.running(recorder):
            await queue.send("before")
            await recorder.count(1)
            await connections.commands.flushall()
            await queue.send("after")
            await recorder.count(2)
            await eventually(queue.empty)
        await connections.aclose()

    assert ["before", "after"] == recorder.ids()


async def test_a_stopped_role_settles_what_it_finished_and_gives_back_the_rest(queue: Queue) -> None:
    """
    On stop: finished work is settled, work cut off at the grace comes back with its outcome unknown, nothing is lost.
    """
    never = asyncio.Event()

    async def decide(entry: Entry, permit: Permit) -> Outcome:
        await permit.token()
        if entry.id == "slow":
            await never.wait()
        return Done("sent")

    recorder = Recorder(decide)
    await queue.send("quick", "a")
    await queue.send("slow", "b")
    role = queue.role(recorder)
    role._grace_s = 0.1
    task = asyncio.create_task(role.run())
    await recorder.count(2)
    role.stop()
    await asyncio.wait_for(task, 10)
    assert await queue.left() == 1

    second = Recorder()
    async with queue.running(second):
        await eventually(queue.empty)

    assert [("slow", 0, True)] == [(e.id, e.tries.crashes, e.tries.outcome_unknown) for e in second.seen]


@pytest.mark.parametrize("end", ["stop", "bug"])
async def test_a_doubt_outlives_a_turn_that_sent_nothing(queue: Queue, end: str) -> None:
    """
    A send of unknown outcome stays so when its next turn ends before any request, by a stop or by a bug.
    """
    never = asyncio.Event()

    async def decide(entry: Entry, permit: Permit) -> Outcome:
        if not entry.tries.outcome_unknown:
            return Retry(0, "lost", unknown=True)
        if end == "bug":
            raise ValueError
        await never.wait()
        raise AssertionError

    recorder = Recorder(decide)
    await queue.send("m1")
    role = queue.role(recorder)
    role._grace_s = 0.1
    task = asyncio.create_task(role.run())
    await recorder.count(2)
    role.stop()
    await asyncio.wait_for(task, 10)

    second = Recorder()
    async with queue.running(second):
        await eventually(queue.empty)

    assert [True] == [entry.tries.outcome_unknown for entry in second.seen]


async def test_indexes_deleted_by_hand_are_mended_from_the_pending_list(queue: Queue) -> None:
    """
    DEL of all indexes stops no chat: one pass of the janitor rebuilds them (R19).
    """
    release = asyncio.Event()

    async def decide(entry: Entry, _permit: Permit) -> Outcome:
        if entry.id == "m0":
            await release.wait()
        return Done("sent")

    recorder = Recorder(decide)
    for n in range(5):
        await queue.send(f"m{n}", "c1")
    async with queue.running(recorder) as role:
        await recorder.count(1)
        await queue.connections.commands.delete(*queue.keys.commands.indexes[1:5])
        release.set()
        await eventually(lambda: role.consumers[0].running == {})
        await role.janitor.mend(role.consumers[0])
        await eventually(queue.empty)

    assert {f"m{n}" for n in range(5)} == set(recorder.ids())
