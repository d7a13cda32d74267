"""
What processes count: added up in Redis, and minute by minute.
"""

from __future__ import annotations

import asyncio
from unittest import mock

import pytest
from prometheus_client import CollectorRegistry, Counter

from common.errors import GatewayError, RedisRefused
from common.metrics import Children, Growth
from common.queue import keys
from common.queue.connection import Connections, connect
from common.queue.history import History
from common.queue.outcomes import Dead, Done
from common.queue.reports import Reporter
from tests import servers
from tests.harness import USER_ID, Queue, Recorder, eventually

NAME = "avito_gateway_commands_accepted_total"
SERIES = f'{NAME}{{account="{USER_ID}"}}'


class Process:
    """
    The counts of one process of several.
    """

    def __init__(self, connections: Connections, prefix: str) -> None:
        registry = CollectorRegistry()
        self.accepted = Children(Counter(NAME, "Accepted.", ("account",), registry=registry))
        self.reporter = Reporter(connections, prefix, growth=Growth(registry))


async def _totals(queue: Queue) -> dict[str, float]:
    found = await queue.connections.commands.hgetall(keys.totals(queue.settings.key_prefix))
    return {str(name): float(value) for name, value in found.items()}


async def test_what_processes_counted_is_added_up(queue: Queue) -> None:
    """
    Each adds what it has counted since its last report; one that starts anew takes nothing back.
    """
    first, second = (Process(queue.connections, queue.settings.key_prefix) for _ in range(2))
    first.accepted[USER_ID].inc(2)
    second.accepted[USER_ID].inc(0.5)
    await first.reporter.report()
    await second.reporter.report()
    first.accepted[USER_ID].inc()
    await first.reporter.report()
    restarted = Process(queue.connections, queue.settings.key_prefix)
    restarted.accepted[USER_ID].inc()
    await restarted.reporter.report()

    assert {SERIES: 4.5} == await _totals(queue)


async def test_nothing_counted_costs_no_command(queue: Queue) -> None:
    """
    A process to which nothing happens sends nothing.
    """
    process = Process(queue.connections, queue.settings.key_prefix)
    process.accepted[USER_ID].inc()
    await process.reporter.report()

    with mock.patch.object(queue.connections.commands, "execute_command", side_effect=AssertionError("a command")):
        await process.reporter.report()


async def test_a_report_that_fails_is_in_the_next() -> None:
    """
    While Redis refuses writes, or is away, counts are kept; the report after that has them all.
    """
    with servers.embedded() as server:
        connections = connect(server.connection_url)
        process = Process(connections, "test")
        await connections.commands.config_set("maxmemory", "1")
        process.accepted[USER_ID].inc(3)
        with pytest.raises(RedisRefused):
            await process.reporter.report()
        await connections.commands.config_set("maxmemory", "0")
        process.accepted[USER_ID].inc()
        await process.reporter.report()
        found = await connections.commands.hgetall(keys.totals("test"))
        server.stop()
        process.accepted[USER_ID].inc(5)
        with pytest.raises(GatewayError):
            await process.reporter.report()
        server.start()
        await connections.commands.delete(keys.totals("test"))
        await process.reporter.report()
        after = await connections.commands.hgetall(keys.totals("test"))
        await connections.aclose()

    assert ({SERIES: "4"}, {SERIES: "5"}) == (found, after)


async def test_the_last_report_comes_when_a_process_stops(queue: Queue) -> None:
    """
    What was counted since the last report is reported at once then.
    """
    process = Process(queue.connections, queue.settings.key_prefix)
    stopped = asyncio.Event()
    running = asyncio.create_task(process.reporter.run(stopped))
    process.accepted[USER_ID].inc()
    stopped.set()
    await asyncio.wait_for(running, 2.0)

    assert {SERIES: 1.0} == await _totals(queue)


async def test_the_last_hour_is_what_came_went_and_waits(queue: Queue) -> None:
    """
    Of three commands one is sent, one fails and one is put off; of another account there is nothing.
    """

    def decide(entry: object, _permit: object) -> Done | Dead:
        return Dead("rejected", "no") if getattr(entry, "id", "") == "bad" else Done("sent")

    handler = Recorder(decide)
    history = History(queue.connections, queue.settings)
    async with queue.running(handler):
        await queue.send("good")
        await queue.send("bad", chat_id="c2")
        await queue.send("later", chat_id="c3", not_before_ms=2**42)
        await eventually(lambda: _is_left(queue, 1))
    found = await history.last_hour(USER_ID)
    nobodys = await history.last_hour("2")

    assert 60 == len(found) == len(nobodys)
    assert [minute.minute for minute in found] == list(range(found[0].minute, found[0].minute + 60))
    commands = [minute.commands for minute in found]
    assert (3, 1, 1, 1) == (
        sum(flow.accepted for flow in commands),
        sum(flow.done for flow in commands),
        sum(flow.failed for flow in commands),
        commands[-1].waiting,
    )
    # The test may run into the next minute, but not further.
    assert all(flow.waiting == 0 for flow in commands[:-2])
    assert {(0, 0, 0, 0)} == {
        (flow.accepted, flow.done, flow.failed, flow.waiting)
        for minute in nobodys
        for flow in (minute.commands, minute.events)
    }


async def _is_left(queue: Queue, entries: int) -> bool:
    return await queue.left() == entries
