from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from common.queue.connection import Connections
from common.settings import Settings
from tests.harness import Queue


@pytest.fixture(name="queue")
async def _queue(connections: Connections, settings: Settings) -> AsyncIterator[Queue]:
    queue = Queue(connections, settings)
    yield queue
    await queue.intake.stop()
