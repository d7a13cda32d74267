"""
The frame of the console in a browser: logging in and out, languages, errors.
"""

from __future__ import annotations

from playwright.async_api import expect

from tests.chromium import PHONE, Chromium
from tests.console.conftest import KEY, LogIn
from tests.fleet import Fleet


async def test_the_key_opens_the_page_that_was_asked_for(console: Fleet, chromium: Chromium) -> None:
    """
    Without a session every page is the login; a wrong key is told so, the right one leads on; log out ends it.
    """
    seen = await chromium.open()
    seen.expected.add(401)
    page = seen.page
    await page.goto(f"{console.url}/console?account=100000001")
    await seen.accessible()
    await page.fill("#api-key", "not the key")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("#wrong")).to_have_text("This is not the key.")
    await seen.accessible()

    await page.fill("#api-key", KEY)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url("**/console?account=100000001")
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url("**/console/login")
    await page.goto(f"{console.url}/console")

    await expect(page.get_by_role("button", name="Log in")).to_be_visible()


async def test_it_speaks_the_browsers_language_or_the_chosen_one(log_in: LogIn) -> None:
    """
    A Russian browser sees Russian, chooses English, and keeps it.
    """
    seen = await log_in(locale="ru-RU")
    page = seen.page
    await expect(page.get_by_role("heading", level=1)).to_have_text("Обзор")
    await page.get_by_role("link", name="EN").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    await page.reload()

    await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    assert "en" == await page.locator("html").get_attribute("lang")


async def test_an_unknown_address_is_a_page_too(console: Fleet, log_in: LogIn) -> None:
    """
    404 in the console's own clothes, on a phone in the dark as well.
    """
    seen = await log_in(viewport=PHONE, scheme="dark")
    seen.expected.add(404)
    await seen.page.goto(f"{console.url}/console/no/such/page")

    await expect(seen.page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    await seen.accessible()
    assert not await seen.scrolls_sideways()
