"""
What a receiver's reply means, and what becomes of the event (design section 7). All of it values, nothing is done here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from common.queue.entry import Tries
from common.queue.outcomes import Dead, Done, Outcome, Release, Retry
from common.settings import Settings
from forwarder.replies import Answered, CutOff, Forbidden, Late, Reply, Unsent

CALLBACK_GRACE_S: Final = 10.0
_CALLBACK_AGAIN_S: Final = 2.0
_DOWN: Final = (408, 429, 502, 503)


@dataclass(frozen=True, slots=True)
class Delivered:
    """
    The receiver has it.
    """

    status: int


@dataclass(frozen=True, slots=True)
class Down:
    """
    The receiver is away or asks for a break: nobody loses an attempt by it.
    """

    error: str
    retry_after_s: float | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """
    The receiver fails on this event: an attempt.
    """

    error: str
    status: int | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """
    The receiver will never take it.
    """

    error: str
    status: int | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class NobodyWaits:
    """
    No execution waits for this callback: not yet, or not any more.
    """

    error: str
    status: int
    said: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """
    The connection broke in the middle: perhaps the receiver went down, perhaps because of this event. It is both.
    """

    error: str


Meaning = Delivered | Down | Failed | Gone | NobodyWaits | Cut


@dataclass(frozen=True, slots=True)
class Patience:
    """
    How often and how long an event is tried: `FORWARD_MAX_ATTEMPTS`, `FORWARD_RETRY_MIN`, `FORWARD_RETRY_MAX`.
    """

    max_attempts: int
    min_s: float
    max_s: float

    @classmethod
    def of(cls, settings: Settings) -> Patience:
        """
        Take it from the settings.
        """
        return cls(settings.forward_max_attempts, settings.forward_retry_min, settings.forward_retry_max)


def meaning(reply: Reply) -> Meaning:
    """
    Say what n8n's reply to an event means.
    """
    match reply:
        case Unsent(error=error):
            return Down(error)
        case CutOff(error=error):
            return Cut(error)
        case Late(timeout_s=timeout_s):
            return Failed(f"no answer within {timeout_s:g} s")
        case Forbidden(error=error):
            return Gone(error)
        case Answered(status=status):
            return _of_answer(reply, f"HTTP {status}")


def _of_answer(answer: Answered, error: str) -> Meaning:
    status = answer.status
    if 200 <= status < 300:
        return Delivered(status)
    if status in _DOWN:
        return Down(error, answer.retry_after_s, status)
    if status == 404 and answer.not_registered:
        return Down(f"{error}: the webhook is not registered, is the workflow active?", answer.retry_after_s, status)
    if status == 410:
        return Gone(error, status, answer.said)
    return Failed(error, status, answer.said)


def callback_meaning(reply: Reply, *, at_n8n: bool) -> Meaning:
    """
    Say what the reply to a callback means.

    There 404 and 409 say that no execution waits. A host that is not n8n's (`at_n8n` False) and is down says nothing
    about n8n, so it is only this callback that fails.
    """
    if isinstance(reply, Answered) and reply.status in (404, 409):
        return NobodyWaits(f"HTTP {reply.status}: nobody waits for it", reply.status, reply.said)
    found = meaning(reply)
    if not at_n8n:
        match found:
            case Down(error=error, status=status):
                return Failed(error, status)
            case Cut(error=error):
                return Failed(error)
    return found


def outcome(
    found: Meaning,
    tries: Tries,
    patience: Patience,
    *,
    chance: float,
    waited_s: float = 0.0,
    attempt: Mapping[str, object] | None = None,
) -> Outcome:
    """
    Say what becomes of the event.

    `chance` (0..1) is the jitter, `waited_s` the time since its first attempt, `attempt` its line in the timeline.
    """
    match found:
        case Delivered():
            return Done("delivered", attempt=attempt)
        case Down(error=error):
            return Release(error)
        case Gone(error=error, said=said):
            return Dead("rejected", _detail(error, said), attempt=attempt)
        case NobodyWaits():
            return _until_grace(found, waited_s, attempt)
        case Failed(error=error, said=said):
            return _again(_detail(error, said), tries, patience, chance, attempt)
        case Cut(error=error):
            return _again(error, tries, patience, chance, attempt)


def _until_grace(found: NobodyWaits, waited_s: float, attempt: Mapping[str, object] | None) -> Outcome:
    """
    The execution may be on its way to its wait; or it is over, and then nobody will ever listen.
    """
    if waited_s >= CALLBACK_GRACE_S:
        return Dead("rejected", _detail(found.error, found.said), attempt=attempt)
    return Retry(min(_CALLBACK_AGAIN_S, CALLBACK_GRACE_S - waited_s), found.error, attempt=attempt)


def _again(
    error: str, tries: Tries, patience: Patience, chance: float, attempt: Mapping[str, object] | None
) -> Outcome:
    if tries.attempts + 1 >= patience.max_attempts:
        return Dead("rejected", f"{error}, after {tries.attempts + 1} attempts", attempt=attempt)
    return Retry(backoff_s(tries.attempts, patience, chance), error, attempt=attempt)


def backoff_s(attempts: int, patience: Patience, chance: float) -> float:
    """
    Return the wait after one more failed attempt: doubling from `min_s` to `max_s`, the upper half of it by chance.
    """
    longest_s: float = min(patience.max_s, patience.min_s * 2.0 ** min(attempts + 1, 60))
    shortest_s = max(patience.min_s, longest_s / 2)
    return shortest_s + (longest_s - shortest_s) * chance


def is_too_old(received_ms: int, now_ms: int, max_age_s: float) -> bool:
    """
    Say whether an event has waited longer than `EVENT_MAX_AGE`.
    """
    return now_ms - received_ms > max_age_s * 1000


def _detail(error: str, said: str) -> str:
    return f"{error}: {said}" if said else error


def told(found: Meaning) -> dict[str, object]:
    """
    Return what the timeline says of an attempt: outcome, status and error, without the receiver's own words.
    """
    line: dict[str, object] = {"outcome": type(found).__name__.lower()}
    if not isinstance(found, Cut) and found.status is not None:
        line["status"] = found.status
    if not isinstance(found, Delivered):
        line["error"] = found.error
    return line
