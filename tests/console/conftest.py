"""
The console as its users see it: the program as a process, the sandbox behind it, Chromium before it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from common.queue.connection import Connections
from sandbox import Sandbox
from tests import chromium
from tests.chromium import Chromium, Watched
from tests.fleet import Fleet, fleet

KEY = "key-of-the-console"
SETTINGS = {"API_KEY": KEY, "RATE_LIMIT_WINDOW": "6", "RECONCILE_INTERVAL": "0", "LOG_FORMAT": "console"}

LogIn = Callable[..., Awaitable[Watched]]

# A worker that nobody wakes asks again after at most 5.5 s, and a page after 2 s.
expect.set_options(timeout=30_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Say why these tests do not run where there is no Chromium.
    """
    missing = pytest.mark.skip(reason=f"needs Chromium, under one of the names {', '.join(chromium.NAMES)}")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if chromium.executable() is None:
                item.add_marker(missing)


@pytest.fixture(name="console_settings")
def _console_settings() -> dict[str, str]:
    """
    What the program starts with; a module overrides it to start it otherwise.
    """
    return SETTINGS


@pytest.fixture(name="console")
async def _console(
    connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path, console_settings: dict[str, str]
) -> AsyncIterator[Fleet]:
    """
    All roles in one process, its webhook subscribed at the sandbox.
    """
    async with fleet(connections, redis_url, sandbox, tmp_path, **console_settings) as running:
        await running.start("ingress", "dispatcher", "forwarder")
        subscribed = await running.client.post("/api/webhook/subscribe", json={"url": f"{running.url}/webhook/avito"})
        assert subscribed.status_code == 200, subscribed.text
        yield running


@pytest.fixture(name="chromium")
async def _chromium() -> AsyncIterator[Chromium]:
    """
    A browser whose pages must show no errors.
    """
    async with chromium.started() as running:
        yield running


@pytest.fixture(name="log_in")
def _log_in(console: Fleet, chromium: Chromium) -> LogIn:
    """
    Open a page of the console in a new session; `how` is what `Chromium.open` takes.
    """

    async def log_in(path: str = "/console", **how: Any) -> Watched:
        watched = await chromium.open(**how)
        watched.expected.add(401)
        await watched.page.goto(console.url + path)
        await watched.page.fill("#api-key", KEY)
        await watched.page.press("#api-key", "Enter")
        await watched.page.wait_for_url(console.url + path)
        watched.expected.discard(401)
        return watched

    return log_in
