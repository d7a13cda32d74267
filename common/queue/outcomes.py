"""
What a handler decides about an entry: values, not exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Done:
    """
    The entry has reached its end: `status` is what its record says (`sent`, `delivered`, `skipped`, `expired`).

    `record` are further fields of the status record; `message_id` and `chat_id` of a message that Avito shows
    now note it as ours, so that no look-up takes it for the result of another command. `attempt` is the attempt's
    line in the timeline.
    """

    status: str
    record: Mapping[str, str] = field(default_factory=dict)
    message_id: str | None = None
    attempt: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """
    Try again after `after_s` seconds; the chat waits, others do not.

    `counted` says that the other side refused, so it is an attempt (R32). `unknown` says that this attempt may have
    taken effect: the next turn looks first. It began at `since_ms`, Redis' clock (None: when the entry was taken),
    `gate_since_ms` by the gate's, `theirs_since_ms` by the other side's; `trace` is what its effect would be known by.
    None where that is not known.
    """

    after_s: float
    error: str
    counted: bool = True
    unknown: bool = False
    attempt: Mapping[str, object] | None = None
    since_ms: int | None = None
    gate_since_ms: int | None = None
    theirs_since_ms: int | None = None
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Dead:
    """
    Give up: the entry becomes a dead letter with a reason (`rejected`, `malformed`, `crashed`, `expired`, ...).
    """

    reason: str
    detail: str
    record: Mapping[str, str] = field(default_factory=dict)
    attempt: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """
    Give the entry back without an attempt: a pause began, or the worker leaves.
    """

    reason: str


Outcome = Done | Retry | Dead | Release
