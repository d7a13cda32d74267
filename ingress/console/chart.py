"""
The last hour as a chart: what came, what went out, what failed, and what waited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from common.queue.history import Flow

STEP: Final = 10
HEIGHT: Final = 90
WAITING_HEIGHT: Final = 36
_NICE: Final = (1, 2, 3, 5)


@dataclass(frozen=True, slots=True)
class Column:
    """
    One minute, in units of the picture: heights of what was done, failed and accepted.
    """

    x: int
    minute: int
    flow: Flow
    done: float
    failed: float
    accepted: float


@dataclass(frozen=True, slots=True)
class Chart:
    """
    One direction. `top` and `most_waiting` are the numbers that the full heights stand for; the totals are the hour's.
    """

    columns: list[Column]
    top: int
    most_waiting: int
    waiting: str
    accepted: int
    done: int
    failed: int

    @property
    def width(self) -> int:
        """
        The width of all columns.
        """
        return STEP * len(self.columns)

    @property
    def is_empty(self) -> bool:
        """
        Whether nothing happened in this hour.
        """
        return not (self.accepted or self.done or self.failed or self.most_waiting)


def chart(minutes: Sequence[tuple[int, Flow]]) -> Chart:
    """
    Draw the minutes, oldest first, each with its number (unix time / 60).
    """
    flows = [flow for _, flow in minutes]
    top = nice(max((max(flow.accepted, flow.done + flow.failed) for flow in flows), default=0))
    most_waiting = max((flow.waiting for flow in flows), default=0)
    columns = [
        Column(
            x=STEP * n,
            minute=minute,
            flow=flow,
            done=HEIGHT * flow.done / top,
            failed=HEIGHT * flow.failed / top,
            accepted=HEIGHT * flow.accepted / top,
        )
        for n, (minute, flow) in enumerate(minutes)
    ]
    return Chart(
        columns=columns,
        top=top,
        most_waiting=most_waiting,
        waiting=_area([flow.waiting for flow in flows], max(1, most_waiting)),
        accepted=sum(flow.accepted for flow in flows),
        done=sum(flow.done for flow in flows),
        failed=sum(flow.failed for flow in flows),
    )


def nice(most: int) -> int:
    """
    Return the first of 5, 10, 20, 30, 50, 100, ... that is not below `most`.
    """
    size = 1
    while True:
        for digit in _NICE:
            if digit * size >= max(most, 5):
                return digit * size
        size *= 10


def _area(values: Sequence[int], most: int) -> str:
    """
    Return the outline of an area under the values, in steps, as an SVG path.
    """
    parts = [f"M0 {WAITING_HEIGHT}"]
    for n, value in enumerate(values):
        y = round(WAITING_HEIGHT * (1 - value / most), 1)
        parts.append(f"L{STEP * n} {y}L{STEP * (n + 1)} {y}")
    return "".join([*parts, f"L{STEP * len(values)} {WAITING_HEIGHT}Z"])
