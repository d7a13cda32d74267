"""
A role on a real server with a handler that records what it got, for tests of the queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from common.queue.connection import Connections
from common.queue.entry import Entry
from common.queue.gate import Gate, Limits, Permit
from common.queue.intake import Accepted, Intake, NewCommand
from common.queue.keys import AccountKeys
from common.queue.outcomes import Done, Outcome
from common.queue.records import Records
from common.queue.role import Role
from common.settings import Settings

USER_ID = "100000001"
UNLIMITED = Limits(requests=None, window_s=60.0, connections=20, timeout_s=30.0)

Decide = Callable[[Entry, Permit], Awaitable[Outcome] | Outcome]


async def eventually(condition: Callable[[], bool | Awaitable[bool]], timeout_s: float = 15.0) -> None:
    """
    Wait until a condition holds; fail after `timeout_s`.
    """
    async with asyncio.timeout(timeout_s):
        while True:
            held = condition()
            if not isinstance(held, bool):
                held = await held
            if held:
                return
            await asyncio.sleep(0.01)


@dataclass
class Recorder:
    """
    A handler: notes each entry, then answers as `decide` says.
    """

    decide: Decide = lambda _entry, _permit: Done("sent")
    seen: list[Entry] = field(default_factory=list)
    open_now: int = 0
    most_open: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __call__(self, entry: Entry, permit: Permit) -> Outcome:
        """
        Handle one entry.
        """
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        async with self.changed:
            self.seen.append(entry)
            self.changed.notify_all()
        try:
            outcome = self.decide(entry, permit)
            return outcome if not isinstance(outcome, Awaitable) else await outcome
        finally:
            self.open_now -= 1

    def ids(self) -> list[str]:
        """
        Return the ids in the order in which they were handled.
        """
        return [entry.id for entry in self.seen]

    async def count(self, wanted: int, timeout_s: float = 15.0) -> None:
        """
        Wait until so many entries were handled.
        """
        async with asyncio.timeout(timeout_s), self.changed:
            await self.changed.wait_for(lambda: len(self.seen) >= wanted)


@dataclass
class Queue:
    """
    One account's queue as a test sees it.
    """

    connections: Connections
    settings: Settings
    user_id: str = USER_ID

    def __post_init__(self) -> None:
        """
        Make the parts.
        """
        self.keys = AccountKeys(self.settings.key_prefix, self.user_id)
        self.intake = Intake(self.connections, self.settings)
        self.records = Records(self.connections, self.settings)

    def gate(self, limits: Limits = UNLIMITED, destination: Literal["avito", "n8n"] = "avito") -> Gate:
        """
        Return a gate of the account.
        """
        return Gate(self.connections, self.keys, destination, limits)

    async def send(self, command_id: str, chat_id: str = "c1", **more: object) -> Accepted:
        """
        Accept one text.
        """
        command = NewCommand(id=command_id, kind="text", chat_id=chat_id, body={"text": command_id}, **more)  # type: ignore[arg-type]
        reply = await self.intake.command(self.user_id, command)
        assert isinstance(reply, Accepted), reply
        return reply

    def role(self, handler: Recorder, limits: Limits = UNLIMITED, *, capacity: int = 20, life_s: float = 10.0) -> Role:
        """
        Return a dispatcher with this handler.
        """
        return Role(
            "dispatcher",
            self.connections,
            self.settings.key_prefix,
            {self.user_id: (self.gate(limits), handler)},
            capacity=capacity,
            grace_s=5.0,
            keep_texts=self.settings.keep_texts,
            life_s=life_s,
            beat_s=life_s / 3,
            janitor_s=life_s / 5,
        )

    @asynccontextmanager
    async def running(
        self, handler: Recorder, limits: Limits = UNLIMITED, *, capacity: int = 20, life_s: float = 10.0
    ) -> AsyncIterator[Role]:
        """
        Run a dispatcher with this handler; it is stopped at the end.
        """
        role = self.role(handler, limits, capacity=capacity, life_s=life_s)
        task = asyncio.create_task(role.run())
        try:
            yield role
        finally:
            role.stop()
            await asyncio.wait_for(task, 20)

    async def left(self) -> int:
        """
        Return how many entries are still in the streams.
        """
        return sum(depth.total for depth in await self.records.depths(self.user_id))

    async def empty(self) -> bool:
        """
        Whether everything is settled.
        """
        return await self.left() == 0
