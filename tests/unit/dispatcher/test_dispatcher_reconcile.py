"""
Finding our own message in a chat.
"""

from __future__ import annotations

import pytest

from common.queue.entry import Entry, Tries
from dispatcher.commands import Send, SendImage, SendText
from dispatcher.reconcile import (
    Now,
    by_avitos_clock,
    candidates,
    choose,
    is_result,
    reached,
    trace,
    unknown_since_ms,
)

TEXT = SendText("c", "Hello  world")
URL = SendText("c", "https://a.b/c")
IMAGE = SendImage("c", image_id="1.a")


def message(**fields: object) -> dict[str, object]:
    """
    Return one of our texts, changed by `fields`.
    """
    own = {"id": "m", "author_id": 7, "created": 100, "direction": "out", "type": "text"}
    return own | {"content": {"text": "Hello world"}} | fields


@pytest.mark.parametrize(
    ("found", "command", "expected"),
    [
        (message(), TEXT, True),
        (message(author_id="7"), TEXT, True),
        (message(author_id=8), TEXT, False),
        (message(direction="in"), TEXT, False),
        (message(id=None), TEXT, False),
        (message(content={"text": "Hello"}), TEXT, False),
        (message(type="deleted", content={}), TEXT, False),
        (message(type="link", content={"link": {"url": "https://a.b/c", "text": "x"}}), URL, True),
        (message(type="link", content={"link": {"url": "x", "text": "https://a.b/c"}}), URL, True),
        (message(type="image", content={"image": {"sizes": {"32x32": "https://i"}}}), IMAGE, True),
        (message(type="image", content={}), IMAGE, True),
        (message(), IMAGE, False),
    ],
)
def test_what_can_be_our_message(found: dict[str, object], command: Send, expected: bool) -> None:
    """
    It is ours, outgoing, and of the same text, whatever white space or type Avito made of it; or any image.
    """
    assert expected is is_result(found, command, "7")


def test_a_message_without_direction_may_be_ours() -> None:
    """
    A missing direction is no reason to send twice.
    """
    found = message()
    del found["direction"]

    assert is_result(found, TEXT, "7")


def test_only_messages_since_the_attempt_count() -> None:
    """
    An equal message from before is another one.
    """
    page = [message(id="new", created=100), message(id="old", created=99), message(id="odd", created=None)]

    assert page[:1] == candidates(page, TEXT, "7", 100_000)
    assert page == candidates(page, TEXT, "7", 0)


def test_a_picture_is_known_by_the_path_of_its_largest_link() -> None:
    """
    Its host and what follows `?` may differ from one answer to the next.
    """
    uploaded = {"32x32": "https://10.img.avito.st/image/1/1.a", "1280x960": "https://10.img.avito.st/image/1/1.b?"}
    shown = {"1280x960": "https://80.img.avito.st/image/1/1.b?s=1"}

    assert ("/image/1/1.b", "/image/1/1.b", None) == (trace(uploaded), trace(shown), trace({}))


@pytest.mark.parametrize(
    ("traces", "expected"), [((), "old"), (("/other",), "old"), (("/b",), "new"), (("/a", "/b"), "old")]
)
def test_of_several_the_one_with_our_trace_is_ours(traces: tuple[str, ...], expected: str) -> None:
    """
    What fits a trace goes before what does not, then the older one before the newer.
    """
    page = [
        message(id=name, type="image", content={"image": {"sizes": {"32x32": f"https://i.example/{link}"}}})
        for name, link in (("new", "b"), ("old", "a"))
    ]

    assert expected == choose(page, traces)["id"]


@pytest.mark.parametrize(("since_ms", "expected"), [(100_000, True), (99_000, False), (50_000, False)])
def test_a_page_reaches_back_to_before_the_attempt(since_ms: int, expected: bool) -> None:
    """
    Reading goes on until a message is older than the attempt; one without a time says nothing.
    """
    assert expected is reached([message(created=100), message(created=99), message(created=None)], since_ms)


def doubtful(**tries: int) -> Entry:
    """
    Return an entry of unknown outcome that came at 900, about which this is remembered.
    """
    return Entry("s", "900-0", {}, Tries(outcome_unknown=True, **tries), "run", "p", 0)


@pytest.mark.parametrize(
    ("tries", "now", "avito_ms", "expected"),
    [
        pytest.param({"unknown_since_ms": 1_000}, Now(50_000, 0), 60_000, 9_000, id="turned by what both clocks say"),
        pytest.param({"unknown_since_ms": 1_000}, Now(50_000, 0), None, -1_000, id="no Date: as if they were equal"),
        pytest.param(
            {"unknown_since_ms": 1_000, "gate_since_ms": 300}, Now(20_000, 49_300), 60_000, 9_000, id="Redis' clock set"
        ),
        pytest.param(
            {"unknown_since_ms": 1_000, "gate_since_ms": 300, "theirs_since_ms": 7_000},
            Now(50_000, 49_300),
            40_000,
            5_000,
            id="noted by Avito's clock",
        ),
    ],
)
def test_avitos_clock(tries: dict[str, int], now: Now, avito_ms: int | None, expected: int) -> None:
    """
    A time by Redis' or the gate's clock becomes one by Avito's, 2 s early; one by Avito's needs no turning.
    """
    assert by_avitos_clock(doubtful(**tries), now, avito_ms=avito_ms) == expected


@pytest.mark.parametrize(
    ("tries", "now", "expected"),
    [
        pytest.param({}, Now(50_000, 0), 900, id="not known: since the entry came"),
        pytest.param({"unknown_since_ms": 5_000}, Now(50_000, 0), 5_000, id="as noted"),
        pytest.param({"unknown_since_ms": 5_000, "gate_since_ms": 400}, Now(50_000, 45_400), 5_000, id="no step"),
        pytest.param({"unknown_since_ms": 5_000, "gate_since_ms": 400}, Now(49_950, 45_400), 5_000, id="a slow reply"),
        pytest.param({"unknown_since_ms": 5_000, "gate_since_ms": 400}, Now(46_000, 45_400), 1_000, id="set back"),
        pytest.param({"unknown_since_ms": 5_000, "gate_since_ms": 400}, Now(59_000, 45_400), 5_000, id="set forward"),
    ],
)
def test_since_when_it_is_unknown(tries: dict[str, int], now: Now, expected: int) -> None:
    """
    By Redis' clock, and where that was set back since, by the clock as it goes now: what came after counts.
    """
    assert unknown_since_ms(doubtful(**tries), now) == expected
