"""
The frame of the console in a browser: logging in and out, languages, errors.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from ingress.console import navigation
from sandbox import Account, Options, Sandbox
from tests.chromium import PHONE, Chromium
from tests.console.conftest import KEY, SETTINGS, LogIn
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


async def test_a_page_whose_session_ends_leads_to_the_login_and_back(console: Fleet, log_in: LogIn) -> None:
    """
    The next look of a live page finds no session: the browser is at the login, and after it where it was.
    """
    seen = await log_in("/console?account=100000001")
    seen.expected.add(401)
    await seen.page.context.clear_cookies()
    await seen.page.wait_for_url("**/console/login?next=*")
    await seen.page.fill("#api-key", KEY)
    await seen.page.press("#api-key", "Enter")

    await seen.page.wait_for_url(console.url + "/console?account=100000001")


async def test_a_link_on_another_site_finds_the_session(console: Fleet, log_in: LogIn) -> None:
    """
    A browser keeps a strict cookie back when another site leads here; nobody has to log in again for that.
    """
    seen = await log_in()
    seen.expected.add(401)
    # Another name of this machine is another site; /health has no policy that forbids a link.
    await seen.page.goto(f"{console.url.replace('127.0.0.1', 'localhost')}/health/live")
    link = "const a = document.createElement('a'); a.href = '%s/console/chats'; document.body.append(a); a.click()"
    await seen.page.evaluate(link % console.url)

    await expect(seen.page.get_by_role("heading", level=1)).to_have_text("Chats")


class TestSeveralAccounts:
    """
    One console for all accounts.
    """

    @pytest.fixture(name="sandbox_options")
    def _sandbox_options(self) -> Options:
        return Options(accounts=(Account(), Account(user_id=100_000_002, client_id="two", client_secret="two")))

    @pytest.fixture(name="console_settings")
    def _console_settings(self, tmp_path: Path) -> dict[str, str]:
        file = tmp_path / "accounts.toml"
        file.write_text('[[account]]\nuser_id = "100000002"\nclient_id = "two"\nclient_secret = "two"\n')
        return SETTINGS | {"ACCOUNTS_FILE": str(file)}

    async def test_the_chosen_account_stays_chosen(self, console: Fleet, log_in: LogIn, sandbox: Sandbox) -> None:
        """
        Choosing one shows its numbers; links, live parts and changes go on with it.
        """
        mine = sandbox.avito.create_chat(user_id=100_000_002, customer_name="Вера")
        seen = await log_in()
        page = seen.page
        await seen.accessible()
        await page.get_by_label("Account").select_option("100000002")
        await page.wait_for_url("**/console?account=100000002")
        await page.locator("#hold-commands").click()
        await page.get_by_role("dialog").get_by_role("button", name="Pause").click()
        await expect(page.get_by_role("button", name="Resume")).to_be_visible()
        await page.get_by_role("link", name="Chats").click()
        await expect(page.locator(".chat")).to_contain_text("Вера")
        await page.locator(".chat").click()
        await page.wait_for_url(f"**{navigation.chat(mine.id)}?account=100000002")
        info = (await console.client.get("/info")).json()

        assert [[], ["commands"]] == [list(account["held"]) for account in info["accounts"]]

    async def test_an_unknown_account_is_told(self, console: Fleet, log_in: LogIn) -> None:
        """
        404, and no other account's numbers.
        """
        seen = await log_in()
        seen.expected.add(404)
        await seen.page.goto(f"{console.url}/console?account=5")

        await expect(seen.page.get_by_role("heading", level=1)).to_have_text("There is no such account")
