"""
Loops that fail or hang, errors that name a role change, consumers that are left over: nobody has to do anything.
"""

from __future__ import annotations

import asyncio

import pytest
from redis import exceptions
from structlog.testing import capture_logs

from common.errors import GroupLost
from common.queue import consumer as consumers
from common.queue import scripts
from common.queue.connection import meaning
from common.queue.entry import Entry
from common.queue.gate import Permit
from common.queue.outcomes import Done, Outcome
from tests.harness import Queue, Recorder, eventually


async def _never(*_: object) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("word", ["READONLY replica", "MASTERDOWN link", "LOADING dataset", "UNBLOCKED force unblock"])
async def test_a_worker_waits_out_what_redis_says_and_warns_once(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """
    Five refusals in a row: one warning, old connections dropped after a role change, then work goes on.
    """
    recorder, refusals, dropped = Recorder(), [word] * 5, []
    async with queue.running(recorder) as role:
        (consumer,) = role.consumers
        turn, drop = consumer._turn, type(queue.connections).drop

        async def refuse(free: int) -> consumers.Taken:
            if refusals:
                raise meaning(exceptions.ResponseError(refusals.pop()))
            return await turn(free)

        async def note(connections: object) -> None:
            dropped.append(connections)
            await drop(queue.connections)

        monkeypatch.setattr(consumer, "_turn", refuse)
        monkeypatch.setattr(type(queue.connections), "drop", note)
        with capture_logs() as logs:
            await queue.send("m1")
            await recorder.count(1)

    assert len([line for line in logs if line["log_level"] == "warning"]) == 1
    assert len(dropped) == (0 if word.startswith("LOADING") else 5)


async def test_a_group_that_stays_lost_is_asked_for_ever_more_slowly(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The first time it is made again at once; then with back-off, and with one warning for all.
    """
    recorder, pauses = Recorder(), []
    async with queue.running(recorder) as role:
        (consumer,) = role.consumers
        turn, back_off, left = consumer._turn, consumer._back_off, 4

        async def lose(free: int) -> consumers.Taken:
            nonlocal left
            if left:
                left -= 1
                raise GroupLost("NOGROUP")
            return await turn(free)

        async def note(failures: int) -> None:
            pauses.append(failures)
            await back_off(failures)

        monkeypatch.setattr(consumer, "_turn", lose)
        monkeypatch.setattr(consumer, "_back_off", note)
        with capture_logs() as logs:
            await queue.send("m1")
            await recorder.count(1)

    assert [2, 3, 4] == pauses
    assert ["take.failed"] == [line["event"] for line in logs if line["log_level"] == "warning"]


async def test_what_a_deleted_stream_had_blocked_goes_on_soon(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A bulk message waits for an interactive one of its chat; when that stream is deleted, it goes with the janitor's
    next pass, not only with one that mends everything.
    """
    monkeypatch.setattr("common.queue.janitor._MEND_EACH", 1000)
    release = asyncio.Event()

    async def hold(entry: Entry, _permit: Permit) -> Outcome:
        if entry.id == "m1":
            await release.wait()
        return Done("sent")

    recorder = Recorder(hold)
    async with queue.running(recorder):
        await queue.send("m1", "a")
        await recorder.count(1)
        await queue.send("b1", "a", priority="bulk")
        await eventually(lambda: _is_behind(queue))
        await queue.connections.commands.delete(queue.keys.commands.stream)
        try:
            await recorder.count(2, 15.0)
        finally:
            release.set()

    assert recorder.ids() == ["m1", "b1"]


async def _is_behind(queue: Queue) -> bool:
    consumers = await queue.connections.commands.xinfo_consumers(queue.keys.bulk.stream, "dispatcher")
    return any(row["name"] == "~lane" and row["pending"] for row in consumers)


async def test_a_turn_that_hangs_is_cut_short(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A loop that waits for what never comes begins its turn anew.
    """
    monkeypatch.setattr(consumers, "_TURN_S", 0.2)
    recorder = Recorder()
    async with queue.running(recorder) as role:
        (consumer,) = role.consumers
        await eventually(lambda: consumer._grouped)
        monkeypatch.setattr(consumer, "_take", _never)
        consumer.wake()
        with capture_logs() as logs:
            await eventually(lambda: bool(logs))
        monkeypatch.undo()
        await queue.send("m1")
        await recorder.count(1)

    assert ("take.failed", "TimeoutError") == (logs[0]["event"], logs[0]["error_type"])


async def test_a_loop_that_fails_begins_anew(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A bug in a loop is logged and ends neither the loop nor the process.
    """
    recorder = Recorder()
    async with queue.running(recorder) as role:
        (consumer,) = role.consumers

        async def fail(_free: int) -> consumers.Taken:
            monkeypatch.undo()
            raise ZeroDivisionError

        monkeypatch.setattr(consumer, "_turn", fail)
        with capture_logs() as logs:
            await queue.send("m1")
            await recorder.count(1)

    assert [("loop.failed", "ZeroDivisionError")] == [
        (line["event"], line["error_type"]) for line in logs if line["log_level"] == "error"
    ]


async def test_only_a_consumer_without_work_and_without_a_heartbeat_is_removed(queue: Queue) -> None:
    """
    One script looks and removes: what is pending, alive, or the gateway's own stays.
    """
    stream = queue.keys.commands.stream
    await queue.send("m1")
    for each in (queue.keys.commands, queue.keys.bulk):
        await scripts.ENSURE(queue.connections.commands, each.indexes, ["dispatcher"])
    redis = queue.connections.commands
    for name in ("left-over", "alive", "busy", "~retry"):
        await redis.xgroup_createconsumer(stream, "dispatcher", name)
    await redis.xreadgroup("dispatcher", "busy", {stream: ">"}, count=1)
    gate = queue.gate()
    keys = [*queue.keys.commands.indexes, *queue.keys.bulk.indexes, *gate.keys]
    long_ms, names = 3_600_000, ["alive"]

    async def remove(gone_ms: int) -> int:
        arguments = [2, "dispatcher", "caller", long_ms, gone_ms, 100, *gate.arguments, len(names), *names]
        adopted, deleted = await scripts.ADOPT(redis, keys, arguments)
        assert adopted == 0
        return int(deleted)

    assert await remove(gone_ms=long_ms) == 0
    assert await remove(gone_ms=0) == 1
    assert {"alive", "busy", "~retry"} == {row["name"] for row in await redis.xinfo_consumers(stream, "dispatcher")}
