"""
Which messages a search takes.
"""

from __future__ import annotations

import pytest

from common.queue.records import Record
from common.queue.search import Found, Listed, Wanted

LISTED = Listed("5-1", "commands", "m1", "c1")


@pytest.mark.parametrize(
    ("wanted", "may"),
    [
        (Wanted(), True),
        (Wanted(side="commands"), True),
        (Wanted(side="events"), False),
        (Wanted(chat_id="c1"), True),
        (Wanted(chat_id="c"), False),
        (Wanted(side="commands", chat_id="c1", text="what is not in the index"), True),
    ],
)
def test_the_index_rules_out_by_side_and_chat(wanted: Wanted, may: bool) -> None:
    """
    What the index does not know is asked of the record.
    """
    assert may is wanted.may_be(LISTED)


@pytest.mark.parametrize(
    ("wanted", "takes"),
    [
        (Wanted(), True),
        (Wanted(state="failed"), True),
        (Wanted(state="sent"), False),
        (Wanted(text="ПРИВЕТ"), True),
        (Wanted(text="strasse"), True),
        (Wanted(text="пока"), False),
        (Wanted(state="sent", text="привет"), False),
    ],
)
def test_a_text_is_found_in_any_case_of_letters(wanted: Wanted, takes: bool) -> None:
    """
    Russian and German, too.
    """
    record = Record("m1", "failed", True, {}, [])
    assert takes is wanted.takes(Found("commands", "m1", record, "Ну, Привет, Straße!"))


@pytest.mark.parametrize(("wanted", "takes"), [(Wanted(), False), (Wanted(state="skipped"), True)])
def test_what_was_left_out_is_found_when_asked_for(wanted: Wanted, takes: bool) -> None:
    """
    Echoes of our own messages would stand beside each message otherwise.
    """
    assert takes is wanted.takes(Found("events", "e1", Record("e1", "skipped", True, {}, []), ""))
