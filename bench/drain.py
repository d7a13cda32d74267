"""
How fast the queue drains, and how soon an idle one hands an entry to its handler.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bench.samples import USER_ID, chat
from bench.stats import Measurement, of_latencies
from bench.store import Store
from common.queue.connection import connect
from common.queue.consumer import Handler
from common.queue.entry import Entry
from common.queue.gate import Gate, Limits, Permit
from common.queue.intake import Accepted, Intake, NewCommand
from common.queue.keys import AccountKeys
from common.queue.outcomes import Done, Outcome
from common.queue.role import Role

SLOTS: Final = 64
NO_RATE: Final = Limits(requests=None, window_s=60.0, connections=SLOTS, timeout_s=30.0)
_CHUNK: Final = 2000
_LONGEST_S: Final = 30.0
_GRACE_S: Final = 5.0


class QueueError(Exception):
    """
    The queue did not do what it promises: an order was broken, or something is left.
    """


class _InOrder:
    """
    A handler that does nothing but look at the order: each chat's numbers must rise, and none may be missing.
    """

    def __init__(self, count: int, chats: int) -> None:
        self.all_seen = asyncio.Event()
        self.broken: list[str] = []
        self._left = count
        self._chats = chats
        self._last: dict[str, int] = {}

    async def __call__(self, entry: Entry, permit: Permit) -> Outcome:  # noqa: ARG002 - a handler's signature
        number = int(entry.id)
        last = self._last.get(entry.chat_id, number % self._chats - self._chats)
        if number != last + self._chats:
            self.broken.append(entry.chat_id)
        self._last[entry.chat_id] = number
        self._left -= 1
        if self._left <= 0:
            self.all_seen.set()
        return Done("sent")


class _Clock:
    """
    A handler that notes when each entry came.
    """

    def __init__(self, count: int) -> None:
        self.came_s: dict[str, float] = {}
        self.all_seen = asyncio.Event()
        self._count = count

    async def __call__(self, entry: Entry, permit: Permit) -> Outcome:  # noqa: ARG002 - a handler's signature
        self.came_s[entry.id] = time.perf_counter()
        if len(self.came_s) >= self._count:
            self.all_seen.set()
        return Done("sent")


async def drain(store: Store, *, count: int, chats: int) -> Measurement:
    """
    Fill the queue, then measure one dispatcher from its start until everything is settled.

    Raises:

        QueueError: a chat's order was broken, or something is left.

    """
    await store.empty()
    await fill(store, count)
    return await drain_filled(store, count=count, chats=chats)


async def drain_filled(store: Store, *, count: int, chats: int) -> Measurement:
    """
    Measure as `drain` does; the queue is full already.
    """
    handler = _InOrder(count, chats)
    role = _role(store, handler)
    began_s = time.perf_counter()
    running = asyncio.create_task(role.run())
    try:
        await asyncio.wait_for(handler.all_seen.wait(), _LONGEST_S)
        # A task ends when its result is settled.
        await asyncio.gather(*(consumer.drain(_GRACE_S) for consumer in role.consumers))
        took_s = time.perf_counter() - began_s
    finally:
        role.stop()
        await running
    left = await store.length(AccountKeys(store.settings.key_prefix, USER_ID).commands.stream)
    if handler.broken or left:
        raise QueueError(f"{len(handler.broken)} times a chat's order was broken, {left} entries are left")
    return Measurement(rate_per_s=count / took_s)


async def idle_latency(store: Store, *, count: int, per_s: float) -> Measurement:
    """
    Measure from handing a command to the intake until the handler has it, the acceptance in Redis included.
    """
    await store.empty()
    handler = _Clock(count)
    handed_in_s: dict[str, float] = {}
    async with _intake(store) as intake, asyncio.TaskGroup() as group:
        role = _role(store, handler)
        running = asyncio.create_task(role.run())
        try:
            next_s = time.perf_counter()
            for number in range(count):
                # By the clock and not one after the other: what is late does not slow down what follows.
                next_s += 1 / per_s
                await asyncio.sleep(max(0.0, next_s - time.perf_counter()))
                handed_in_s[str(number)] = time.perf_counter()
                group.create_task(intake.command(USER_ID, _command(number)))
            await asyncio.wait_for(handler.all_seen.wait(), _LONGEST_S)
        finally:
            role.stop()
            await running
    return of_latencies([handler.came_s[name] - since_s for name, since_s in handed_in_s.items()])


async def fill(store: Store, count: int, first: int = 0) -> None:
    """
    Put commands into the queue, chat by chat in turn, numbered from `first`.
    """
    async with _intake(store) as intake:
        for begin in range(first, first + count, _CHUNK):
            numbers = range(begin, min(begin + _CHUNK, first + count))
            replies = await intake.commands(USER_ID, [_command(number) for number in numbers])
            if not all(isinstance(reply, Accepted) for reply in replies):
                raise QueueError("the queue did not accept everything")


@asynccontextmanager
async def _intake(store: Store) -> AsyncIterator[Intake]:
    # Connections of its own, as of another process.
    connections = connect(store.url)
    intake = Intake(connections, store.settings)
    try:
        yield intake
    finally:
        await intake.stop()
        await connections.aclose()


def _command(number: int) -> NewCommand:
    return NewCommand(id=str(number), kind="text", chat_id=chat(number), body={"text": "Yes, come and see it."})


def _role(store: Store, handler: Handler) -> Role:
    settings = store.settings
    gate = Gate(store.connections, AccountKeys(settings.key_prefix, USER_ID), "avito", NO_RATE)
    return Role(
        "dispatcher",
        store.connections,
        settings.key_prefix,
        {USER_ID: (gate, handler)},
        capacity=SLOTS,
        grace_s=_GRACE_S,
    )
