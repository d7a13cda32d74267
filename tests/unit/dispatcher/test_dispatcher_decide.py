"""
What becomes of a command after an attempt.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.avito.answers import Blocked, Limited, Ok, Refused, Unauthorized, Unknown, Unsent
from common.queue.entry import Tries
from common.queue.gate import MARGIN_S
from common.queue.outcomes import Dead, Done, Outcome, Release, Retry
from common.settings import Settings
from dispatcher.decide import (
    HELD_LOOK_S,
    UNDER_WAY_LOOK_S,
    Failure,
    Policy,
    after_failure,
    after_lookup_failure,
    again,
    backoff_s,
    done,
    exhausted,
    held,
    not_there,
    policy_of,
    reconciled,
    under_way,
)


def longest(_low: float, high: float) -> float:
    """
    Stand in for chance: always the longest wait.
    """
    return high


Ambiguous = Literal["reconcile", "resend", "hold"]
POLICY = Policy(max_retries=3, retry_min_s=1.0, retry_max_s=10.0, chance=longest)
LINE = {"outcome": "x"}
FIRST = Tries()
LAST = Tries(attempts=3)
DOUBTFUL = Tries(attempts=1, outcome_unknown=True, unknown_since_ms=5)


@pytest.mark.parametrize(
    ("found", "tries", "ambiguous", "expected"),
    [
        (Limited(5.0), LAST, "reconcile", Release("paused: Avito answered 429")),
        (Blocked(402, "pay"), LAST, "reconcile", Release("paused: HTTP 402: pay")),
        (Unauthorized(403, "no"), FIRST, "reconcile", Release("paused: HTTP 403: no")),
        (
            Refused(400, "Validation error", {"text": "too long"}),
            FIRST,
            "reconcile",
            Dead("rejected", 'Avito refused with 400: Validation error {"text": "too long"}', attempt=LINE),
        ),
        (Refused(404, "Not found"), FIRST, "hold", Dead("rejected", "Avito refused with 404: Not found", attempt=LINE)),
        (Unsent("no"), FIRST, "reconcile", Retry(2.0, "no", attempt=LINE)),
        (Unsent("no"), Tries(attempts=2), "reconcile", Retry(8.0, "no", attempt=LINE)),
        (Unsent("no"), LAST, "reconcile", Dead("rejected", "4 attempts failed, the last one: no", attempt=LINE)),
        (Unsent("no"), DOUBTFUL, "reconcile", Retry(4.0, "no", unknown=True, attempt=LINE)),
        (Unknown("late"), FIRST, "reconcile", Retry(2.0, "late", unknown=True, attempt=LINE)),
        (Unknown("late"), LAST, "reconcile", Retry(10.0, "late", unknown=True, attempt=LINE)),
        (Unknown("late"), LAST, "hold", Retry(10.0, "late", unknown=True, attempt=LINE)),
        (Unknown("late", aborted=True), FIRST, "reconcile", Retry(2.0, "late", unknown=True, attempt=LINE)),
        (Unknown("late"), FIRST, "resend", Retry(2.0, "late", unknown=True, attempt=LINE)),
        (
            Unknown("late"),
            LAST,
            "resend",
            Dead("unknown", "it may have been sent; the last of 4 attempts: late", attempt=LINE),
        ),
    ],
)
def test_after_a_send_that_failed(found: Failure, tries: Tries, ambiguous: Ambiguous, expected: Outcome) -> None:
    """
    A pause is no attempt, a refusal is final, the rest is tried again; an unknown outcome is kept apart.
    """
    policy = replace(POLICY, ambiguous=ambiguous)

    assert expected == after_failure(found, tries, policy, LINE, takes_effect=True)


@pytest.mark.parametrize(
    ("found", "tries", "expected"),
    [
        (Unknown("late"), FIRST, Retry(2.0, "late", attempt=LINE)),
        (Unknown("late"), DOUBTFUL, Retry(4.0, "late", unknown=True, attempt=LINE)),
        (Unknown("late"), LAST, Dead("rejected", "4 attempts failed, the last one: late", attempt=LINE)),
    ],
)
def test_after_an_upload_that_failed(found: Failure, tries: Tries, expected: Outcome) -> None:
    """
    An upload of unknown outcome has sent no message; an earlier doubt remains.
    """
    assert expected == after_failure(found, tries, POLICY, LINE, takes_effect=False)


@pytest.mark.parametrize(
    ("found", "tries", "expected"),
    [
        (Limited(5.0), DOUBTFUL, Release("paused: Avito answered 429")),
        (Unsent("no"), DOUBTFUL, Retry(4.0, "look-up: no", unknown=True, attempt=LINE)),
        (
            Unknown("late"),
            Tries(attempts=6, outcome_unknown=True),
            Retry(10.0, "look-up: late", unknown=True, attempt=LINE),
        ),
        (
            Unknown("late"),
            Tries(attempts=7, outcome_unknown=True),
            Dead("unknown", "it may have been sent; the look-up failed: late", attempt=LINE),
        ),
        (
            Refused(404, "Not found"),
            DOUBTFUL,
            Dead("unknown", "it may have been sent; the look-up was refused with 404: Not found", attempt=LINE),
        ),
    ],
)
def test_after_a_look_up_that_failed(found: Failure, tries: Tries, expected: Outcome) -> None:
    """
    Without a look nothing is sent again; in the end the dead letter says that it may have been sent.
    """
    assert expected == after_lookup_failure(found, tries, POLICY, LINE)


def test_attempts_are_the_first_and_max_retries_more() -> None:
    """
    With MAX_RETRIES=3 the fourth attempt is the last; with 0 the first.
    """
    none = replace(POLICY, max_retries=0)

    assert [exhausted(Tries(attempts=n), POLICY) for n in (3, 4)] == [False, True]
    assert isinstance(again("no", FIRST, none, LINE), Dead)


def test_done_keeps_the_answer() -> None:
    """
    The record has Avito's answer and its message id; answers without an id have none.
    """
    body = {"id": "m1", "content": {"text": "привет"}}

    assert done(Ok(body), LINE) == Done(
        "sent",
        {"response": '{"id":"m1","content":{"text":"привет"}}', "message_id": "m1"},
        message_id="m1",
        attempt=LINE,
    )
    assert done(Ok({"ok": True}), LINE) == Done("sent", {"response": '{"ok":true}'}, attempt=LINE)


def test_found_in_the_chat() -> None:
    """
    A send that was found is sent, and its record says how we know.
    """
    assert reconciled("m1", LINE) == Done(
        "sent", {"message_id": "m1", "reconciled": "true"}, message_id="m1", attempt=LINE
    )


def test_held_keeps_the_first_error() -> None:
    """
    A held send waits for a human, is no attempt, and holding it again does not pile up its error.
    """
    first = held(Tries(last_error="late"))

    assert Retry(HELD_LOOK_S, "outcome unknown, held: late", counted=False, unknown=True) == first
    assert first == held(Tries(last_error=first.error))


def test_waiting_for_another_request_is_no_attempt() -> None:
    """
    Whatever is known of earlier attempts stays, and the send stays in doubt.
    """
    told = "another worker's request is under way"

    assert Retry(UNDER_WAY_LOOK_S, told, counted=False, unknown=True) == under_way(FIRST)
    assert under_way(Tries(last_error="late")).error == "late"


def test_what_was_cut_off_may_still_arrive() -> None:
    """
    After a timeout of ours the next turn comes no sooner than the gate counts on the request.
    """
    hasty = replace(POLICY, retry_min_s=0.01, retry_max_s=0.05)

    outcomes = [
        after_failure(Unknown("late", aborted=cut), FIRST, hasty, LINE, takes_effect=True) for cut in (False, True)
    ]

    assert [0.02, MARGIN_S] == [outcome.after_s for outcome in outcomes if isinstance(outcome, Retry)]


def test_not_there_after_the_last_look() -> None:
    """
    When the last look finds nothing the dead letter can say that it was not sent.
    """
    assert Dead("rejected", "4 attempts failed and none is in the chat; the last one: late") == not_there(
        Tries(attempts=4, last_error="late")
    )


def test_the_policy_comes_from_the_settings() -> None:
    """
    MAX_RETRIES, RETRY_MIN_WAIT, RETRY_MAX_WAIT and AMBIGUOUS_SENDS are what decides.
    """
    policy = policy_of(Settings(max_retries=1, retry_min_wait=0.5, retry_max_wait=2.0, ambiguous_sends="hold"))

    assert (policy.max_retries, policy.retry_min_s, policy.retry_max_s, policy.ambiguous) == (1, 0.5, 2.0, "hold")


@given(st.integers(0, 10_000), st.floats(0.001, 60), st.floats(0, 600))
def test_backoff_is_bounded(attempts: int, low: float, more: float) -> None:
    """
    Every wait lies within RETRY_MIN_WAIT..RETRY_MAX_WAIT.
    """
    policy = Policy(max_retries=3, retry_min_s=low, retry_max_s=low + more)

    assert low <= backoff_s(attempts, policy) <= low + more + 1e-9
