"""
Dead letters on the command line.
"""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from common.errors import GatewayError
from common.queue.choice import Filter
from common.queue.connection import Connections
from common.queue.dead import DeadLetter, DeadLetters
from common.queue.keys import SIDES, AccountKeys, Side
from common.settings import Settings
from gateway import dead
from gateway.dead import Chosen, Graves
from tests.conftest import USER_ID

FIELDS = {
    "id": "c1",
    "kind": "text",
    "chat_id": "u2i-1",
    "body": '{"text":"private"}',
    "reason": "rejected",
    "attempts": "1",
    "died_at": "1764610200000",
    "detail": "400 Bad Request",
}


async def bury(connections: Connections, settings: Settings, side: Side, dead_id: str = "*", **fields: str) -> str:
    """
    Put one dead letter into Redis and return its id.
    """
    keys = AccountKeys(settings.key_prefix, USER_ID)
    stream = keys.commands if side == "commands" else keys.events
    entry = FIELDS | {"source": stream.stream} | fields
    return str(await connections.commands.xadd(stream.dead, entry, id=dead_id))  # type: ignore[arg-type]


@pytest.fixture(name="graves")
def _graves(connections: Connections, settings: Settings) -> Graves:
    return Graves(DeadLetters(connections, settings), USER_ID, SIDES)


def test_list_shows_no_text() -> None:
    """
    What a customer wrote is shown only by `dead show`.
    """
    row = dead.summary("commands", DeadLetter("5-1", FIELDS))

    assert "private" not in json.dumps(row)
    assert row == {
        "id": "5-1",
        "side": "commands",
        "kind": "text",
        "chat_id": "u2i-1",
        "reason": "rejected",
        "attempts": "1",
        "died_at": "2025-12-01T17:30:00.000+00:00",
        "detail": "400 Bad Request",
    }


def test_table_has_a_column_for_each_field() -> None:
    """
    What stands in a list stands in the table, and no markup in it is obeyed.
    """
    letter = DeadLetter("5-1", FIELDS | {"detail": "[bold]no[/]"})
    console = Console(width=200, file=io.StringIO(), record=True)

    console.print(dead.table([dead.summary("commands", letter)]))

    heading, _, line = (text.split() for text in console.export_text().split("\n")[1:4])
    assert list(dead.COLUMNS) == heading
    assert ["5-1", "commands", "[bold]no[/]"] == [line[0], line[1], line[-1]]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("reason=rejected", True),
        ("reason=crashed", False),
        ("reason=reject", False),
        ("detail~bad request", True),
        ("detail~timeout", False),
        ("chat_id=u2i-1", True),
        ("text=private", True),
        ("text~PRIV", True),
        ("text~public", False),
        ("nothing=", True),
        ("nothing=x", False),
    ],
)
def test_filter_looks_at_one_field(text: str, fits: bool) -> None:
    """
    `=` asks for the whole value, `~` for a part of it; a field that is not there is empty.
    """
    assert fits is Filter.parse(text).takes(DeadLetter("5-1", FIELDS))


@pytest.mark.parametrize("text", ["", "reason", "=x", "rea son=x"])
def test_filter_that_is_none_is_refused(text: str) -> None:
    """
    A slip does not choose everything.
    """
    with pytest.raises(ValueError, match="FIELD=VALUE"):
        Filter.parse(text)


async def test_filtered_letters_are_put_back_and_others_stay(
    connections: Connections, settings: Settings, graves: Graves
) -> None:
    """
    `--filter` chooses on both sides.
    """
    buried = [await bury(connections, settings, side) for side in SIDES]
    await bury(connections, settings, "commands", reason="crashed")

    found = await graves.chosen(Chosen(filters=(Filter.parse("reason=rejected"),)))

    assert buried == [letter.dead_id for _, letter in found]


async def test_letter_is_found_on_its_side(connections: Connections, settings: Settings, graves: Graves) -> None:
    """
    Nobody has to say which side an id is of.
    """
    dead_id = await bury(connections, settings, "events")

    found = await graves.find(dead_id)

    assert found is not None
    assert ("events", dead_id) == (found[0], found[1].dead_id)


async def test_same_id_on_both_sides_is_asked_back(
    connections: Connections, settings: Settings, graves: Graves
) -> None:
    """
    What is not clear is not guessed.
    """
    for side in SIDES:
        await bury(connections, settings, side, "7-1")

    with pytest.raises(GatewayError, match="Say --side"):
        await graves.find("7-1")


async def test_all_goes_through_every_page(
    connections: Connections, settings: Settings, graves: Graves, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Each letter comes once, on both sides, however many pages there are.
    """
    monkeypatch.setattr(dead, "PAGE", 2)
    buried = [await bury(connections, settings, side) for side in SIDES for _ in range(5)]

    found = [letter.dead_id async for _, letter in graves.all()]

    assert sorted(buried) == sorted(found)
