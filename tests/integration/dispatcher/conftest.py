"""
The fixture that starts a dispatcher.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from common.avito.client import Avito
from common.queue.connection import Connections
from common.queue.dead import DeadLetters
from common.queue.intake import Intake
from common.queue.records import Records
from common.settings import Settings
from sandbox import Sandbox
from tests.fixtures_sandbox import sandbox, sandbox_options
from tests.integration.dispatcher.gateway import Gateway, Start

__all__ = ["sandbox", "sandbox_options"]

QUICK = {
    "retry_min_wait": 0.01,
    "retry_max_wait": 0.05,
    "connection_timeout": 5.0,
    "rate_limit_requests": 500,
    "rate_limit_window": 1.0,
    "allow_private_hosts": ("127.0.0.1",),
}


@pytest.fixture(name="start")
async def _start(sandbox: Sandbox, connections: Connections, settings: Settings) -> AsyncIterator[Start]:
    started: list[Gateway] = []

    async def start(*, run: bool = True, **changes: Any) -> Gateway:
        changed = settings.model_copy(update=QUICK | {"avito_base_url": sandbox.avito_url} | changes)
        gateway = Gateway(
            settings=changed,
            connections=connections,
            sandbox=sandbox,
            avito=Avito(changed, connections),
            intake=Intake(connections, changed),
            records=Records(connections, changed),
            dead=DeadLetters(connections, changed),
        )
        started.append(gateway)
        if run:
            gateway.run()
        return gateway

    yield start
    for gateway in started:
        for role in gateway.roles:
            role.stop()
        await asyncio.wait_for(asyncio.gather(*gateway.roles.values()), 20)
        await gateway.intake.stop()
        await gateway.avito.aclose()
