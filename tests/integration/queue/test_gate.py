"""
The gate: never above the limit, over all takers; pauses stop everybody and end with one probe.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from common.errors import NoPermit
from common.queue import scripts
from common.queue.entry import Entry
from common.queue.gate import Limits, Permit
from common.queue.outcomes import Done, Outcome, Release
from tests.harness import Queue, Recorder, eventually


def worst_window(starts_s: list[float], window_s: float) -> int:
    """
    Return the largest number of starts in any window.
    """
    starts = sorted(starts_s)
    return max(sum(1 for s in starts if first <= s < first + window_s) for first in starts)


async def test_no_window_holds_more_than_the_limit(queue: Queue) -> None:
    """
    Three takers with 10 a second between them: no window of a second, wherever it begins, holds more.
    """
    starts: list[float] = []

    async def decide(_entry: Entry, permit: Permit) -> Outcome:
        await permit.token()
        starts.append(time.monotonic())
        await asyncio.sleep(0.02)
        permit.ended()
        return Done("sent")

    limits = Limits(requests=10, window_s=1.0, connections=4, timeout_s=1.0)
    recorders = [Recorder(decide) for _ in range(3)]
    for n in range(35):
        await queue.send(f"m{n}", f"c{n}")
    roles = [queue.role(recorder, limits) for recorder in recorders]
    tasks = [asyncio.create_task(role.run()) for role in roles]
    await eventually(lambda: len(starts) == 35)
    for role in roles:
        role.stop()
    await asyncio.gather(*tasks)

    assert worst_window(starts, 1.0) <= 10
    assert sum(recorder.most_open for recorder in recorders) <= 12


async def test_slots_are_shared_by_all_replicas(queue: Queue) -> None:
    """
    Two takers with room for 10 each open at most 3 requests together.
    """
    open_now, most = 0, 0

    async def decide(_entry: Entry, _permit: Permit) -> Outcome:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.005)
        open_now -= 1
        return Done("sent")

    limits = Limits(requests=None, window_s=60.0, connections=3, timeout_s=5.0)
    for n in range(60):
        await queue.send(f"m{n}", f"c{n}")
    roles = [queue.role(Recorder(decide), limits, capacity=10) for _ in range(2)]
    tasks = [asyncio.create_task(role.run()) for role in roles]
    await eventually(queue.empty)
    for role in roles:
        role.stop()
    await asyncio.gather(*tasks)

    assert most == 3


async def test_a_token_comes_back_one_window_after_the_request_ended(queue: Queue) -> None:
    """
    With one token, the second request begins a window after the end of the first.
    """
    gate = queue.gate(Limits(requests=1, window_s=0.3, connections=5, timeout_s=1.0))
    async with await gate.acquire(wait_s=1.0) as permit:
        await permit.token()
        await asyncio.sleep(0.05)
        permit.ended()
        ended_s = time.monotonic()
    async with await gate.acquire(wait_s=2.0):
        assert time.monotonic() - ended_s >= 0.29


async def test_a_permit_that_was_never_used_gives_its_token_back(queue: Queue) -> None:
    """
    A permit released without a request leaves the limit untouched.
    """
    gate = queue.gate(Limits(requests=2, window_s=60.0, connections=5, timeout_s=1.0))
    async with await gate.acquire(wait_s=1.0):
        pass

    assert (await gate.usage()).tokens_out == 0


async def test_the_slot_of_an_aborted_request_is_kept_for_the_margin(queue: Queue) -> None:
    """
    After a timeout of ours the other side may still have the request open, so it counts as open for 2 s more.
    """
    gate = queue.gate(Limits(requests=5, window_s=60.0, connections=1, timeout_s=1.0))
    async with await gate.acquire(wait_s=1.0) as permit:
        permit.ended(aborted=True)
    aborted_s = time.monotonic()
    assert (await gate.usage()).slots_open == 1
    async with await gate.acquire(wait_s=10.0):
        assert time.monotonic() - aborted_s >= 1.9


async def test_each_request_in_a_slot_takes_a_token_of_its_own(queue: Queue) -> None:
    """
    Three attempts under one permit use three tokens and one slot.
    """
    gate = queue.gate(Limits(requests=5, window_s=60.0, connections=5, timeout_s=1.0))
    async with await gate.acquire(wait_s=1.0) as permit:
        for _ in range(3):
            await permit.token()
            permit.ended()
        usage = await gate.usage()

    assert (3, 1) == (usage.tokens_out, usage.slots_open)


async def test_who_cannot_wait_is_told_how_long_it_takes(queue: Queue) -> None:
    """
    Without a free token `acquire` refuses at once and names the seconds.
    """
    gate = queue.gate(Limits(requests=1, window_s=30.0, connections=5, timeout_s=1.0))
    async with await gate.acquire(wait_s=1.0) as permit:
        await permit.token()
        permit.ended()
    with pytest.raises(NoPermit) as refused:
        await gate.acquire(wait_s=0.5)

    assert 25 < refused.value.retry_after_s <= 30


async def test_a_pause_stops_everybody_and_ends_with_one_probe(queue: Queue) -> None:
    """
    After a pause one entry goes; only when it passed do the others.
    """
    probes: list[str] = []
    well = asyncio.Event()
    probed = asyncio.Event()

    async def decide(entry: Entry, permit: Permit) -> Outcome:
        await permit.token()
        probes.append(entry.id)
        if len(probes) == 1:
            probed.set()
            await well.wait()
        permit.ended(passed=True)
        return Done("sent")

    gate = queue.gate()
    # Before it begins: its reply may be late.
    started_s = time.monotonic()
    assert await gate.pause(0.2, "429") == pytest.approx(0.2, abs=0.01)
    for n in range(10):
        await queue.send(f"m{n}", f"c{n}")
    async with queue.running(Recorder(decide)):
        await probed.wait()
        assert time.monotonic() - started_s >= 0.15
        assert (1, "429") == (len(probes), (await gate.usage()).reason)
        well.set()
        await eventually(queue.empty)

    assert len(probes) == 10
    assert (await gate.usage()).reason == ""


async def test_after_a_probe_requests_come_back_by_doubling(queue: Queue) -> None:
    """
    When the probe has passed two entries go, then four: what has piled up does not come all at once.
    """
    answered = asyncio.Semaphore(0)

    async def decide(_entry: Entry, permit: Permit) -> Outcome:
        await permit.token()
        await answered.acquire()
        permit.ended(passed=True)
        return Done("sent")

    recorder = Recorder(decide)
    await queue.gate().pause(0.05, "429")
    for n in range(20):
        await queue.send(f"m{n}", f"c{n}")
    async with queue.running(recorder):
        for open_now in (1, 2, 4, 8):
            await eventually(lambda wanted=open_now: recorder.open_now == wanted)  # type: ignore[misc]
            assert recorder.most_open == open_now
            for _ in range(open_now):
                answered.release()
        await recorder.count(20)
        for _ in range(20):
            answered.release()
        await eventually(queue.empty)


async def test_pauses_in_a_row_double_and_never_shrink(queue: Queue) -> None:
    """
    Without a stated time a pause lasts 1 s, then 2 s; a shorter one does not cut it.
    """
    gate = queue.gate(Limits(requests=None, window_s=60.0, connections=5, timeout_s=0.1))
    first = await gate.pause(None, "down")
    again = await gate.pause(None, "down")
    await gate.pause(5.0, "429")
    kept = await gate.pause(0.1, "429")

    assert (1.0, True) == (first, again <= 1.01)
    assert kept > 4.5


async def test_a_lost_gate_counts_as_full_for_one_window(queue: Queue) -> None:
    """
    When the gate's keys vanish under a process that knew them, nothing is sent for a window.
    """
    limits = Limits(requests=100, window_s=0.5, connections=5, timeout_s=1.0)
    gate = queue.gate(limits)
    async with await gate.acquire(wait_s=1.0):
        pass
    await queue.connections.commands.delete(*gate.keys)
    lost_s = time.monotonic()
    with pytest.raises(NoPermit, match="state_lost"):
        await gate.acquire(wait_s=0.01)
    async with await gate.acquire(wait_s=5.0):
        assert time.monotonic() - lost_s >= 0.45


async def test_who_comes_first_after_a_loss_does_not_hide_it(queue: Queue) -> None:
    """
    A new process finds an empty gate and goes; those that knew the old one wait for a window from then on.
    """
    limits = Limits(requests=100, window_s=1.0, connections=5, timeout_s=1.0)
    gate = queue.gate(limits)
    async with await gate.acquire(wait_s=1.0):
        pass
    await queue.connections.commands.delete(*gate.keys)
    async with await queue.gate(limits).acquire(wait_s=0.0):
        lost_s = time.monotonic()
    with pytest.raises(NoPermit, match="state_lost"):
        await gate.acquire(wait_s=0.01)
    async with await gate.acquire(wait_s=5.0):
        assert time.monotonic() - lost_s >= 0.95


async def test_a_request_that_outlasts_the_loss_of_the_gate_still_counts(queue: Queue) -> None:
    """
    However long its timeout is, the others wait for one window; then its token and slot are known again.
    """
    limits = Limits(requests=2, window_s=1.0, connections=2, timeout_s=30.0)
    gate, other = queue.gate(limits), queue.gate(limits)
    async with await gate.acquire(wait_s=1.0) as permit:
        async with await other.acquire(wait_s=1.0):
            pass
        await permit.token()
        await queue.connections.commands.delete(*gate.keys)
        lost_s = time.monotonic()
        async with await other.acquire(wait_s=5.0):
            assert 0.95 <= time.monotonic() - lost_s < 10
            usage = await gate.usage()
        assert (2, 2) == (usage.tokens_out, usage.slots_open)
        permit.ended()
    ended_s = time.monotonic()
    async with await other.acquire(wait_s=5.0) as first, await other.acquire(wait_s=5.0):
        await first.token()
        assert time.monotonic() - ended_s >= 0.95


async def test_a_request_that_ends_while_it_is_entered_anew_leaves_no_slot(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Its end may overtake the call that tells a gate without state of it.
    """
    gate = queue.gate(Limits(requests=2, window_s=0.2, connections=2, timeout_s=30.0))
    entering, ended, keep = asyncio.Event(), asyncio.Event(), scripts.KEEP

    async def late(*call: Any) -> Any:
        entering.set()
        await ended.wait()
        return await keep(*call)

    monkeypatch.setattr(scripts, "KEEP", late)
    permit = await gate.acquire(wait_s=1.0)
    await permit.token()
    await queue.connections.commands.delete(*gate.keys)
    await asyncio.wait_for(entering.wait(), 3)
    permit.ended()
    await permit.release()
    ended.set()
    assert gate._keeping is not None
    await asyncio.wait_for(gate._keeping, 3)

    assert 0 == (await gate.usage()).slots_open


async def test_a_release_costs_no_attempt(queue: Queue) -> None:
    """
    An entry given back comes again with its attempts as they were.
    """

    def decide(_entry: Entry, _permit: Permit) -> Outcome:
        return Release("pause") if len(recorder.seen) < 3 else Done("sent")

    recorder = Recorder(decide)
    await queue.send("m1")
    async with queue.running(recorder):
        await eventually(queue.empty)

    assert [0, 0, 0] == [entry.tries.attempts for entry in recorder.seen]


async def test_the_gates_clock_does_not_follow_a_step_of_the_servers(queue: Queue) -> None:
    """
    When the server's clock seems to jump an hour ahead, tokens that are out stay out (R41).
    """
    gate = queue.gate(Limits(requests=1, window_s=30.0, connections=5, timeout_s=1.0))
    async with await gate.acquire(wait_s=1.0) as permit:
        await permit.token()
        permit.ended()
    # As if the hour had passed between the last look and now.
    await queue.connections.commands.hincrby(gate.keys[0], "at", -3_600_000)
    with pytest.raises(NoPermit):
        await gate.acquire(wait_s=0.01)


async def test_a_process_that_starts_does_not_follow_a_step_either(queue: Queue) -> None:
    """
    Nor does it when the one that looks then has never seen the gate before.
    """
    limits = Limits(requests=1, window_s=30.0, connections=5, timeout_s=1.0)
    async with await queue.gate(limits).acquire(wait_s=1.0) as permit:
        permit.ended()
    await queue.connections.commands.hincrby(queue.gate().keys[0], "at", -3_600_000)
    with pytest.raises(NoPermit):
        await queue.gate(limits).acquire(wait_s=0.01)


@pytest.mark.parametrize("machines", [1, 3])
async def test_the_gates_clock_is_no_faster_than_the_processes(queue: Queue, machines: int) -> None:
    """
    Hundreds of calls by processes that correct each other do not push it ahead of the time that really passes.
    """
    limits = Limits(requests=1, window_s=30.0, connections=5, timeout_s=1.0)
    gates = [queue.gate(limits) for _ in range(3)]
    for n, gate in enumerate(gates):
        gate._clock = f"of machine {n % machines}"

    async def now_ms() -> float:
        return float(await queue.connections.commands.hget(gates[0].keys[0], "now") or 0)

    began_s = time.monotonic()
    await gates[0].pause(0.0, "")
    first_ms = await now_ms()
    for _ in range(300):
        for gate in gates:
            await gate.pause(0.0, "")
    passed_ms = await now_ms() - first_ms

    assert passed_ms <= (time.monotonic() - began_s) * 1000 + 1.0
