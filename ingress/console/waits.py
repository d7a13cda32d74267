"""
Why something waits, in words: from what was read to texts of the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from common.queue.hold import Direction
from common.queue.look import Depths
from common.queue.usage import Usage

Level = Literal["good", "wait", "bad"]


@dataclass(frozen=True, slots=True)
class Reason:
    """
    One line: a text of the catalogue and what fills it in. `ms` is a duration from now, `at_ms` a moment.
    """

    level: Level
    key: str
    values: Mapping[str, object] = field(default_factory=dict)
    ms: float | None = None
    at_ms: int | None = None


def reasons(
    direction: Direction,
    *,
    depths: Sequence[Depths],
    usage: Usage,
    next_ms: int | None,
    reserve: int,
    is_stalled: bool,
) -> list[Reason]:
    """
    Return why entries of a direction wait, the gravest first; one line that all is well when nothing keeps them.

    `next_ms`: until a token is back; `reserve`: how many of them bulk messages leave alone.
    """
    found = [
        *_stops(direction, usage, is_stalled=is_stalled),
        *_limits(direction, depths, usage, next_ms, reserve),
    ]
    waits = any(depth.total for depth in depths)
    return found or [Reason("good", "waits.moving" if waits else "waits.nothing")]


def _stops(direction: Direction, usage: Usage, *, is_stalled: bool) -> Iterator[Reason]:
    """
    What stops a direction as a whole.
    """
    if is_stalled:
        yield Reason("bad", f"waits.stalled.{direction}")
    if (hold := usage.hold) is not None:
        key = "waits.held_why" if hold.why else "waits.held"
        yield Reason("wait", key, {"by": hold.by, "why": hold.why}, at_ms=hold.since_ms)
    if usage.paused_ms and usage.reason == "state_lost":
        yield Reason("wait", "waits.state_lost", ms=usage.paused_ms)
    elif usage.paused_ms:
        yield Reason("wait", f"waits.paused.{direction}", {"reason": usage.reason or "-"}, ms=usage.paused_ms)
    elif usage.reason:
        yield Reason("wait", "waits.probe", {"reason": usage.reason})


def _limits(
    direction: Direction, depths: Sequence[Depths], usage: Usage, next_ms: int | None, reserve: int
) -> Iterator[Reason]:
    """
    What single entries wait for.
    """
    bulk = sum(depth.new + depth.behind for depth in depths[1:])
    if usage.limit is not None and any(depth.new or depth.behind for depth in depths):
        if usage.tokens_out >= usage.limit:
            yield Reason("wait", "waits.rate", {"limit": usage.limit}, ms=next_ms or 0)
        elif bulk and usage.tokens_out >= usage.limit - reserve:
            yield Reason("wait", "waits.reserve", {"count": bulk, "reserve": reserve})
        elif bulk and usage.hold is None and not usage.paused_ms:
            yield Reason("good", "waits.pace", {"count": bulk})
    if usage.slots_open >= usage.max_connections and any(depth.new for depth in depths):
        yield Reason("wait", "waits.slots", {"slots": usage.max_connections})
    if behind := sum(depth.behind for depth in depths):
        yield Reason("good", "waits.behind", {"count": behind})
    if retrying := sum(depth.retrying for depth in depths):
        yield Reason("good", f"waits.retrying.{direction}", {"count": retrying})
