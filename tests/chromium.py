"""
A real browser for the tests of the console: Debian's Chromium, steered by Playwright.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    ViewportSize,
    async_playwright,
)

NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE: Final = ViewportSize(width=380, height=800)
DESK: Final = ViewportSize(width=1280, height=900)


def executable() -> str | None:
    """
    Return where Chromium is, None when it is not installed.
    """
    return next((path for name in NAMES if (path := shutil.which(name)) is not None), None)


@dataclass
class Watched:
    """
    A page, and what went wrong in it: errors on its console, violations of its policy, failed requests.

    An answer of status 400 or more is among them, unless its status is in `expected`.
    """

    page: Page
    wrong: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """
        Listen.
        """
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        # Of a status the response tells more exactly.
        of_status = message.text.startswith(("Failed to load resource", "Response Status Error Code"))
        if message.type in ("error", "warning") and not of_status:
            self.wrong.append(f"{message.type}: {message.text}")

    def _failed(self, request: Request) -> None:
        # A page that is left takes its requests with it.
        if "ERR_ABORTED" not in (request.failure or ""):
            self.wrong.append(f"failed: {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.wrong.append(f"{response.status}: {response.url}")

    async def accessible(self) -> None:
        """
        Fail when axe-core finds anything on the page as it is now.
        """
        found = (await Axe().run(self.page)).response["violations"]
        if found:
            pytest.fail(
                "\n".join(f"{one['id']}: {one['help']}: {node['html']}" for one in found for node in one["nodes"])
            )

    async def scrolls_sideways(self) -> bool:
        """
        Say whether the page is wider than its window.
        """
        wide: bool = await self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return wide


@dataclass
class Chromium:
    """
    A running browser; what its pages found wrong is gathered until the end of the test.
    """

    browser: Browser
    pages: list[Watched] = field(default_factory=list)

    async def open(
        self,
        *,
        locale: str = "en-US",
        scheme: Literal["light", "dark"] = "light",
        viewport: ViewportSize = DESK,
        **more: Any,
    ) -> Watched:
        """
        Open a page in a context of its own: no cookies are shared.
        """
        context = await self.browser.new_context(locale=locale, color_scheme=scheme, viewport=viewport, **more)
        context.set_default_timeout(20_000)
        return await self.another(context)

    async def another(self, context: BrowserContext) -> Watched:
        """
        Open one more page of a context.
        """
        watched = Watched(await context.new_page())
        self.pages.append(watched)
        return watched


@asynccontextmanager
async def started() -> AsyncIterator[Chromium]:
    """
    Run Chromium until the block ends; then fail if anything went wrong in a page.
    """
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=list(ARGUMENTS))
        running = Chromium(browser)
        try:
            yield running
        finally:
            await browser.close()
    if wrong := [line for page in running.pages for line in page.wrong]:
        pytest.fail("\n".join(wrong))
