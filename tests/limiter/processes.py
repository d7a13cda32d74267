"""
The limiter with processes for real: a window of two seconds, judged by the times at which requests arrive at Avito.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from common.queue.connection import connect
from sandbox import AvitoFault, Options, Sandbox
from tests import servers
from tests.chaos.installation import faked, step
from tests.fleet import Fleet, fleet
from tests.harness import eventually

WINDOW_S = 2.0
TIMEOUT_S = 1.0
CHATS = 200
# A message a chat in each request to the bulk endpoint: no chat waits long for its turn.
ROUNDS = 8
STEPS_S = (0, 1, -1, 30, -30, 3600, -3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    One run of three dispatchers under a backlog, with single messages and reads beside it.

    `slow`: answers take from 5 ms to longer than the timeout, so some are looked up. `kill_each_s`: a dispatcher is
    killed so often, and another started. `step_each_s`: so often Redis' clock is set to another time.
    """

    name: str
    title: str
    requests: int = 30
    connections: int = 8
    slow: bool = False
    kill_each_s: float | None = None
    step_each_s: float | None = None
    share_at_least: float | None = None


RUNS = (
    Run(
        name="steady",
        title="3 dispatchers, reads and single messages beside bulk, BULK_RESERVE=0",
        share_at_least=0.5,
    ),
    Run(
        name="dying",
        title="the same, answers after 5 ms to longer than the timeout, a dispatcher killed (-9) every 4 s",
        slow=True,
        kill_each_s=4.0,
    ),
    Run(
        name="stepping",
        title="the same, and Redis' clock set by up to an hour, there and back, every 2 s",
        slow=True,
        kill_each_s=4.0,
        step_each_s=2.0,
    ),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What Avito saw of a run.
    """

    run: Run
    windows: int
    requests: int
    worst: int
    most_open: int
    share: float
    done: dict[str, int] = field(default_factory=dict)

    def broken(self) -> list[str]:
        """
        Say which bounds do not hold.
        """
        least = self.run.share_at_least
        checks = {
            "above the limit": self.worst > self.run.requests,
            "too many open": self.most_open > self.run.connections,
            "limit not used": least is not None and self.share < least,
        }
        return [name for name, is_so in checks.items() if is_so]


async def play(run: Run, folder: Path, *, windows: int) -> Seen:
    """
    Let a run last for so many windows after the first.
    """
    clock = folder / "clock" if run.step_each_s else None
    async with contextlib.AsyncExitStack() as stack:
        with faked(clock):
            redis = stack.enter_context(servers.embedded())
        sandbox = await stack.enter_async_context(Sandbox.start(Options(chats=CHATS)))
        sandbox.faults.add(AvitoFault(kind="latency", delay_s=0.005, delay_max_s=0.02))
        if run.slow:
            sandbox.faults.add(AvitoFault(kind="latency", delay_max_s=1.3 * TIMEOUT_S, probability=0.1))
        connections = connect(redis.connection_url, timeout_s=5.0)
        stack.push_async_callback(connections.aclose)
        settings = {
            "RATE_LIMIT_REQUESTS": str(run.requests),
            "RATE_LIMIT_WINDOW": str(WINDOW_S),
            "MAX_CONNECTIONS": str(run.connections),
            "CONNECTION_TIMEOUT": str(TIMEOUT_S),
            "BULK_RESERVE": "0",
            "RETRY_MIN_WAIT": "0.05",
            "RETRY_MAX_WAIT": "0.2",
            "RECONCILE_INTERVAL": "0",
        }
        made = fleet(connections, redis.connection_url, sandbox, folder, **settings)
        running = await stack.enter_async_context(made)
        await running.start("ingress")
        await _fill(running)
        await running.start_all(*[("dispatcher",)] * 3)
        async with _troubled(run, running, clock) as done:
            await eventually(lambda: bool(sandbox.journal.list("avito")))
            await asyncio.sleep(WINDOW_S)
            since_s = time.monotonic()
            await asyncio.sleep(windows * WINDOW_S)
            until_s = time.monotonic()
        assert not await running.queue.empty(), "the backlog ran out"
        arrived_s = [record.arrived_mono_s for record in sandbox.journal.list("avito")]
        return Seen(
            run=run,
            windows=windows,
            requests=len(arrived_s),
            worst=sandbox.journal.worst(WINDOW_S),
            most_open=sandbox.journal.open_max["avito"],
            share=sum(since_s <= at < until_s for at in arrived_s) / (run.requests * (until_s - since_s) / WINDOW_S),
            done=dict(done),
        )


async def _fill(running: Fleet) -> None:
    chats = [chat.id for chat in running.sandbox.avito.chats]
    for n in range(ROUNDS):
        messages = [{"chat_id": chat_id, "text": f"bulk {n}"} for chat_id in chats]
        answer = await running.client.post("/api/messages/send/bulk", json={"messages": messages})
        assert answer.status_code == 202, answer.text


@contextlib.asynccontextmanager
async def _troubled(run: Run, running: Fleet, clock: Path | None) -> AsyncIterator[Counter[str]]:
    """
    Send, read, kill and set the clock while the block runs; count what was done.
    """
    chance = random.Random(0)
    done: Counter[str] = Counter()
    loops = [_each(0.5, lambda: _send(running, chance, done)), _each(0.25, lambda: _read(running, done))]
    if run.kill_each_s:
        loops.append(_each(run.kill_each_s, lambda: _kill(running, chance, done)))
    if run.step_each_s and clock:
        loops.append(_each(run.step_each_s, lambda: _step(clock, chance, done)))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(loop) for loop in loops]
        yield done
        for task in tasks:
            task.cancel()


async def _each(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await work()


async def _send(running: Fleet, chance: random.Random, done: Counter[str]) -> None:
    chat = chance.choice(list(running.sandbox.avito.chats))
    with contextlib.suppress(httpx.TransportError):
        await running.client.post("/api/messages/send", json={"chat_id": chat.id, "text": "single"})
        done["single messages"] += 1


async def _read(running: Fleet, done: Counter[str]) -> None:
    with contextlib.suppress(httpx.TransportError):
        await running.client.get("/api/chats", timeout=TIMEOUT_S)
        done["reads"] += 1


async def _kill(running: Fleet, chance: random.Random, done: Counter[str]) -> None:
    alive = [process for process in running.processes[1:] if process.returncode is None]
    await running.stop(chance.choice(alive), signal.SIGKILL)
    await running.start("dispatcher")
    done["kills"] += 1


async def _step(clock: Path, chance: random.Random, done: Counter[str]) -> None:
    step(clock, chance.choice(STEPS_S))
    done["steps"] += 1
