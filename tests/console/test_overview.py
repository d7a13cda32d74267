"""
The overview in a browser: it lives, and an operator stops and resumes either direction by clicking.
"""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.async_api import Page, ViewportSize, expect

from sandbox import AvitoFault, Sandbox
from tests.chromium import DESK, PHONE
from tests.console.conftest import LogIn
from tests.fleet import Fleet
from tests.harness import eventually


def chat_of(sandbox: Sandbox) -> str:
    """
    Return the id of the first seeded chat.
    """
    return next(iter(sandbox.avito.chats)).id


async def press(page: Page, name: str, direction: str) -> None:
    """
    Press the button of a direction's card.
    """
    card = page.get_by_role("region", name={"commands": "Towards Avito", "events": "Towards n8n"}[direction])
    await card.get_by_role("button", name=name, exact=True).click()


async def pause(page: Page, direction: str, why: str = "") -> None:
    """
    Pause a direction as an operator does: the button, the reason, the button.
    """
    await press(page, "Pause", direction)
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill(why)
    await dialog.get_by_role("button", name="Pause").click()
    await expect(dialog).to_have_count(0)


async def test_it_shows_what_happens_while_it_happens(console: Fleet, log_in: LogIn, sandbox: Sandbox) -> None:
    """
    Without a reload: tokens that are out, a pause with Avito's reason, messages that wait, and nothing at the end.
    """
    seen = await log_in()
    page = seen.page
    used = page.locator("#state .gate figcaption strong").first
    sandbox.faults.add(AvitoFault(kind="status", status=429, retry_after_s=8, count=1, path="*/messages"))
    for n in range(5):
        await console.send(chat_of(sandbox), f"message {n}")

    await expect(page.get_by_text("Avito asked to wait:")).to_be_visible()
    await expect(page.locator("#queue-commands")).to_contain_text("4")
    await seen.accessible()
    await sandbox.avito.wait_for(lambda avito: len(avito.sent()) == 5, timeout_s=30)
    await expect(page.get_by_text("Nothing waits.")).to_have_count(2)
    await expect(used).to_have_text("0")


async def test_pausing_stops_and_resuming_goes_on(console: Fleet, log_in: LogIn, sandbox: Sandbox) -> None:
    """
    A click stops sending, with a reason that everybody sees; what is accepted waits; a click lets it out.
    """
    seen = await log_in()
    page = seen.page
    await pause(page, "commands", "prices are <b>wrong</b>")
    await expect(page.get_by_text("(console): prices are <b>wrong</b>")).to_be_visible()
    for n in range(3):
        await console.send(chat_of(sandbox), f"held {n}")
    await expect(page.locator("#queue-commands td").nth(0)).to_have_text("3")
    health = (await console.client.get("/health")).json()
    sent_before = sandbox.avito.sent()
    await seen.accessible()
    await press(page, "Resume", "commands")
    await sandbox.avito.wait_for(lambda avito: len(avito.sent()) == 3)

    assert [] == sent_before
    assert "healthy" == health["status"]
    await expect(page.get_by_role("button", name="Pause", exact=True)).to_have_count(2)


async def test_deliveries_to_n8n_are_paused_apart_from_sending(console: Fleet, log_in: LogIn, sandbox: Sandbox) -> None:
    """
    Events wait while a direction is held, and the other one goes on.
    """
    page = (await log_in()).page
    await pause(page, "events")
    await expect(page.get_by_text("Paused by hand since")).to_be_visible()
    sandbox.avito.receive(chat_of(sandbox), "Is it still for sale?")
    await expect(page.locator("#queue-events td").nth(0)).to_have_text("1")
    await console.send(chat_of(sandbox), "yes")
    await sandbox.avito.wait_for(lambda avito: len(avito.sent()) == 1)
    before = len(sandbox.n8n.received)
    await press(page, "Resume", "events")
    await sandbox.n8n.wait_for(lambda received: len(received) == 1)

    assert 0 == before


async def test_while_redis_is_away_the_page_says_so_and_comes_back(console: Fleet, log_in: LogIn) -> None:
    """
    The live part tells of an outage in place, and goes on by itself.
    """
    page = (await log_in()).page
    await console.connections.commands.client_pause(4000)

    await expect(page.get_by_role("heading", name="Redis does not answer")).to_be_visible()
    await expect(page.get_by_role("heading", name="Redis does not answer")).to_have_count(0)
    await expect(page.get_by_role("button", name="Pause", exact=True)).to_have_count(2)


async def test_a_hidden_page_asks_for_nothing(log_in: LogIn) -> None:
    """
    A tab in the background polls no more, and looks at once when it is seen again.
    """
    page = (await log_in()).page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "hx-request" in request.headers else None)
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true})"
    await page.evaluate(hide % "true")
    await page.evaluate("window.refused = 0")
    await page.evaluate("document.addEventListener('htmx:beforeRequest', (e) => { if (e.defaultPrevented) refused++ })")

    async def refused() -> bool:
        return bool(await page.evaluate("window.refused >= 2"))

    await eventually(refused)
    before = list(asked)
    await page.evaluate(hide % "false")
    async with page.expect_request("**/console/state"):
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    assert [] == before


@pytest.mark.parametrize("locale", ["en-US", "ru-RU"])
@pytest.mark.parametrize(("scheme", "viewport"), [("light", DESK), ("dark", PHONE)])
async def test_it_is_fit_for_every_eye(
    log_in: LogIn, locale: str, scheme: Literal["light", "dark"], viewport: ViewportSize
) -> None:
    """
    axe-core finds nothing in both languages, light and dark, and 380 px are enough.
    """
    seen = await log_in(locale=locale, scheme=scheme, viewport=viewport)
    await seen.accessible()
    await seen.page.locator("#hold-commands").click()
    await seen.accessible()

    assert not await seen.scrolls_sideways()


async def test_it_is_worked_by_keyboard(console: Fleet, log_in: LogIn) -> None:
    """
    The focus outlives each look of the live part; Enter opens the dialog, Escape leaves it and changes nothing.
    """
    page = (await log_in()).page
    await page.keyboard.press("Tab")
    skip = await page.evaluate("document.activeElement.className")
    await page.locator("#hold-commands").focus()
    for _ in range(2):
        async with page.expect_response("**/console/state"):
            pass
    focused = await page.evaluate("document.activeElement.id")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("textbox", name="Reason")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    health = (await console.client.get("/health")).json()

    assert ("skip", "hold-commands") == (skip, focused)
    assert health["checks"]["held"]["ok"]
