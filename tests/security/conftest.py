"""
The running ingress of the ingress' own tests, and a forwarder behind it, for tests of what strangers may try.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from forwarder.app import build
from sandbox import Sandbox
from tests.fixtures_sandbox import sandbox, sandbox_options
from tests.integration.ingress.conftest import Gateway, Serve, _gateway, _serve

__all__ = ["_gateway", "_serve", "sandbox", "sandbox_options"]

STOP_S = 10.0
UNLIMITED: dict[str, Any] = {"rate_limit_requests": 100_000, "rate_limit_window": 1.0}


@pytest.fixture(name="whole")
async def _whole(serve: Serve, sandbox: Sandbox) -> AsyncIterator[Gateway]:
    """
    An ingress and a forwarder between the stand-ins for Avito and n8n.
    """
    addresses = {"avito_base_url": sandbox.avito_url, "n8n_webhook_url": sandbox.n8n_webhook_url}
    async with serve(**addresses, **UNLIMITED, enrich_wait=0, forward_retry_min=0.02, forward_retry_max=0.1) as gateway:
        role = build(gateway.connections, gateway.settings, gateway.avito)
        task = asyncio.create_task(role.run(), name="forwarder")
        try:
            yield gateway
        finally:
            role.stop()
            await asyncio.wait_for(task, STOP_S)


@pytest.fixture(name="with_avito")
async def _with_avito(serve: Serve, sandbox: Sandbox) -> AsyncIterator[Gateway]:
    """
    An ingress with the Avito stand-in behind it, and no limit in its way.
    """
    async with serve(avito_base_url=sandbox.avito_url, **UNLIMITED) as gateway:
        yield gateway
