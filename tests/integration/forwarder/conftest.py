"""
A forwarder on a real queue, between the stand-ins for Avito and n8n.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from common.avito.client import Avito
from common.queue.connection import Connections
from common.queue.role import Role
from common.settings import Settings, load
from forwarder.app import build
from sandbox import Options, Sandbox
from tests.integration.forwarder.stage import USER_ID, Configure, Events, Running

STOP_S = 10.0


@pytest.fixture(name="sandbox")
async def _sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.start(Options()) as running:
        yield running


@pytest.fixture(name="configure")
def _configure(settings: Settings, sandbox: Sandbox) -> Configure:
    def configure(**changes: object) -> Settings:
        values: dict[str, object] = {
            "redis_url": settings.redis_url,
            "key_prefix": settings.key_prefix,
            "data_dir": settings.data_dir,
            "avito_client_id": "sandbox",
            "avito_client_secret": "sandbox",
            "avito_user_id": USER_ID,
            "avito_base_url": sandbox.avito_url,
            "n8n_webhook_url": sandbox.n8n_webhook_url,
            "forward_retry_min": 0.02,
            "forward_retry_max": 0.1,
        }
        return load(None, **values | changes)

    return configure


@pytest.fixture(name="running")
def _running(connections: Connections) -> Running:
    @asynccontextmanager
    async def running(settings: Settings) -> AsyncIterator[Role]:
        avito = Avito(settings, connections)
        role = build(connections, settings, avito)
        task = asyncio.create_task(role.run(), name="forwarder")
        try:
            yield role
        finally:
            role.stop()
            await asyncio.wait_for(task, STOP_S)
            await avito.aclose()

    return running


@pytest.fixture(name="events")
def _events(connections: Connections, settings: Settings) -> Events:
    return Events(connections, settings)
