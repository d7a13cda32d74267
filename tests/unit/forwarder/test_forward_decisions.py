"""
What replies mean, and what becomes of the event.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.queue.entry import Tries
from common.queue.outcomes import Dead, Done, Outcome, Release, Retry
from common.settings import load
from forwarder.decide import (
    Cut,
    Delivered,
    Down,
    Failed,
    Gone,
    Meaning,
    NobodyWaits,
    Patience,
    backoff_s,
    callback_meaning,
    is_too_old,
    meaning,
    outcome,
    told,
)
from forwarder.replies import Answered, CutOff, Forbidden, Late, Reply, Unsent, read_answer

PATIENCE = Patience.of(load(None))
NOT_REGISTERED = b'{"code":404,"message":"The requested webhook \\"POST avito\\" is not registered.","hint":"..."}'


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"", Delivered(200)),
        (201, b"{", Delivered(201)),
        (204, b"", Delivered(204)),
        (301, b"", Failed("HTTP 301", 301)),
        (302, b"", Failed("HTTP 302", 302)),
        (400, b'{"message":"Bad\\n field"}', Failed("HTTP 400", 400, "Bad field")),
        (401, b"[]", Failed("HTTP 401", 401)),
        (403, b'{"message":7}', Failed("HTTP 403", 403)),
        (404, b'{"code":404,"message":"Not found"}', Failed("HTTP 404", 404, "Not found")),
        (404, NOT_REGISTERED, Down("HTTP 404: the webhook is not registered, is the workflow active?", None, 404)),
        (
            404,
            b"<p>NOT registered</p>",
            Down("HTTP 404: the webhook is not registered, is the workflow active?", None, 404),
        ),
        (408, b"", Down("HTTP 408", None, 408)),
        (410, b'{"message":"Gone"}', Gone("HTTP 410", 410, "Gone")),
        (413, b"\xff\xfe", Failed("HTTP 413", 413)),
        (429, b"", Down("HTTP 429", None, 429)),
        (500, b'{"message":"' + b"x" * 300 + b'"}', Failed("HTTP 500", 500, "x" * 200)),
        (501, b"[" * 100_000, Failed("HTTP 501", 501)),
        (502, NOT_REGISTERED, Down("HTTP 502", None, 502)),
        (503, b"", Down("HTTP 503", None, 503)),
        (504, b"", Failed("HTTP 504", 504)),
        (520, b"", Failed("HTTP 520", 520)),
    ],
)
def test_what_an_answer_means(status: int, body: bytes, expected: Meaning) -> None:
    """
    Only 2xx is success; some statuses say that n8n is away, the others that it fails on this event.
    """
    assert expected == meaning(read_answer(status, {}, body))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "Mon, 24 Nov 2025 10:00:30 GMT", "date": "Mon, 24 Nov 2025 10:00:00 GMT"}, 30.0),
        ({"retry-after": "0"}, 1.0),
        ({"retry-after": "86400"}, 900.0),
        ({"retry-after": "soon"}, None),
    ],
)
def test_how_long_n8n_asks_to_wait(headers: dict[str, str], expected: float | None) -> None:
    """
    Retry-After counts in both forms, from 1 s to 15 min.
    """
    assert Down("HTTP 503", expected, 503) == meaning(read_answer(503, headers, b""))


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Unsent("ConnectError"), Down("ConnectError")),
        (CutOff("ReadError"), Cut("ReadError")),
        (Late(30.0), Failed("no answer within 30 s")),
        (Forbidden("private address"), Gone("private address")),
    ],
)
def test_what_no_answer_means(reply: Reply, expected: Meaning) -> None:
    """
    Without a connection n8n is down; a cut is both; a late answer is the event's fault.
    """
    assert expected == meaning(reply)


@pytest.mark.parametrize(
    ("reply", "at_n8n", "elsewhere"),
    [
        (Answered(200), Delivered(200), Delivered(200)),
        (
            Answered(404),
            NobodyWaits("HTTP 404: nobody waits for it", 404),
            NobodyWaits("HTTP 404: nobody waits for it", 404),
        ),
        (
            Answered(404, not_registered=True),
            NobodyWaits("HTTP 404: nobody waits for it", 404),
            NobodyWaits("HTTP 404: nobody waits for it", 404),
        ),
        (
            Answered(409),
            NobodyWaits("HTTP 409: nobody waits for it", 409),
            NobodyWaits("HTTP 409: nobody waits for it", 409),
        ),
        (Answered(503), Down("HTTP 503", None, 503), Failed("HTTP 503", 503)),
        (Answered(500), Failed("HTTP 500", 500), Failed("HTTP 500", 500)),
        (Unsent("ConnectError"), Down("ConnectError"), Failed("ConnectError")),
        (CutOff("ReadError"), Cut("ReadError"), Failed("ReadError")),
    ],
)
def test_what_a_reply_to_a_callback_means(reply: Reply, at_n8n: Meaning, elsewhere: Meaning) -> None:
    """
    404 and 409 say that nobody waits; another host that is down does not stop what goes to n8n.
    """
    assert (at_n8n, elsewhere) == (callback_meaning(reply, at_n8n=True), callback_meaning(reply, at_n8n=False))


LINE = {"at": "now"}


@pytest.mark.parametrize(
    ("found", "attempts", "expected"),
    [
        (Delivered(200), 0, Done("delivered", attempt=LINE)),
        (Delivered(200), 7, Done("delivered", attempt=LINE)),
        (Down("HTTP 503"), 0, Release("HTTP 503")),
        (Down("HTTP 503"), 7, Release("HTTP 503")),
        (Failed("HTTP 500", 500, "no"), 0, Retry(2.0, "HTTP 500: no", attempt=LINE)),
        (Failed("HTTP 500", 500), 6, Retry(128.0, "HTTP 500", attempt=LINE)),
        (Failed("HTTP 500", 500, "no"), 7, Dead("rejected", "HTTP 500: no, after 8 attempts", attempt=LINE)),
        (Cut("ReadError"), 0, Retry(2.0, "ReadError", attempt=LINE)),
        (Cut("ReadError"), 7, Dead("rejected", "ReadError, after 8 attempts", attempt=LINE)),
        (Gone("HTTP 410", 410, "Gone"), 0, Dead("rejected", "HTTP 410: Gone", attempt=LINE)),
    ],
)
def test_what_becomes_of_an_event(found: Meaning, attempts: int, expected: Outcome) -> None:
    """
    A pause costs no attempt; failures and cuts do, and the eighth ends it.
    """
    assert expected == outcome(found, Tries(attempts=attempts), PATIENCE, chance=0.0, attempt=LINE)


@pytest.mark.parametrize(
    ("waited_s", "expected"),
    [
        (0.0, Retry(2.0, "HTTP 404")),
        (8.0, Retry(2.0, "HTTP 404")),
        (9.5, Retry(0.5, "HTTP 404")),
        (10.0, Dead("rejected", "HTTP 404: no")),
    ],
)
def test_a_callback_nobody_waits_for_has_10_s(waited_s: float, expected: Outcome) -> None:
    """
    An execution may reach its wait a moment after the message was sent; after 10 s it never will.
    """
    found = NobodyWaits("HTTP 404", 404, "no")

    assert expected == outcome(found, Tries(attempts=20), PATIENCE, chance=0.5, waited_s=waited_s)


@settings(deadline=None)
@given(
    attempts=st.integers(0, 10_000),
    chance=st.floats(0, 1),
    low=st.floats(0.01, 100),
    factor=st.floats(1, 1000),
)
def test_backoff_stays_between_its_bounds(attempts: int, chance: float, low: float, factor: float) -> None:
    """
    No wait is below FORWARD_RETRY_MIN or above FORWARD_RETRY_MAX, and more attempts never shorten it.
    """
    patience = Patience(max_attempts=8, min_s=low, max_s=low * factor)
    wait_s = backoff_s(attempts, patience, chance)

    assert low <= wait_s <= low * factor * 1.0000001
    assert backoff_s(attempts, patience, 1.0) <= backoff_s(attempts + 1, patience, 1.0)


def test_backoff_doubles_up_to_five_minutes() -> None:
    """
    The longest wait doubles from 4 s to 300 s; the shortest is half of it.
    """
    longest = [backoff_s(attempts, PATIENCE, 1.0) for attempts in range(9)]

    assert longest == [4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert [backoff_s(attempts, PATIENCE, 0.0) for attempts in range(9)] == [2, 4, 8, 16, 32, 64, 128, 150, 150]


@pytest.mark.parametrize(("now_ms", "expected"), [(1000, False), (61_000, False), (61_001, True), (0, False)])
def test_an_event_grows_too_old(now_ms: int, expected: bool) -> None:
    """
    EVENT_MAX_AGE counts from acceptance.
    """
    assert expected is is_too_old(1000, now_ms, 60.0)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Delivered(200), {"outcome": "delivered", "status": 200}),
        (Failed("HTTP 500", 500, "a customer's words"), {"outcome": "failed", "status": 500, "error": "HTTP 500"}),
        (Down("ConnectError"), {"outcome": "down", "error": "ConnectError"}),
        (Cut("ReadError"), {"outcome": "cut", "error": "ReadError"}),
        (NobodyWaits("HTTP 404", 404), {"outcome": "nobodywaits", "status": 404, "error": "HTTP 404"}),
    ],
)
def test_the_timeline_has_no_texts(found: Meaning, expected: dict[str, object]) -> None:
    """
    An attempt's line says outcome, status and error; what n8n wrote is left out.
    """
    assert expected == told(found)
