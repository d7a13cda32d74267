"""
Which messages count as missed, and the webhook each of them gets.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.queue.usage import Usage
from forwarder import missed, webhook
from forwarder.missed import Bounds, Compared, Unread

PAYLOADS = Path(__file__).parents[2] / "payloads"
ACCOUNT = "100000001"
CUSTOMER = 200000002
NOW_S = 1_764_610_200
SINCE = Bounds(since_ms=(NOW_S - 600) * 1000, oldest_ms=(NOW_S - 7200) * 1000, latest_ms=(NOW_S - 5) * 1000)

Message = dict[str, object]


def message(name: str, age_s: float, **changes: object) -> Message:
    """
    Return a customer's text of that age as the messages list shows it.
    """
    shown: Message = {
        "id": name,
        "author_id": CUSTOMER,
        "created": NOW_S - age_s,
        "type": "text",
        "direction": "in",
        "content": {"text": name},
        "isRead": False,
    }
    return shown | changes


def compared(
    newest_first: list[Message], known: set[str], *, with_system: bool = False
) -> tuple[list[object], str | None, bool]:
    """
    Compare, and return the ids of what is missing, the mark, and whether it is too early for the rest.
    """
    found = missed.compare(newest_first, known, ACCOUNT, SINCE, with_system=with_system)
    return [lacking["id"] for lacking in found.missing], found.mark, found.is_early


@pytest.mark.parametrize(
    ("newest_first", "known", "missing", "mark", "is_early"),
    [
        pytest.param([message("a", 60)], {"a"}, [], "a", False, id="known"),
        pytest.param([message("b", 30), message("a", 60)], set(), ["a", "b"], "b", False, id="oldest first"),
        pytest.param([message("c", 30), message("b", 60), message("a", 90)], {"a", "c"}, ["b"], "c", False, id="hole"),
        pytest.param([message("b", 30), message("a", 30)], set(), ["a", "b"], "b", False, id="in the same second"),
        pytest.param([message("a", 30), message("b", 10)], set(), ["a", "b"], "b", False, id="listed oldest first"),
        pytest.param([message("b", 2), message("a", 60)], set(), ["a"], "a", True, id="the last is too young"),
        pytest.param([message("a", 0)], set(), [], None, True, id="all are too young"),
        pytest.param([message("b", 1), message("a", 2)], {"a", "b"}, [], "b", False, id="young and known"),
        pytest.param([message("a", -300)], set(), ["a"], "a", False, id="from the future: a clock is wrong"),
        pytest.param([message("b", 60), message("a", 700)], set(), ["b"], "b", False, id="before the first start"),
        pytest.param([message("b", 700), message("a", 800)], {"a"}, ["b"], "b", False, id="behind a known one"),
        pytest.param([message("b", 7300), message("a", 7400)], {"a"}, [], "b", False, id="too old at any rate"),
        pytest.param([message("a", 60, author_id=int(ACCOUNT))], set(), [], "a", False, id="own"),
        pytest.param([message("a", 60, author_id=ACCOUNT)], set(), [], "a", False, id="own, id as text"),
        pytest.param([message("a", 60, type="system", author_id=0)], set(), [], "a", False, id="system"),
        pytest.param([message("a", 60, type="deleted", content={})], set(), [], "a", False, id="deleted"),
        pytest.param([message("a", 60, created=None)], set(), [], None, False, id="without a time"),
        pytest.param(
            [message("b", 60, created=1e300), message("a", 60)], set(), ["a"], "a", False, id="no time at all"
        ),
        pytest.param([message("a", 60, id=None)], set(), [], None, False, id="without an id"),
        pytest.param([], set(), [], None, False, id="nothing"),
    ],
)
def test_what_is_missing_in_a_chat(
    newest_first: list[Message], known: set[str], missing: list[str], mark: str | None, is_early: bool
) -> None:
    """
    Others' messages that are not known, not too old, and not so young that their webhook may still come.
    """
    assert (missing, mark, is_early) == compared(newest_first, known)


def test_system_messages_are_missed_when_they_are_wanted() -> None:
    """
    With FORWARD_SYSTEM a notice of Avito's counts like a customer's message.
    """
    assert (["a"], "a", False) == compared([message("a", 60, type="system", author_id=0)], set(), with_system=True)


@given(
    ages=st.lists(st.integers(min_value=0, max_value=9000), max_size=20, unique=True),
    known_at=st.sets(st.integers(min_value=0, max_value=19)),
)
def test_a_second_look_finds_nothing(ages: list[int], known_at: set[int]) -> None:
    """
    Once what was missing is accepted, nothing is missing up to the mark; and it was in order of time.
    """
    newest_first = [message(str(age), age) for age in sorted(ages)]
    known = {str(newest_first[at]["id"]) for at in known_at if at < len(newest_first)}
    missing, mark, _ = compared(newest_first, known)
    again = [shown for shown in newest_first if mark is not None and int(str(shown["id"])) >= int(mark)]

    assert sorted(missing, key=lambda name: -int(str(name))) == missing
    assert ([], mark, False) == compared(again, known | set(map(str, missing)))


@pytest.mark.parametrize(
    ("max_age_s", "oldest_s"), [(3600.0, NOW_S - 3600), (259_200.0, NOW_S - 71 * 3600), (1e9, NOW_S - 71 * 3600)]
)
def test_nothing_older_than_the_memory_is_looked_for(max_age_s: float, oldest_s: int) -> None:
    """
    EVENT_MAX_AGE bounds the search; so do the 72 h for which a delivered event is remembered, or it would come again.
    """
    assert Bounds(0, oldest_s * 1000, (NOW_S - 5) * 1000) == missed.bounds(0, NOW_S * 1000, max_age_s)


def test_a_chat_that_is_read_later_has_a_present_of_its_own() -> None:
    """
    In a long round only what is too young moves on, not what is too old.
    """
    later_ms = (NOW_S + 60) * 1000

    assert Bounds(SINCE.since_ms, SINCE.oldest_ms, later_ms - 5000) == SINCE.at(later_ms)


def listed(name: str, age_s: float) -> Unread:
    """
    Return an unread chat whose last message has that age.
    """
    return Unread(f"u2i-{name}", "u2i", 7, name, round((NOW_S - age_s) * 1000))


@pytest.mark.parametrize(
    ("age_s", "mark", "expected"),
    [(60, None, True), (60, "before", True), (60, "a", False), (601, None, False)],
    ids=["never looked at", "more since then", "looked at", "too old"],
)
def test_which_chats_are_worth_a_look(age_s: float, mark: str | None, expected: bool) -> None:
    """
    A chat that shows nothing new costs no request, nor does one that was unread long before the first start.
    """
    assert expected == missed.is_worth_a_look(listed("a", age_s), mark, SINCE)


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ([10, 20], False),
        ([10, 700], True),
        ([700, 800], True),
        ([700, 10], False),
        ([10, 900, 700], False),
        ([], False),
    ],
)
def test_when_the_list_need_not_be_read_on(ages: list[float], expected: bool) -> None:
    """
    Only a page that is in order, and ends with a chat that is too old, shows that the rest is older still.
    """
    assert expected == missed.is_last_page([listed(str(age), age) for age in ages], SINCE)


@pytest.mark.parametrize("name", ["05_chat_v2_detail_2023", "06_chat_v2_detail_2025_stub_avatars"])
def test_a_chat_is_read_as_avito_shows_it(name: str) -> None:
    """
    The samples' chats keep their ad, their kind and their last message; one without a message cannot be compared.
    """
    chat = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
    last = chat["last_message"]

    assert Unread(
        chat["id"], "u2i", chat["context"]["value"]["id"], last["id"], last["created"] * 1000
    ) == missed.unread(chat)
    assert missed.unread({"id": chat["id"]}) is None


@pytest.mark.parametrize(
    ("chat", "kind", "item_id"),
    [
        ({"id": "u2u-a", "context": {"type": "user", "value": {"id": 5}}}, "u2u", None),
        ({"id": "old-1-2", "context": {"type": "item", "value": {"id": 5}}}, "u2i", 5),
        ({"id": "odd"}, None, None),
    ],
)
def test_the_kind_of_a_chat(chat: Message, kind: str | None, item_id: int | None) -> None:
    """
    It is how the id begins, else that of an ad if there is one; only an ad has an item id.
    """
    unread = missed.unread(chat | {"last_message": {"id": "m", "created": NOW_S}})

    assert unread is not None
    assert (kind, item_id) == (unread.chat_type, unread.item_id)


def test_the_webhook_is_the_one_that_did_not_come() -> None:
    """
    Field by field what Avito would have sent, but for the webhook's own id and time.
    """
    real = json.loads((PAYLOADS / "02_webhook_v3_text_in_2025_published_at.json").read_text(encoding="utf-8"))
    value = real["payload"]["value"]
    shown = {name: value[name] for name in ("id", "author_id", "created", "type", "content")} | {
        "direction": "in",
        "isRead": False,
    }
    chat = Unread(value["chat_id"], value["chat_type"], value["item_id"], value["id"], value["created"] * 1000)
    made = missed.webhook_of(chat, shown, str(value["user_id"]))

    assert real | {"id": None, "timestamp": None} == made
    assert list(value) == list(made["payload"]["value"])  # type: ignore[index]
    assert webhook.of(made).raw == value


@pytest.mark.parametrize(
    ("tokens_out", "limit", "expected"),
    [(0, 100, 0.0), (49, 100, 0.0), (50, 100, 6.0), (100, 100, 6.0), (0, 1, 0.0), (1, 1, 600.0), (7, None, 0.0)],
)
def test_how_long_a_search_waits_for_the_sends(tokens_out: int, limit: int | None, expected: float) -> None:
    """
    While half of the limit is free not at all; else it asks for one request in ten.
    """
    usage = Usage(tokens_out, limit, slots_open=0, max_connections=20, paused_ms=0, reason="")

    assert expected == missed.pause_s(usage, 60.0)


def test_values_are_compared_whole() -> None:
    """
    An empty comparison says that nothing is missing and nothing is known.
    """
    assert Compared([], None) == missed.compare([], (), ACCOUNT, SINCE, with_system=True)
