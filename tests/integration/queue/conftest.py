"""
The tests of the queue are its conformance suite: each runs on every kind of server that `REDIS_URL` may name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from common.queue.connection import Connections
from common.settings import Settings
from tests import servers, topologies
from tests.conftest import settings_for
from tests.harness import Queue

SERVERS = ("valkey", "redis7", "cluster", "sentinel")


@pytest.fixture(name="redis_url", scope="session", params=SERVERS)
def _redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with ExitStack() as stack:
        match request.param:
            case "valkey":
                yield stack.enter_context(servers.embedded()).connection_url
            case "redis7":
                if (absent := topologies.no_redis7()) is not None:
                    pytest.skip(absent)
                yield stack.enter_context(topologies.redis7())
            case "cluster":
                yield stack.enter_context(topologies.cluster(patience_s=15.0)).url
            case "sentinel":
                yield stack.enter_context(topologies.watched()).url


@pytest.fixture(name="settings")
def _settings(tmp_path: Path) -> Settings:
    # A test with a server of its own runs once: these do not name the shared one.
    return settings_for("redis://unused", tmp_path)


@pytest.fixture(name="queue")
async def _queue(connections: Connections, settings: Settings) -> AsyncIterator[Queue]:
    queue = Queue(connections, settings)
    yield queue
    await queue.intake.stop()
