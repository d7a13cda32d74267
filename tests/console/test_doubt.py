"""
A send of unknown outcome in the console, where nobody but a person decides about it (AMBIGUOUS_SENDS=hold).
"""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from sandbox.faults import AvitoFault
from tests.console.conftest import SETTINGS, LogIn
from tests.fleet import Fleet
from tests.harness import eventually


@pytest.fixture(name="console_settings")
def _console_settings() -> dict[str, str]:
    return SETTINGS | {"AMBIGUOUS_SENDS": "hold"}


@pytest.mark.parametrize(
    ("button", "texts"), [("It was sent", []), ("It was not: send it again", ["Did this arrive?"])]
)
async def test_a_doubt_is_decided_by_a_click(console: Fleet, log_in: LogIn, button: str, texts: list[str]) -> None:
    """
    It counts as sent from then on, or is sent again; the page says which.
    """
    chat_id = next(iter(console.sandbox.avito.chats)).id
    console.sandbox.faults.add(AvitoFault(kind="drop", count=1, method="POST", path=f"*/{chat_id}/messages"))
    command_id = await console.send(chat_id, "Did this arrive?")

    async def in_doubt() -> bool:
        record = await console.queue.records.command("100000001", command_id)
        return record is not None and record.status == "unknown"

    await eventually(in_doubt)
    seen = await log_in("/console/messages?state=unknown")
    page = seen.page
    await page.locator("ul.found a").first.click()
    await expect(page.locator("#state")).to_have_text("outcome unknown")
    await seen.accessible()
    await page.get_by_role("button", name=button).click()

    await expect(page.locator("#state")).to_have_text("sent")
    assert texts == [one.content["text"] for one in console.sandbox.avito.sent(chat_id)]
