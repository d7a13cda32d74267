"""
Fixtures of all rings: a real server, connections to it, settings with a key prefix of the test's own.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from common.metrics import GROWTH
from common.queue.connection import Connections, connect
from common.settings import Settings, load
from tests import servers, topologies
from tests.fixtures_sandbox import sandbox, sandbox_options

__all__ = ["sandbox", "sandbox_options"]

USER_ID = "100000001"


def pytest_report_header() -> str:
    """
    Say which Redis the tests run on, and whether those of the queue find a Redis 7.0.
    """
    return f"redis for the tests: {servers.kind()}; redis 7.0 for the queue: {topologies.no_redis7() or 'here'}"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def _nothing_counted_before() -> None:
    GROWTH.take()


@pytest.fixture(name="redis_url", scope="session")
def _redis_url() -> Iterator[str]:
    with servers.shared_url() as url:
        yield url


@pytest.fixture(name="connections")
async def _connections(redis_url: str) -> AsyncIterator[Connections]:
    connections = connect(redis_url)
    yield connections
    await connections.aclose()


@pytest.fixture(name="settings")
def _settings(redis_url: str, tmp_path: Path) -> Settings:
    return settings_for(redis_url, tmp_path)


def settings_for(redis_url: str, tmp_path: Path) -> Settings:
    """
    Return settings with a key prefix of their own.
    """
    return load(
        None,
        redis_url=redis_url,
        key_prefix=f"test-{secrets.token_hex(6)}",
        data_dir=tmp_path,
        avito_client_id="sandbox",
        avito_client_secret="sandbox",
        avito_user_id=USER_ID,
        log_format="console",
        log_level=os.environ.get("TEST_LOG_LEVEL", "info"),
    )
