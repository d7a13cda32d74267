"""
The pure parts of accepting: times, parts, waits, callbacks, marks.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.bodies import Options, SendText
from ingress.drafts import batch_of, nth_key, request_mark
from ingress.parts import split
from ingress.schedule import Schedule, eta_s, schedule
from ingress.sparing import QUIET_S, Sparing
from ingress.unread import is_unread
from ingress.waiting import wait_s

NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("ahead", "not_before_ms", "seconds"),
    [
        (0, None, 0.0),
        (1, None, 0.6),
        (100, None, 60.0),
        (36_000, None, 21_600.0),
        (0, NOW_MS + 90_000, 90.0),
        (1000, NOW_MS + 90_000, 600.0),
        (0, NOW_MS - 5, 0.0),
    ],
)
def test_eta(ahead: int, not_before_ms: int | None, seconds: float) -> None:
    """
    The queue before it at the full rate, or its own time if that is later.
    """
    assert seconds == eta_s(ahead, 100, 60.0, not_before_ms, NOW_MS)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Schedule(None, None)),
        ({"send_at": NOW_MS / 1000 + 60}, Schedule(NOW_MS + 60_000, None)),
        ({"send_at": NOW_MS / 1000 - 60}, Schedule(None, None)),
        ({"expires_in": 1.5}, Schedule(None, NOW_MS + 1500)),
        ({"send_at": NOW_MS / 1000 + 60, "expires_in": 30.0}, Schedule(NOW_MS + 60_000, NOW_MS + 90_000)),
        ({"send_at": NOW_MS / 1000 - 60, "expires_in": 30.0}, Schedule(None, NOW_MS + 30_000)),
        ({"send_at": "2023-11-14T22:14:20+00:00"}, Schedule(NOW_MS + 60_000, None)),
        ({"send_at": "2023-11-15T01:14:20+03:00"}, Schedule(NOW_MS + 60_000, None)),
    ],
)
def test_schedule(options: dict[str, object], expected: Schedule) -> None:
    """
    A past `send_at` is now; `expires_in` counts from the moment it may be sent.
    """
    assert expected == schedule(Options.model_validate(options), NOW_MS)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("short", ["short"]),
        ("aaaa bbbb", ["aaaa bbbb"]),
        ("aaaa bbbb cc", ["aaaa bbbb", "cc"]),
        ("aaaaa.\n\nbbbb cc", ["aaaaa.", "bbbb cc"]),
        ("aaaa\nb bb cc", ["aaaa\nb bb", "cc"]),
        ("aaaaaa. bb cc", ["aaaaaa.", "bb cc"]),
        ("a" * 25, ["a" * 10, "a" * 10, "a" * 5]),
        ("aaaaaaaaaa bbb", ["aaaaaaaaaa", "bbb"]),
    ],
)
def test_split(text: str, parts: list[str]) -> None:
    """
    Texts are cut at the best break of the second half of a part.
    """
    assert parts == split(text, 10)


@given(st.text(min_size=1, max_size=400).filter(lambda text: text.strip()), st.integers(1, 60))
def test_split_keeps_every_character(text: str, limit: int) -> None:
    """
    Parts are never blank nor too long, and but for white space they are the text.
    """
    parts = split(text, limit)

    assert all(1 <= len(part) <= limit and part.strip() for part in parts)
    assert "".join(text.split()) == "".join("".join(parts).split())


@pytest.mark.parametrize(
    ("prefer", "query", "seconds"),
    [
        (None, None, 0.0),
        ("wait=10", None, 10.0),
        ("respond-async, wait=10", None, 10.0),
        ('Wait = "7"; foo', None, 7.0),
        ("wait=10", 3, 3.0),
        ("wait=100", None, 25.0),
        (None, 100, 25.0),
        ("wait=10", 0, 0.0),
        ("wait=x", None, 0.0),
        ("wait=-5", None, 0.0),
        ("await=5", None, 0.0),
        ("", None, 0.0),
    ],
)
def test_wait(prefer: str | None, query: int | None, seconds: float) -> None:
    """
    The query goes before the header, 25 s is the most, and a header that cannot be read is none.
    """
    assert seconds == wait_s(prefer, query)


N8N = "https://n8n.example/webhook/avito"


def test_marks() -> None:
    """
    The key is not part of a request's mark; everything else is.
    """
    one = SendText(chat_id="a", text="x", idempotency_key="1")
    two = SendText(chat_id="a", text="x", idempotency_key="2")
    three = SendText(chat_id="a", text="x", priority="bulk")

    assert request_mark("text", one) == request_mark("text", two)
    assert 4 == len(
        {
            request_mark("text", one),
            request_mark("text", three),
            request_mark("link", one),
            request_mark("text", one, "x"),
        }
    )


def test_keys_of_parts() -> None:
    """
    The first command has the request's own key; without a key there is none.
    """
    assert ["k", "k:1", "k:2", None] == [nth_key("k", 0), nth_key("k", 1), nth_key("k", 2), nth_key(None, 1)]
    assert batch_of("1", "k") == batch_of("1", "k") != batch_of("2", "k")


def test_sparing() -> None:
    """
    The first line is written, then one each few seconds with the number left out; names do not mix.
    """
    sparing = Sparing()

    assert [0, None, None, 0, 2, None] == [
        sparing.due("a", 10.0),
        sparing.due("a", 11.0),
        sparing.due("a", 12.0),
        sparing.due("b", 12.0),
        sparing.due("a", 10.0 + QUIET_S),
        sparing.due("a", 11.0 + QUIET_S),
    ]


@pytest.mark.parametrize(
    ("message", "unread"),
    [
        ({"direction": "in", "author_id": 5, "isRead": False}, True),
        ({"direction": "in", "author_id": 5, "is_read": False}, True),
        ({"author_id": 5}, True),
        ({"direction": "in", "author_id": 5, "isRead": True}, False),
        ({"direction": "in", "author_id": 5, "is_read": True}, False),
        ({"direction": "in", "author_id": 5, "read": 1_700_000_000}, False),
        ({"direction": "out", "author_id": 1, "isRead": False}, False),
        ({"author_id": 1, "isRead": False}, False),
    ],
)
def test_unread(message: dict[str, object], unread: bool) -> None:
    """
    Incoming and not read, in either spelling.
    """
    assert unread == is_unread(message, "1")
