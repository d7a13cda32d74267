"""
One account in virtual time: dispatchers as they are, a stand-in for Avito, and who sends and reads.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from common.errors import NoPermit
from common.queue.connection import Connections
from common.queue.entry import Entry
from common.queue.gate import Gate, Limits, Permit
from common.queue.outcomes import Done, Outcome, Release, Retry
from common.queue.role import Role
from common.settings import Settings
from sandbox.rate import worst_window
from tests.harness import USER_ID, Queue
from tests.limiter.virtual import World

BULK_CHATS = 500
_READ_WAIT_S = 20.0


@dataclass
class Request:
    """
    One request as Avito sees it: it arrives some time after its start and is open until its end.
    """

    kind: str
    start_s: float
    arrived_s: float
    end_s: float
    limited: bool = False


Refuses = Callable[[Request, Sequence[Request]], float | None]


def _never(_request: Request, _made: Sequence[Request]) -> float | None:
    return None


@dataclass
class Scene:
    """
    An account with its load.

    `latency_s` draws how long a request takes, and its answer is under way for at least `home_s` of that. `refuses`
    says when Avito answers 429, and what Retry-After then says (0: nothing). Of `timeouts` requests no answer comes.
    """

    world: World
    connections: Connections
    settings: Settings
    limits: Limits
    chance: random.Random
    latency_s: Callable[[random.Random], float]
    refuses: Refuses = _never
    timeouts: float = 0.0
    home_s: float = 0.0
    requests: list[Request] = field(default_factory=list)
    waits_s: dict[str, list[float]] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    pauses: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """
        Make what sends and reads.
        """
        self.queue = Queue(self.connections, self.settings)
        self.reader = self.gate()
        self._accepted_s: dict[str, float] = {}
        self._ids = itertools.count(1)
        self._machines = itertools.count(1)
        self._loads: list[asyncio.Task[None]] = []
        self._reads: set[asyncio.Task[None]] = set()
        self._roles: dict[Role, asyncio.Task[None]] = {}

    def gate(self) -> Gate:
        """
        Return a gate as a process has it.
        """
        return self.queue.gate(self.limits)

    # -- the gateway

    def start_dispatcher(self, *, own_machine: bool = False) -> Role:
        """
        Start one, on the machine of the others or on another.
        """
        gate = self.gate()
        if own_machine:
            gate._clock = f"of machine {next(self._machines)}"
        role = Role(
            "dispatcher",
            self.connections,
            self.settings.key_prefix,
            {USER_ID: (gate, lambda entry, permit: self._send(entry, permit, gate))},
            capacity=self.limits.connections,
            grace_s=self.limits.timeout_s,
        )
        self._roles[role] = asyncio.create_task(role.run())
        return role

    async def stop_dispatcher(self, role: Role) -> None:
        """
        Stop one as SIGTERM does.
        """
        role.stop()
        await self._roles.pop(role)

    async def _send(self, entry: Entry, permit: Permit, gate: Gate) -> Outcome:
        kind = entry.fields["body"]
        if entry.tries.outcome_unknown:
            await self._request(f"look-up {kind}", permit)
        elif entry.id in self._accepted_s:
            self.waits_s.setdefault(kind, []).append(self.world.now_s() - self._accepted_s.pop(entry.id))
        paused_s, aborted = await self._request(kind, permit)
        if paused_s is not None:
            paused_s = await gate.pause(paused_s or None, "rate_limited")
            self.pauses.append((self.world.now_s(), self.world.now_s() + paused_s))
            return Release("429")
        return Retry(0.0, "timeout", unknown=True) if aborted else Done("sent")

    async def _request(self, kind: str, permit: Permit) -> tuple[float | None, bool]:
        await permit.token()
        aborted = self.chance.random() < self.timeouts
        took_s = self.limits.timeout_s if aborted else self.latency_s(self.chance)
        start_s = self.world.now_s()
        # At its first or at its last moment, or in between: what is worst for the limit is among it.
        share = self.chance.choice((0.0, 1.0, self.chance.random()))
        request = Request(kind, start_s, start_s + (took_s - self.home_s) * share, start_s + took_s)
        paused_s = None if aborted else self.refuses(request, self.requests)
        request.limited = paused_s is not None
        self.requests.append(request)
        await asyncio.sleep(took_s)
        permit.ended(aborted=aborted, passed=not request.limited)
        return paused_s, aborted

    # -- the load

    async def fill(self, count: int) -> None:
        """
        Queue bulk messages, as if they had been there before.
        """
        for first in range(0, count, 1000):
            pipe = self.connections.commands.pipeline(transaction=False)
            for n in range(first, min(first + 1000, count)):
                fields = {"id": f"bulk-{n}", "kind": "text", "chat_id": f"bulk-{n % BULK_CHATS}", "body": "bulk"}
                pipe.xadd(self.queue.keys.bulk.stream, fields)  # type: ignore[arg-type]
            await pipe.execute()
        self.accepted["bulk"] += count

    def send(self, a_minute: float) -> None:
        """
        Send interactive messages at random, each to a chat of its own.
        """
        self._loads.append(asyncio.create_task(self._sends(self._paces(a_minute))))

    def read(self, a_minute: float) -> None:
        """
        Read for the REST API at random; who gets no permit in 20 s gives up.
        """
        self._loads.append(asyncio.create_task(self._reads_on(self._paces(a_minute))))

    def _paces(self, a_minute: float) -> Iterator[float]:
        # Drawn apart from all else: the load of a run is that of its seed.
        chance = random.Random(self.chance.random())
        return (chance.expovariate(a_minute / 60.0) for _ in itertools.count())

    async def _sends(self, pauses_s: Iterator[float]) -> None:
        stream = self.queue.keys.commands.stream
        for pause_s in pauses_s:
            await asyncio.sleep(pause_s)
            name = f"single-{next(self._ids)}"
            self._accepted_s[name] = self.world.now_s()
            self.accepted["single"] += 1
            fields = {"id": name, "kind": "text", "chat_id": name, "body": "single"}
            await self.connections.commands.xadd(stream, fields)  # type: ignore[arg-type]
            self.world.added(stream)

    async def _reads_on(self, pauses_s: Iterator[float]) -> None:
        for pause_s in pauses_s:
            await asyncio.sleep(pause_s)
            task = asyncio.create_task(self._read())
            self._reads.add(task)
            task.add_done_callback(self._reads.discard)

    async def _read(self) -> None:
        asked_s = self.world.now_s()
        try:
            async with await self.reader.acquire(wait_s=_READ_WAIT_S) as permit:
                self.waits_s.setdefault("read", []).append(self.world.now_s() - asked_s)
                await self._request("read", permit)
        except NoPermit:
            self.given_up += 1

    async def stop(self) -> None:
        """
        End the load, then the dispatchers.
        """
        for load in self._loads:
            load.cancel()
        await asyncio.gather(*self._loads, *self._reads, return_exceptions=True)
        await asyncio.gather(*(self.stop_dispatcher(role) for role in list(self._roles)))

    # -- what came of it

    def worst(self) -> int:
        """
        Return the most arrivals in any window, wherever it begins.
        """
        return worst_window(sorted(request.arrived_s for request in self.requests), self.limits.window_s)

    def most_open(self) -> int:
        """
        Return the most requests that were open at once.
        """
        changes = sorted(
            [(request.start_s, 1) for request in self.requests] + [(request.end_s, -1) for request in self.requests]
        )
        return max(itertools.accumulate(change for _, change in changes), default=0)

    def sent_in_pauses(self, travel_s: float) -> int:
        """
        Return how many requests began while a pause was known to all.
        """
        return sum(
            any(since_s + travel_s < request.start_s < until_s - travel_s for since_s, until_s in self.pauses)
            for request in self.requests
        )

    def back_at_once(self, within_s: float) -> int:
        """
        Return the most requests that began in the first time after the end of a pause.
        """
        return max(
            (
                sum(until_s - 0.001 <= request.start_s < until_s + within_s for request in self.requests)
                for _, until_s in self.pauses
            ),
            default=0,
        )

    def share(self, since_s: float, until_s: float, kind: str = "") -> float:
        """
        Return which part of the limit was used in a time, by one kind of request or by all.
        """
        made = [one for one in self.requests if since_s <= one.arrived_s < until_s and one.kind.startswith(kind)]
        assert self.limits.requests is not None
        return len(made) / (self.limits.requests * (until_s - since_s) / self.limits.window_s)


@asynccontextmanager
async def scene(
    world: World,
    settings: Settings,
    *,
    limits: Limits,
    chance: random.Random,
    latency_s: Callable[[random.Random], float],
    refuses: Refuses = _never,
    timeouts: float = 0.0,
    home_s: float = 0.0,
) -> AsyncIterator[Scene]:
    """
    Make an account; all that runs in it has ended after the block.
    """
    connections = world.connect()
    made = Scene(world, connections, settings, limits, chance, latency_s, refuses, timeouts, home_s)
    try:
        yield made
        await made.stop()
    finally:
        await made.queue.intake.stop()
        await connections.aclose()
