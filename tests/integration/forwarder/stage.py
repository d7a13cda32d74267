"""
What the forwarder's integration tests share.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Any

from common.queue.connection import Connections
from common.queue.dead import DeadLetter, DeadLetters
from common.queue.intake import Intake, NewEvent
from common.queue.keys import AccountKeys
from common.queue.role import Role
from common.settings import Settings

USER_ID = "100000001"
CUSTOMER_ID = 200000002
POLL_S = 0.02

Configure = Callable[..., Settings]
Running = Callable[[Settings], AbstractAsyncContextManager[Role]]


class Events:
    """
    Puts events into the queue as ingress does, and looks at what becomes of them.
    """

    def __init__(self, connections: Connections, settings: Settings) -> None:
        self.connections = connections
        self.settings = settings
        self.keys = AccountKeys(settings.key_prefix, USER_ID)
        self._numbers = count(1)

    async def message(self, chat_id: str, text: str = "hello", **value: object) -> str:
        """
        Accept the webhook of a customer's text, its fields changed by `value`; return the message id.
        """
        found: dict[str, object] = {
            "id": f"{next(self._numbers):032x}",
            "chat_id": chat_id,
            "user_id": int(USER_ID),
            "author_id": CUSTOMER_ID,
            "created": int(time.time()),
            "type": "text",
            "chat_type": "u2i",
            "content": {"text": text},
            "item_id": 7463700001,
        }
        return await self.webhook(found | value)

    async def webhook(self, value: dict[str, object]) -> str:
        """
        Accept a webhook with this message in it.
        """
        body = {
            "id": "w",
            "version": "v3.0.0",
            "timestamp": int(time.time()),
            "payload": {"type": "message", "value": value},
        }
        message_id = str(value["id"])
        await self.accept(NewEvent(id=message_id, chat_id=str(value["chat_id"]), body=json.dumps(body)))
        return message_id

    async def accept(self, event: NewEvent, user_id: str = USER_ID) -> None:
        """
        Accept an event as it is.
        """
        intake = Intake(self.connections, self.settings)
        await intake.event(user_id, event)
        await intake.stop()

    async def add(self, **fields: str) -> str:
        """
        Add an entry with these fields, as the settle script or a person with redis-cli does; return its id.
        """
        entry_id = await self.connections.commands.xadd(self.keys.events.stream, dict[Any, Any](fields))
        return str(entry_id)

    async def dead(self) -> list[DeadLetter]:
        """
        Wait for the first dead letter and return all.
        """
        assert await self.connections.blocking.xread({self.keys.events.dead: "0"}, count=1, block=9000)
        return await DeadLetters(self.connections, self.settings).list(USER_ID, "events")

    async def until_paused(self) -> None:
        """
        Wait until the gate before n8n has been paused.
        """
        gate, _, _ = self.keys.gate("n8n")
        async with asyncio.timeout(10.0):
            while not await self.connections.commands.hexists(gate, "paused_until"):  # noqa: ASYNC110 - it is in Redis
                await asyncio.sleep(POLL_S)
