"""
What becomes of a command after an attempt: facts in, an outcome out (design section 5).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from common.avito.answers import Blocked, Limited, Ok, Refused, Unauthorized, Unknown, Unsent
from common.avito.messages import message_id
from common.queue.entry import Tries
from common.queue.gate import MARGIN_S
from common.queue.outcomes import Dead, Done, Outcome, Release, Retry
from common.settings import Settings

# A held send waits for a human. So often it asks whether its echo has come.
HELD_LOOK_S: Final = 60.0
# How long to wait before the next look whether another worker's request has ended.
UNDER_WAY_LOOK_S: Final = 0.5

Failure = Refused | Limited | Blocked | Unauthorized | Unknown | Unsent
Attempt = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    How often and how fast to try again, and what to do about sends whose outcome is unknown.
    """

    max_retries: int
    retry_min_s: float
    retry_max_s: float
    ambiguous: Literal["reconcile", "resend", "hold"] = "reconcile"
    chance: Callable[[float, float], float] = random.uniform


def policy_of(settings: Settings) -> Policy:
    """
    Take the policy from the settings.
    """
    return Policy(
        max_retries=settings.max_retries,
        retry_min_s=settings.retry_min_wait,
        retry_max_s=settings.retry_max_wait,
        ambiguous=settings.ambiguous_sends,
    )


def backoff_s(attempts: int, policy: Policy) -> float:
    """
    Return the wait after that many attempts: exponential with full jitter, within RETRY_MIN_WAIT..RETRY_MAX_WAIT.
    """
    longest_s = min(policy.retry_max_s, policy.retry_min_s * 2 ** min(attempts, 32))
    return policy.chance(policy.retry_min_s, longest_s)


def exhausted(tries: Tries, policy: Policy) -> bool:
    """
    Say whether all attempts are used up: the first one and MAX_RETRIES more.
    """
    return tries.attempts > policy.max_retries


def done(found: Ok, attempt: Attempt) -> Done:
    """
    Settle what Avito did.
    """
    sent_id = message_id(found.body)
    record = {"response": json.dumps(found.body, ensure_ascii=False, separators=(",", ":"))}
    if sent_id is not None:
        record["message_id"] = sent_id
    return Done(status="sent", record=record, message_id=sent_id, attempt=attempt)


def reconciled(found_id: str, attempt: Attempt) -> Done:
    """
    Settle a send that turned out to have reached the chat.
    """
    return Done(
        status="sent",
        record={"message_id": found_id, "reconciled": "true"},
        message_id=found_id,
        attempt=attempt,
    )


def after_failure(found: Failure, tries: Tries, policy: Policy, attempt: Attempt, *, takes_effect: bool) -> Outcome:
    """
    Decide about an attempt that did not succeed.

    `takes_effect` is whether the call itself would have put the message into the chat: the upload before it does
    not. Once unknown, a send stays so until it is found or refused: a later attempt that surely failed does not tell
    what became of the earlier one.
    """
    match found:
        case Limited():
            return Release("paused: Avito answered 429")
        case Blocked(status=status, message=message) | Unauthorized(status=status, message=message):
            return Release(f"paused: HTTP {status}: {message}")
        case Refused(status=status, message=message, fields=fields):
            detail = f"Avito refused with {status}: {message}"
            if fields:
                detail += f" {json.dumps(fields, ensure_ascii=False)}"
            return Dead("rejected", detail, attempt=attempt)
        case Unknown() if takes_effect:
            return _after_unknown(found, tries, policy, attempt)
        case Unknown(error=error) | Unsent(error=error):
            return again(error, tries, policy, attempt)


def again(error: str, tries: Tries, policy: Policy, attempt: Attempt) -> Outcome:
    """
    Try again after an attempt without effect, or give up.
    """
    if tries.attempts >= policy.max_retries:
        return Dead("rejected", f"{tries.attempts + 1} attempts failed, the last one: {error}", attempt=attempt)
    wait_s = backoff_s(tries.attempts + 1, policy)
    return Retry(after_s=wait_s, error=error, unknown=tries.outcome_unknown, attempt=attempt)


def _after_unknown(found: Unknown, tries: Tries, policy: Policy, attempt: Attempt) -> Outcome:
    error = found.error
    # Where the next turn looks before it sends, it may come once more than there are attempts: only to look.
    if policy.ambiguous == "resend" and tries.attempts >= policy.max_retries:
        return Dead(
            "unknown", f"it may have been sent; the last of {tries.attempts + 1} attempts: {error}", attempt=attempt
        )
    # What we cut off may still arrive for as long as the gate counts with it: a look before that proves nothing.
    wait_s = max(backoff_s(tries.attempts + 1, policy), MARGIN_S if found.aborted else 0.0)
    return Retry(after_s=wait_s, error=error, unknown=True, attempt=attempt)


def after_lookup_failure(found: Failure, tries: Tries, policy: Policy, attempt: Attempt) -> Outcome:
    """
    Decide when the look-up itself failed: wait and look again, for as many attempts once more, never send unseen.
    """
    match found:
        case Limited() | Blocked() | Unauthorized():
            return after_failure(found, tries, policy, attempt, takes_effect=False)
        case Refused(status=status, message=message):
            return Dead(
                "unknown", f"it may have been sent; the look-up was refused with {status}: {message}", attempt=attempt
            )
        case Unknown(error=error) | Unsent(error=error):
            if tries.attempts > 2 * policy.max_retries:
                return Dead("unknown", f"it may have been sent; the look-up failed: {error}", attempt=attempt)
            wait_s = backoff_s(tries.attempts + 1, policy)
            return Retry(after_s=wait_s, error=f"look-up: {error}", unknown=True, attempt=attempt)


def held(tries: Tries) -> Retry:
    """
    Keep a send of unknown outcome until a human decides (`AMBIGUOUS_SENDS=hold`).
    """
    error = tries.last_error if is_held(tries) else f"{_HELD}: {tries.last_error or 'a worker ended'}"
    return Retry(after_s=HELD_LOOK_S, error=error, counted=False, unknown=True)


def under_way(tries: Tries) -> Retry:
    """
    Wait for another worker's request: until it ends, nobody knows whether the chat will show its message.
    """
    error = tries.last_error or "another worker's request is under way"
    return Retry(after_s=UNDER_WAY_LOOK_S, error=error, counted=False, unknown=True)


def is_held(tries: Tries) -> bool:
    """
    Say whether a send was held before.
    """
    return tries.last_error.startswith(_HELD)


_HELD: Final = "outcome unknown, held"


def out_of_reach() -> Dead:
    """
    Give up on a send that cannot be looked up: Avito shows only the newest messages of a chat.
    """
    return Dead("unknown", "it may have been sent; so much was written since that Avito no longer shows that time")


def not_there(tries: Tries) -> Dead:
    """
    Give up on a send whose attempts are used up and that the last look did not find.
    """
    return Dead(
        "rejected", f"{tries.attempts} attempts failed and none is in the chat; the last one: {tries.last_error}"
    )
