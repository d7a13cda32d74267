"""
What the queue counts of what happens to it.
"""

from __future__ import annotations

import asyncio
import re

from common.metrics import GROWTH
from common.queue import keys
from common.queue.connection import connect
from common.queue.entry import Entry
from common.queue.gate import Permit
from common.queue.lease import Lease
from common.queue.outcomes import Dead, Done, Outcome, Release, Retry
from common.queue.replies import redis_ms
from common.queue.reports import Reporter
from tests import servers
from tests.harness import Queue, Recorder, eventually

STARTED = {"step": "send"}


async def _counted(queue: Queue) -> dict[str, float]:
    """
    Return what was reported, but for buckets.
    """
    found = await Reporter(queue.connections, queue.settings.key_prefix).totals()
    return {
        re.sub(r'account="\d+",?', "", name.removeprefix("avito_gateway_")).replace("{}", ""): float(value)
        for name, value in found.items()
        if "_bucket" not in name
    }


async def test_each_end_is_counted_once(queue: Queue) -> None:
    """
    By its outcome, whatever it took; a dead letter with its reason. The wait counts until the first attempt, and a
    break is none; how long it took counts for what was sent.
    """

    def decide(entry: Entry, _permit: Permit) -> Outcome:
        seen = sum(one.id == entry.id for one in recorder.seen)
        match entry.id:
            case "refused":
                return Dead("rejected", "no", attempt=STARTED)
            case "retried" if seen < 3:
                return Release("pause") if seen == 1 else Retry(0.0, "again", attempt=STARTED)
            case "late":
                return Done("expired")
        return Done("sent", attempt=STARTED)

    recorder = Recorder(decide)
    for n, name in enumerate(("sent", "refused", "retried", "late")):
        await queue.send(name, f"c{n}")
    async with queue.running(recorder):
        await eventually(queue.empty)

    found = await _counted(queue)
    seconds = {name: found.pop(name) for name in list(found) if name.partition("{")[0].endswith("_sum")}
    assert {
        'commands_accepted_total{kind="text",priority="interactive"}': 4,
        'commands_finished_total{kind="text",outcome="sent"}': 2,
        'commands_finished_total{kind="text",outcome="failed"}': 1,
        'commands_finished_total{kind="text",outcome="expired"}': 1,
        'dead_letters_added_total{side="commands",reason="rejected"}': 1,
        'wait_seconds_count{queue="commands"}': 3,
        'settled_seconds_count{queue="commands"}': 2,
    } == found
    assert {'wait_seconds_sum{queue="commands"}', 'settled_seconds_sum{queue="commands"}'} == set(seconds)


async def test_a_scheduled_send_waits_from_its_time_on(queue: Queue) -> None:
    """
    What was asked for counts as no wait.
    """
    now_ms = await redis_ms(queue.connections.commands, queue.keys.commands.stream)
    await queue.send("m1", not_before_ms=now_ms + 1500)
    async with queue.running(Recorder(lambda _entry, _permit: Done("sent", attempt=STARTED))):
        await eventually(queue.empty)

    found = await _counted(queue)
    assert 1 == found['wait_seconds_count{queue="commands"}']
    assert found['wait_seconds_sum{queue="commands"}'] < 1.4


async def test_what_a_dead_worker_left_behind_is_counted(queue: Queue) -> None:
    """
    An entry that is put back counts as adopted.
    """
    client, stream = queue.connections.commands, queue.keys.commands.stream
    await queue.send("m1")
    await client.xgroup_create(stream, "dispatcher", "0")
    await client.xreadgroup("dispatcher", "gone-1", {stream: ">"}, count=1)
    async with queue.running(Recorder(), life_s=0.5):
        await eventually(queue.empty)

    assert 1 == (await _counted(queue))['entries_adopted_total{side="commands"}']


async def test_a_result_that_comes_too_late_is_counted(queue: Queue) -> None:
    """
    It is lost when somebody else has the entry, and is no end.
    """

    async def decide(entry: Entry, _permit: Permit) -> Outcome:
        if len(recorder.seen) == 1:
            await queue.connections.commands.xclaim(entry.stream, "dispatcher", "other-1", 0, [entry.entry_id])
        return Done("sent")

    recorder = Recorder(decide)
    await queue.send("m1")
    async with queue.running(recorder, life_s=0.5):
        await eventually(queue.empty)

    found = await _counted(queue)
    assert (1, 1) == (
        found['results_lost_total{side="commands"}'],
        found['commands_finished_total{kind="text",outcome="sent"}'],
    )


async def test_a_lost_group_is_counted(queue: Queue) -> None:
    """
    Once for each worker that misses it.
    """
    await queue.send("m1")
    recorder = Recorder()
    async with queue.running(recorder):
        await recorder.count(1)
        await eventually(queue.empty)
        await queue.connections.commands.xgroup_destroy(queue.keys.commands.stream, "dispatcher")
        await queue.send("m2")
        await eventually(queue.empty)

    assert 1 == (await _counted(queue))['groups_recreated_total{side="commands"}']


async def test_a_lost_name_is_counted(queue: Queue) -> None:
    """
    Each time that a worker has to take a new one.
    """
    lease = Lease(queue.connections, queue.settings.key_prefix)
    await lease.beat()
    for _ in range(2):
        await queue.connections.commands.delete(keys.workers(queue.settings.key_prefix))
        await lease.beat()

    assert 2 == (await _counted(queue))["leases_lost_total"]


async def test_an_outage_is_counted_once() -> None:
    """
    However often the name could not be renewed in it.
    """
    with servers.embedded() as server:
        connections = connect(server.connection_url)
        lease = Lease(connections, "test", life_s=0.3, beat_s=0.02)
        stopped = asyncio.Event()
        running = asyncio.create_task(lease.run(stopped))
        await eventually(lambda: lease.fresh)
        for _ in range(2):
            server.stop()
            await eventually(lambda: not lease.fresh)
            server.start()
            await eventually(lambda: lease.fresh)
        stopped.set()
        await running
        await connections.aclose()

    assert {"avito_gateway_redis_outages_total": 2.0} == {
        str(sample): growth for sample, growth in GROWTH.take().items() if sample.name.endswith("outages_total")
    }
