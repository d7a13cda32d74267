"""
A dispatcher with a real queue before the Avito stand-in, and how tests use it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from common.avito.client import Avito
from common.queue.connection import Connections
from common.queue.dead import DeadLetter, DeadLetters
from common.queue.intake import Accepted, Intake, NewCommand
from common.queue.records import Record, Records
from common.queue.role import Role
from common.settings import Account, Settings
from dispatcher.app import build
from sandbox import Sandbox

T = TypeVar("T")


async def until(asked: Callable[[], Awaitable[T | None]], timeout_s: float = 10.0) -> T:
    """
    Ask until there is an answer.
    """
    async with asyncio.timeout(timeout_s):
        while True:
            found = await asked()
            if found is not None:
                return found
            await asyncio.sleep(0.01)


@dataclass
class Gateway:
    """
    The parts of a running dispatcher, and how to give it something to do.
    """

    settings: Settings
    connections: Connections
    sandbox: Sandbox
    avito: Avito
    intake: Intake
    records: Records
    dead: DeadLetters
    roles: dict[Role, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def account(self) -> Account:
        """
        Return the only account.
        """
        return self.settings.accounts[0]

    @property
    def user_id(self) -> str:
        """
        Return the only account's id.
        """
        return self.account.user_id

    @property
    def chat_id(self) -> str:
        """
        Return the id of the first demo chat.
        """
        return next(iter(self.sandbox.avito.chats)).id

    def run(self) -> Role:
        """
        Start one more dispatcher.
        """
        role = build(self.connections, self.settings, self.avito)
        self.roles[role] = asyncio.create_task(role.run())
        return role

    async def queue(self, kind: str, body: dict[str, object], **fields: Any) -> str:
        """
        Accept a command and return its id.
        """
        command = NewCommand(id=str(uuid.uuid4()), kind=kind, body=body, **({"chat_id": self.chat_id} | fields))
        assert isinstance(await self.intake.command(self.user_id, command), Accepted)
        return command.id

    async def end(self, command_id: str) -> Record:
        """
        Wait for a command's end.
        """
        record = await self.records.wait(self.user_id, command_id, 15)
        assert record is not None
        assert record.ended, record.to_json()
        return record

    async def done(self, kind: str, body: dict[str, object], **fields: Any) -> Record:
        """
        Accept a command and wait for its end.
        """
        return await self.end(await self.queue(kind, body, **fields))

    async def letter(self, command_id: str) -> DeadLetter:
        """
        Return a command's dead letter.
        """
        letters = await self.dead.list(self.user_id, "commands")
        return next(letter for letter in letters if letter.fields["id"] == command_id)

    def requests(self, path: str) -> int:
        """
        Count the requests with `path` in their path.
        """
        return len(self.sandbox.journal.list("avito", path=path))

    def texts(self) -> list[str]:
        """
        Return the texts in the first chat that were sent through the API.
        """
        return [message.content.get("text", "") for message in self.sandbox.avito.sent(self.chat_id)]


Start = Callable[..., Awaitable[Gateway]]
