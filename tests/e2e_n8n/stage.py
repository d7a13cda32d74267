"""
Everything around one n8n: the sandbox as Avito, the gateway as a process, and a proxy where n8n sees the gateway.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from sandbox import Sandbox
from tests.chaos.proxy import Proxy
from tests.e2e_n8n.n8n import N8n
from tests.fleet import Fleet

API_KEY: Final = secrets.token_hex(16)
SIGNING_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
REPLY_S: Final = 60.0


@dataclass
class Stage:
    """
    One installation from end to end. n8n reaches the gateway through `proxy`.
    """

    n8n: N8n
    sandbox: Sandbox
    gateway: Fleet
    proxy: Proxy
    before: int
    """
    The id of the last execution before this test.
    """

    @property
    def chats(self) -> list[str]:
        """
        Return the ids of the sandbox's chats.
        """
        return [chat.id for chat in self.sandbox.avito.chats]

    def write(self, chat_id: str, text: str) -> str:
        """
        Let a chat's customer write; Avito delivers the webhook. Return the message's id.
        """
        return self.sandbox.avito.receive(chat_id, text).id

    async def replies(self, count: int, timeout_s: float = REPLY_S) -> dict[str, list[str]]:
        """
        Wait until Avito was sent so many messages; return the texts of each chat in order.
        """
        await self.sandbox.avito.wait_for(lambda avito: len(avito.sent()) >= count, timeout_s)
        return self.shown()

    def shown(self) -> dict[str, list[str]]:
        """
        Return the texts that were sent to each chat, in order.
        """
        texts: dict[str, list[str]] = defaultdict(list)
        for message in self.sandbox.avito.sent():
            texts[message.chat_id].append(message.content["text"])
        return dict(texts)

    async def runs(self, workflow_id: str) -> list[dict[str, Any]]:
        """
        Return a workflow's executions since the test began, the latest first.
        """
        return [run for run in await self.n8n.executions(workflow_id) if int(run["id"]) > self.before]

    async def webhook(self, path: str, body: object) -> httpx.Response:
        """
        Post to one of n8n's production webhooks.
        """
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.post(f"{self.n8n.url}/webhook/{path}", json=body, timeout=30.0)

    async def form(
        self, path: str, fields: Sequence[str] = (), file: tuple[str, bytes] | None = None
    ) -> httpx.Response:
        """
        Submit one of n8n's forms as a browser does: fields in their order, or one file.
        """
        parts: dict[str, Any] = {f"field-{number}": (None, value) for number, value in enumerate(fields)}
        if file is not None:
            parts["field-0"] = file
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.post(f"{self.n8n.url}/form/{path}", files=parts, timeout=30.0)
