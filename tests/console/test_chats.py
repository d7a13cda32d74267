"""
Chats in a browser: reading a conversation, answering by hand.
"""

from __future__ import annotations

import pytest
from playwright.async_api import ViewportSize, expect

from ingress.console import navigation
from sandbox import AvitoFault, Options, Sandbox
from tests.chromium import DESK, PHONE
from tests.console.conftest import LogIn
from tests.fleet import Fleet


@pytest.fixture
def sandbox_options() -> Options:
    """
    A few chats.
    """
    return Options(chats=3)


async def test_an_answer_by_hand_arrives(console: Fleet, log_in: LogIn, sandbox: Sandbox) -> None:
    """
    From the list, where the unread one is first, to the conversation; what is typed is sent once, however often the
    button is pressed, and its state is told until it is sent.
    """
    _, chat, _ = sandbox.avito.chats
    sandbox.avito.receive(chat.id, "<b>Is it</b> still for sale?")
    seen = await log_in("/console/chats")
    page = seen.page
    await seen.accessible()
    first = page.locator(".chat").first
    await expect(first).to_contain_text("unread")
    await first.click()
    await expect(page.locator("#talk li.in p")).to_have_text("<b>Is it</b> still for sale?")
    await seen.accessible()

    await page.get_by_label("Answer").fill("Yes, it is.\n<i>Come</i> and see.")
    await page.locator("#send").dblclick()
    await expect(page.locator("#talk li.out")).to_contain_text("<i>Come</i>")
    await expect(page.locator("#talk li.out .status-sent")).to_have_text("sent")
    await expect(page.get_by_label("Answer")).to_have_value("")
    await seen.accessible()
    await page.get_by_label("Answer").fill("One more.")
    await page.locator("#send").click()
    await sandbox.avito.wait_for(lambda avito: len(avito.sent()) == 2)
    await page.get_by_role("button", name="Mark as read").click()
    await expect(page.locator("#read-status")).to_have_text("sent")

    texts = [message.content["text"] for message in sandbox.avito.sent(chat.id)]
    assert ["Yes, it is.\n<i>Come</i> and see.", "One more."] == texts
    assert not chat.unread


async def test_every_kind_of_message_is_shown(console: Fleet, log_in: LogIn, sandbox: Sandbox) -> None:
    """
    Pictures are links that only open when clicked; what has no words has a name; a link that is no web address is none.
    """
    chat = next(iter(sandbox.avito.chats))
    picture = {
        "image": {"sizes": {"140x105": "https://img.example/small.jpg", "1280x960": "https://img.example/large.jpg"}}
    }
    sandbox.avito.receive(chat.id, type="image", content=picture)
    sandbox.avito.receive(chat.id, type="voice", content={"voice": {"voice_id": "1"}})
    evil = {"link": {"text": "click", "url": "javascript:alert(1)"}}
    sandbox.avito.receive(chat.id, type="link", content=evil)
    sandbox.avito.receive(chat.id, type="brandNew", content={"x": 1})
    sandbox.avito.receive(chat.id, "Welcome", type="system")
    seen = await log_in(navigation.chat(chat.id))
    page = seen.page

    await expect(page.locator("#talk a")).to_have_attribute("href", "https://img.example/large.jpg")
    await expect(page.locator("#talk")).to_contain_text("Voice message")
    await expect(page.locator("#talk")).to_contain_text("Message of another kind")
    await expect(page.locator("#talk li.system")).to_contain_text("Welcome")
    await seen.accessible()


async def test_an_answer_that_avito_refuses_says_why(console: Fleet, log_in: LogIn, sandbox: Sandbox) -> None:
    """
    The state ends with Avito's own words.
    """
    chat = next(iter(sandbox.avito.chats))
    page = (await log_in(navigation.chat(chat.id))).page
    sandbox.faults.add(AvitoFault(kind="status", status=400, path="*/messages", count=1))
    await page.get_by_label("Answer").fill("no")
    await page.locator("#send").click()

    await expect(page.locator("#talk li.out .status-failed")).to_contain_text("failed:")


async def test_without_a_free_request_the_page_says_so(console: Fleet, log_in: LogIn) -> None:
    """
    While the gate pauses, the list says so at once, and offers to try again.
    """
    account = console.settings.account()
    assert account is not None
    seen = await log_in()
    await console.queue.gate().pause(120.0, "429")
    seen.expected.add(429)
    await seen.page.goto(f"{console.url}/console/chats")

    await expect(seen.page.get_by_role("heading", level=1)).to_have_text("No request to Avito is free now")
    await expect(seen.page.get_by_role("link", name="Try again")).to_be_visible()
    await seen.accessible()


@pytest.mark.parametrize(("viewport", "locale"), [(PHONE, "ru-RU"), (DESK, "en-US")])
async def test_it_fits_a_phone(
    log_in: LogIn, sandbox: Sandbox, viewport: ViewportSize, locale: str, console: Fleet
) -> None:
    """
    No page of chats scrolls sideways, whatever is written there.
    """
    chat = next(iter(sandbox.avito.chats))
    sandbox.avito.receive(chat.id, "long" * 100)
    seen = await log_in("/console/chats", viewport=viewport, locale=locale)
    wide = await seen.scrolls_sideways()
    await seen.page.goto(console.url + navigation.chat(chat.id))
    await seen.accessible()

    assert (False, False) == (wide, await seen.scrolls_sideways())
