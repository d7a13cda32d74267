"""
Messages in the console: looking for one, and what became of it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from sandbox.faults import AvitoFault
from tests.chromium import PHONE
from tests.console.conftest import LogIn
from tests.fleet import Fleet
from tests.harness import eventually

PATH = "/console/messages"


@pytest.fixture(name="stocked")
async def _stocked(console: Fleet) -> Fleet:
    """
    Some messages of two chats, one of which Avito refuses, and one that waits for its time.
    """
    avito = console.sandbox.avito
    first, second = (chat.id for chat in list(avito.chats)[:2])
    sent = await console.send(first, "Добрый день, велосипед ещё продаётся?")
    console.sandbox.faults.add(AvitoFault(kind="status", status=400, count=1, path=f"*/{second}/messages"))
    refused = await console.send(second, "Nobody wants to hear this")
    await console.send(first, "See you tomorrow", send_at=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    message = avito.receive(first, "Да, приезжайте")

    async def settled() -> bool:
        records = [await console.queue.records.command("100000001", one) for one in (sent, refused)]
        event = await console.queue.records.event("100000001", message.id)
        return all(record is not None and record.ended for record in [*records, event])

    await eventually(settled)
    return console


async def search(page: Page, **wanted: str) -> None:
    """
    Fill in the form and send it.
    """
    await page.get_by_role("link", name=re.compile("Clear|Сбросить")).click()
    for name, value in wanted.items():
        field = page.locator(f"#{name}")
        if name in ("state", "side"):
            await field.select_option(value)
        else:
            await field.fill(value)
    await page.get_by_role("search").get_by_role("button").click()


async def test_a_message_is_found_by_text_chat_state_and_id(stocked: Fleet, log_in: LogIn) -> None:
    """
    Newest first; each way to look for it finds it and nothing else.
    """
    seen = await log_in(PATH)
    page, found = seen.page, seen.page.locator("ul.found > li")
    await expect(found).to_have_count(4)
    await expect(found.first).to_contain_text("Да, приезжайте")
    await seen.accessible()

    await search(page, text="ВЕЛОСИПЕД")
    await expect(found).to_have_count(1)
    await expect(found).to_contain_text("sent")
    await search(page, state="failed")
    await expect(found).to_have_count(1)
    await expect(found).to_contain_text("Nobody wants to hear this")
    await expect(found).to_contain_text("rejected")
    await search(page, state="scheduled")
    await expect(found).to_contain_text("See you tomorrow")
    await search(page, side="events")
    await expect(found).to_contain_text("Да, приезжайте")
    chats = [chat.id for chat in stocked.sandbox.avito.chats]
    await search(page, chat=chats[1])
    await expect(found).to_have_count(1)
    (at_avito,) = (one.id for one in stocked.sandbox.avito.sent(chats[0]))
    await search(page, id=at_avito)
    await expect(found).to_have_count(2)
    await expect(found.first).to_contain_text("Towards Avito")
    await expect(found.last).to_contain_text("left out")
    await search(page, text="<script>alert(1)</script>")
    await expect(page.get_by_text("Nothing was found.")).to_be_visible()


async def test_a_message_has_a_page_with_its_timeline(stocked: Fleet, log_in: LogIn) -> None:
    """
    What it says, each attempt, what Avito answered, and the way to its dead letter.
    """
    seen = await log_in(PATH)
    page = seen.page
    await search(page, state="sent")
    await page.locator("ul.found a").first.click()
    await expect(page.locator("#state")).to_have_text("sent")
    await expect(page.locator(".timeline li")).to_have_count(3)
    await expect(page.locator(".timeline")).to_contain_text("HTTP 200")
    await page.get_by_text("Avito's answer").click()
    await expect(page.locator("pre")).to_contain_text('"id"')
    await seen.accessible()

    await page.goto(stocked.url + f"{PATH}?state=failed")
    await page.locator("ul.found a").first.click()
    await expect(page.locator("#now")).to_contain_text("Avito refused with 400")
    await page.get_by_role("link", name="To the dead letters of this chat").click()
    await expect(page.locator("ul.found > li")).to_have_count(1)


async def test_a_waiting_message_is_cancelled_by_a_click(stocked: Fleet, log_in: LogIn) -> None:
    """
    After a question; the page then says so, and the chat goes on without it.
    """
    seen = await log_in(f"{PATH}?state=scheduled")
    page = seen.page
    await page.locator("ul.found a").first.click()
    await expect(page.locator("#now")).to_contain_text("Its time comes in")
    page.once("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Cancel").click()

    await expect(page.locator("#state")).to_have_text("cancelled")
    await expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert await stocked.queue.empty()


async def test_a_page_that_is_open_learns_the_end(console: Fleet, log_in: LogIn) -> None:
    """
    What waited for its chat's turn goes out under one's eyes: the page says so by itself, and then asks no more.
    """
    chat_id = next(iter(console.sandbox.avito.chats)).id
    slow = AvitoFault(kind="latency", delay_s=8, count=1, method="POST", path=f"*/{chat_id}/messages")
    seen = await log_in()
    page = seen.page
    console.sandbox.faults.add(slow)
    await console.send(chat_id, "first")
    second = await console.send(chat_id, "second")
    await page.goto(f"{console.url}{PATH}/commands/{second}")
    await expect(page.locator("#now")).to_contain_text("Messages of this chat before it: 1.")
    await expect(page.get_by_role("link", name="The one whose turn it is")).to_be_visible()

    # With this status htmx stops asking.
    async with page.expect_response(lambda answer: answer.status == 286):
        await expect(page.locator("#state")).to_have_text("sent")


async def test_a_message_in_russian_on_a_phone(stocked: Fleet, log_in: LogIn) -> None:
    """
    Nothing scrolls sideways, in the dark as well, and nothing is left in English.
    """
    seen = await log_in(PATH, locale="ru-RU", viewport=PHONE, scheme="dark")
    page = seen.page
    await expect(page.get_by_role("heading", level=1)).to_have_text("Сообщения")
    await expect(page.locator("ul.found > li")).to_have_count(4)
    await seen.accessible()
    assert not await seen.scrolls_sideways()

    await search(page, state="failed")
    await page.locator("ul.found a").first.click()
    await expect(page.locator("#state")).to_have_text("не удалось")
    await seen.accessible()
    assert not await seen.scrolls_sideways()
    assert stocked.sandbox.avito.sent()
