"""
A client of the sandbox, as the tests here use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest_asyncio

from tests.fixtures_sandbox import sandbox, sandbox_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox import Sandbox

__all__ = ["Seller", "sandbox", "sandbox_options", "seller"]

FORM = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox"}


@dataclass(frozen=True)
class Seller:
    """
    An authorised client of the default account.
    """

    http: httpx.AsyncClient
    user_id: int
    chat_id: str

    async def log_in(self) -> str:
        """
        Get a token and use it from now on.
        """
        answer = await self.http.post("/token", data=FORM)
        token: str = answer.json()["access_token"]
        self.http.headers["Authorization"] = f"Bearer {token}"
        return token

    async def get(self, path: str, **query: Any) -> httpx.Response:
        """
        Get a path of the messenger; A is the account, C the first chat.
        """
        return await self.http.get(self._full(path), params=query)

    async def post(self, path: str, json: Any = None, **more: Any) -> httpx.Response:
        """
        Post to a path of the messenger, as `get`.
        """
        return await self.http.post(self._full(path), json=json, **more)

    async def send(self, text: Any, chat_id: str | None = None) -> httpx.Response:
        """
        Send a text, to the first chat unless told otherwise.
        """
        path = f"/v1/A/chats/{chat_id or self.chat_id}/messages"
        return await self.post(path, {"message": {"text": text}, "type": "text"})

    def _full(self, path: str) -> str:
        account = f"accounts/{self.user_id}"
        return "/messenger" + path.replace("/C", f"/A/chats/{self.chat_id}").replace("/A", f"/{account}")


@pytest_asyncio.fixture
async def seller(sandbox: Sandbox) -> AsyncIterator[Seller]:
    """
    A client with a token, and the first demo chat.
    """
    async with httpx.AsyncClient(base_url=sandbox.avito_url, timeout=10.0, trust_env=False) as http:
        one = Seller(http, sandbox.avito.default_user_id, next(iter(sandbox.avito.chats)).id)
        await one.log_in()
        yield one
