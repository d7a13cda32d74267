"""
Dead letters in the console: put back and dropped by clicking.
"""

from __future__ import annotations

from playwright.async_api import expect

from sandbox.faults import AvitoFault
from tests.chromium import PHONE
from tests.console.conftest import LogIn
from tests.fleet import Fleet
from tests.harness import eventually

PATH = "/console/dead"


async def bury(console: Fleet, chat_id: str, *texts: str, status: int = 400) -> None:
    """
    Let Avito refuse these texts.
    """
    fault = console.sandbox.faults.add(AvitoFault(kind="status", status=status, path=f"*/{chat_id}/messages"))
    ids = [await console.send(chat_id, text) for text in texts]

    async def dead() -> bool:
        records = [await console.queue.records.command("100000001", one) for one in ids]
        return all(record is not None and record.ended for record in records)

    await eventually(dead)
    console.sandbox.faults.remove(fault)


async def test_a_filtered_set_is_put_back_and_arrives(console: Fleet, log_in: LogIn) -> None:
    """
    Filtered by text, confirmed with the number, put back by a click: just these arrive at Avito, in their order.
    """
    first, second = (chat.id for chat in list(console.sandbox.avito.chats)[:2])
    await bury(console, first, "Price list 1", "Price list 2", "Something else")
    await bury(console, second, "Price list 3")
    seen = await log_in(PATH)
    page, letters = seen.page, seen.page.locator("ul.found > li")
    await expect(letters).to_have_count(4)
    await seen.accessible()

    await page.fill("#text", "price LIST")
    await page.get_by_role("button", name="Search").click()
    await expect(letters).to_have_count(3)
    await page.get_by_role("link", name="Put back all that fit").click()
    await expect(page.locator("#how-many")).to_have_text("Messages: 3")
    await expect(page.locator(".facts")).to_contain_text("price LIST")
    await page.locator("#rate").select_option("300")
    await seen.accessible()
    await page.get_by_role("button", name="Put them back").click()
    await expect(page.get_by_role("status")).to_contain_text("Put back: 3.")
    await seen.accessible()

    await console.sandbox.avito.wait_for(lambda avito: len(avito.sent()) >= 3, 20)
    await eventually(console.queue.empty)
    assert ["Price list 1", "Price list 2"] == [one.content["text"] for one in console.sandbox.avito.sent(first)]
    assert ["Price list 3"] == [one.content["text"] for one in console.sandbox.avito.sent(second)]
    await page.get_by_role("link", name="To the dead letters").click()
    await expect(letters).to_have_count(1)
    await expect(letters).to_contain_text("Something else")


async def test_dropping_needs_a_confirmation(console: Fleet, log_in: LogIn) -> None:
    """
    The button does nothing before the box is ticked; then that one letter is gone and the other stays.
    """
    chat_id = next(iter(console.sandbox.avito.chats)).id
    await bury(console, chat_id, "keep me", "drop me")
    seen = await log_in(PATH)
    page, letters = seen.page, seen.page.locator("ul.found > li")
    await letters.filter(has_text="drop me").get_by_role("link", name="Drop").click()
    await expect(page.locator("#how-many")).to_have_text("Messages: 1")
    await expect(page.locator(".some")).to_contain_text("drop me")
    await seen.accessible()
    await page.get_by_role("button", name="Drop them").click()
    await expect(page.locator("#how-many")).to_be_visible()
    await page.get_by_role("checkbox").check()
    await page.get_by_role("button", name="Drop them").click()

    await expect(page.get_by_role("status")).to_have_text("Dropped: 1.")
    await page.get_by_role("link", name="To the dead letters").click()
    await expect(letters).to_have_count(1)
    await expect(letters).to_contain_text("keep me")


async def test_a_double_click_counts_once(console: Fleet, log_in: LogIn) -> None:
    """
    The same confirmation sent again changes nothing, and is told so.
    """
    chat_id = next(iter(console.sandbox.avito.chats)).id
    await bury(console, chat_id, "once")
    seen = await log_in(f"{PATH}/confirm?do=redrive&side=commands")
    page = seen.page
    await page.get_by_role("button", name="Put them back").dblclick()
    await console.sandbox.avito.wait_for(lambda avito: len(avito.sent()) >= 1, 20)
    await bury(console, chat_id, "later")
    await page.reload()

    await expect(page.get_by_role("status")).to_have_text("This was done already, or is being done.")
    assert ["once"] == [one.content["text"] for one in console.sandbox.avito.sent(chat_id)]


async def test_many_letters_go_back_batch_by_batch(console: Fleet, log_in: LogIn) -> None:
    """
    More than one request puts back: the page asks for the next batch until all are done, and shows how many.
    """
    stream = console.queue.keys.events
    pipe = console.connections.commands.pipeline(transaction=False)
    for n in range(700):
        letter = {"id": f"e{n}", "kind": "callback", "chat_id": "c1", "reason": "rejected", "source": stream.stream}
        pipe.xadd(stream.dead, letter)  # type: ignore[arg-type]
    await pipe.execute()
    seen = await log_in(f"{PATH}/confirm?do=redrive&side=events&reason=rejected")
    await expect(seen.page.locator("#how-many")).to_contain_text("700")
    await seen.page.locator("#rate").select_option("10")
    await seen.page.get_by_role("button", name="Put them back").click()

    await expect(seen.page.get_by_role("status")).to_contain_text("Put back: 700.")
    await expect(seen.page.get_by_role("status")).to_contain_text("The last one goes at")
    # The first one goes at once.
    assert await console.connections.commands.xlen(stream.stream) >= 699


async def test_dead_letters_in_russian_on_a_phone(console: Fleet, log_in: LogIn) -> None:
    """
    Nothing scrolls sideways, neither does what is opened.
    """
    chat_id = next(iter(console.sandbox.avito.chats)).id
    await bury(console, chat_id, "Длинное сообщение " * 20)
    seen = await log_in(PATH, locale="ru-RU", viewport=PHONE, scheme="dark")
    page = seen.page
    await expect(page.get_by_role("heading", level=1)).to_have_text("Недоставленные")
    await page.get_by_text("Подробнее").click()
    await seen.accessible()
    assert not await seen.scrolls_sideways()

    await page.get_by_role("link", name="Удалить все").click()
    await expect(page.locator("#how-many")).to_have_text("Сообщений: 1")
    await seen.accessible()
    assert not await seen.scrolls_sideways()
