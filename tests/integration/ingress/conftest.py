"""
The ingress on a real port, with a real server behind it and the Avito stand-in beside it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from common.avito.client import Avito
from common.queue.connection import Connections
from common.queue.entry import Entry
from common.queue.gate import Permit
from common.queue.keys import AccountKeys
from common.queue.outcomes import Outcome
from common.queue.role import build_role
from common.settings import Settings, load
from ingress.app import create_app
from ingress.services import Services, of_app
from sandbox import Sandbox
from tests.conftest import USER_ID
from tests.fixtures_sandbox import sandbox, sandbox_options

__all__ = ["Gateway", "Serve", "sandbox", "sandbox_options"]

API_KEY = "key-for-tests"
CHAT = "u2i-AbCdEfGhIjKlMnOpQrStUg"


class Gateway:
    """
    A running ingress: an HTTP client with the key, and what lies behind it.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        services: Services,
        settings: Settings,
        connections: Connections,
        avito: Avito,
    ) -> None:
        self.http = http
        self.services = services
        self.settings = settings
        self.connections = connections
        self.avito = avito
        self.keys = AccountKeys(settings.key_prefix, USER_ID)

    async def entries(self, stream: str) -> list[dict[str, str]]:
        """
        Return the entries of a stream, oldest first.
        """
        rows: Any = await self.connections.commands.xrange(stream)
        return [fields for _, fields in rows]

    async def commands(self) -> list[dict[str, str]]:
        """
        Return the interactive commands.
        """
        return await self.entries(self.keys.commands.stream)

    async def events(self) -> list[dict[str, str]]:
        """
        Return the events.
        """
        return await self.entries(self.keys.events.stream)

    @asynccontextmanager
    async def dispatching(self, handle: Callable[[Entry], Outcome | Awaitable[Outcome]]) -> AsyncIterator[None]:
        """
        Run a dispatcher that ends each command as `handle` says, without Avito.
        """

        async def handler(entry: Entry, permit: Permit) -> Outcome:
            outcome = handle(entry)
            return await outcome if isinstance(outcome, Awaitable) else outcome

        account = self.settings.account(USER_ID)
        assert account is not None
        role = build_role("dispatcher", self.connections, self.settings, {USER_ID: (self.avito.gate(account), handler)})
        running = asyncio.create_task(role.run())
        try:
            yield
        finally:
            role.stop()
            await running


Serve = Callable[..., AbstractAsyncContextManager[Gateway]]


@asynccontextmanager
async def _serving(settings: Settings, connections: Connections) -> AsyncIterator[Gateway]:
    avito = Avito(settings, connections)
    app = create_app(settings, connections, avito)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5, ws="none"))
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        port = listening.getsockname()[1]
        # The public `serve` would take over the signals of the tests' process.
        running = asyncio.create_task(server._serve([listening]))
        headers = {"X-API-Key": API_KEY}
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30.0, trust_env=False
        ) as http:
            try:
                yield Gateway(http, of_app(app), settings, connections, avito)
            finally:
                await http.aclose()
                server.should_exit = True
                await running
                await avito.aclose()


@pytest.fixture(name="serve")
def _serve(settings: Settings, connections: Connections) -> Serve:
    """
    Start an ingress with settings that differ from the usual ones.
    """

    def serve(*, connected: Connections | None = None, **changed: Any) -> AbstractAsyncContextManager[Gateway]:
        given = settings.model_dump(exclude_unset=True)
        values = given | {"api_key": API_KEY, "n8n_webhook_url": "http://n8n.test:5678/webhook/avito"} | changed
        return _serving(load(None, **values), connected or connections)

    return serve


@pytest.fixture(name="gateway")
async def _gateway(serve: Serve) -> AsyncIterator[Gateway]:
    """
    An ingress whose Avito is never asked.
    """
    async with serve(avito_base_url="http://127.0.0.1:9") as gateway:
        yield gateway


@pytest.fixture(name="with_avito")
async def _with_avito(serve: Serve, sandbox: Sandbox) -> AsyncIterator[Gateway]:
    """
    An ingress with the Avito stand-in behind it.
    """
    async with serve(avito_base_url=sandbox.avito_url) as gateway:
        yield gateway
