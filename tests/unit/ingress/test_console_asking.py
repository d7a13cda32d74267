"""
What addresses and forms of the console ask for.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from common.queue.choice import Choice, Filter
from common.queue.dead import DeadLetter
from common.queue.search import Wanted
from ingress.console import dead, messages
from ingress.console.asking import moment_ms, number, side_of, stream_id
from ingress.console.messages import Step


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ({}, messages.Asked(Wanted(), "", None)),
        ({"side": "events", "chat": " c1 "}, messages.Asked(Wanted("events", "c1"), "", None)),
        ({"text": "a", "state": "sent", "id": "x"}, messages.Asked(Wanted(text="a", state="sent"), "x", None)),
        ({"side": "nowhere", "state": "odd", "older": "+"}, messages.Asked(Wanted(), "", None)),
        ({"older": "5-1"}, messages.Asked(Wanted(), "", "5-1")),
    ],
)
def test_a_search_is_read_leniently(query: Mapping[str, str], asked: messages.Asked) -> None:
    """
    What is odd does not matter; no address is an error.
    """
    assert asked == messages.Asked.of(query)


@pytest.mark.parametrize(
    ("query", "choice"),
    [
        ({}, Choice()),
        ({"reason": "rejected"}, Choice((Filter("reason", False, "rejected"),))),
        ({"chat": "c1", "text": "a"}, Choice((Filter("chat_id", False, "c1"), Filter("text", True, "a")))),
        ({"since": "1970-01-01T03:00"}, Choice(since_ms=0)),
        ({"since": "1970-01-01T03:01"}, Choice(since_ms=60_000)),
        ({"one": "5-1"}, Choice(dead_id="5-1")),
    ],
)
def test_a_choice_of_dead_letters_is_what_the_form_says(query: Mapping[str, str], choice: Choice) -> None:
    """
    Times are those of TIMEZONE, here Moscow's.
    """
    assert choice == dead.Asked.of(query).choice("Europe/Moscow")


@pytest.mark.parametrize(
    ("query", "is_all"),
    [({}, True), ({"side": "events"}, True), ({"text": "a"}, False), ({"one": "5-1"}, False), ({"since": "x"}, False)],
)
def test_only_what_has_no_filter_is_all(query: Mapping[str, str], is_all: bool) -> None:
    """
    The button says which it is.
    """
    assert is_all is dead.Asked.of(query).is_all


def test_a_choice_survives_the_way_through_a_form() -> None:
    """
    What the confirmation hides in its form means the same letters.
    """
    asked = dead.Asked("events", "rejected", "c1", "text", "2026-01-01T00:00", "5-1")

    assert asked == dead.Asked.of(asked.query)


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (Choice(), True),
        (Choice(since_ms=5), True),
        (Choice(since_ms=6), False),
        (Choice(dead_id="5-1"), True),
        (Choice(dead_id="5-2"), False),
        (Choice((Filter("reason", False, "rejected"), Filter("text", True, "HI"))), True),
        (Choice((Filter("reason", False, "rejected"), Filter("text", True, "bye"))), False),
    ],
)
def test_every_part_of_a_choice_must_fit(choice: Choice, taken: bool) -> None:
    """
    A letter that died at a limit itself belongs to the choice.
    """
    letter = DeadLetter("5-1", {"kind": "text", "body": '{"text": "hi"}', "reason": "rejected"})

    assert taken is choice.takes(letter)


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ({"at": "1970-01-01T00:00:01+00:00", "event": "accepted"}, Step(1000.0, "accepted")),
        ({"at": "no time", "event": "sent"}, Step(None, "sent")),
        (
            {"event": "attempt", "step": "send", "outcome": "ok", "status": 200, "ms": 0},
            Step(None, "attempt", "send · ok · HTTP 200 · 0 ms"),
        ),
        (
            {"event": "attempt", "outcome": "unknown", "error": "cut", "look_up": "not there"},
            Step(None, "attempt", "unknown · look-up: not there", "cut"),
        ),
    ],
)
def test_a_timeline_becomes_lines_to_read(line: Mapping[str, object], step: Step) -> None:
    """
    Whatever an attempt has noted.
    """
    assert [step] == messages.steps([line])


def test_what_is_no_value_is_none() -> None:
    """
    Sides, ids, moments and numbers from outside.
    """
    assert ("commands", None, None) == (side_of("commands"), side_of("bulk"), side_of(None))
    assert ("5-1", None, None) == (stream_id("5-1"), stream_id("(5-1"), stream_id("-"))
    assert (0, 0, 0) == (moment_ms(None, "UTC"), moment_ms("soon", "UTC"), moment_ms("0001-01-01T00:00", "UTC"))
    assert (5, 10, 0, 0, 0) == tuple(number(text, most=10) for text in ("5", "50", "-5", "9" * 40, None))
