"""
The Markdown table. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.stats import Measurement, Spread, spread

_HEAD: Final = (
    "| what | per second, median (least to most) | p50 ms | p99 ms | floor per second | reached | of the ceiling |\n"
    "|---|---:|---:|---:|---:|---|---:|"
)


@dataclass(frozen=True, slots=True)
class Row:
    """
    One thing that was measured, run by run; `floor_per_s` is what it must reach, if anything.

    `ceiling` is what the bare mechanism reached, measured in turns with it: its n-th run is of the same moment.
    """

    name: str
    runs: tuple[Measurement, ...]
    floor_per_s: float | None = None
    ceiling: Row | None = None

    @property
    def reached(self) -> bool | None:
        """
        Say whether the median is at the floor or above; None where there is no floor.
        """
        rate = spread([run.rate_per_s for run in self.runs])
        return None if self.floor_per_s is None or rate is None else rate.median >= self.floor_per_s

    @property
    def share(self) -> Spread | None:
        """
        Return which part of the ceiling's rate each run reached; a machine that is slow is slow for both.
        """
        if self.ceiling is None:
            return None
        pairs = zip(self.runs, self.ceiling.runs, strict=True)
        return spread([own.rate_per_s / bare.rate_per_s for own, bare in pairs if own.rate_per_s and bare.rate_per_s])


def render(rows: Sequence[Row]) -> str:
    """
    Return the table, one line a row, and one below it for its ceiling.
    """
    lines = [_HEAD]
    for row in rows:
        lines.append(_line(row))
        if row.ceiling is not None:
            lines.append(_line(row.ceiling))
    return "\n".join(lines)


def _line(row: Row) -> str:
    cells = [
        row.name,
        _cell(spread([run.rate_per_s for run in row.runs]), digits=0),
        _cell(spread([run.p50_ms for run in row.runs]), digits=2),
        _cell(spread([run.p99_ms for run in row.runs]), digits=2),
        "-" if row.floor_per_s is None else _number(row.floor_per_s, 0),
        {None: "-", True: "yes", False: "**no**"}[row.reached],
        _cell(row.share, digits=2),
    ]
    return f"| {' | '.join(cells)} |"


def _cell(value: Spread | None, digits: int) -> str:
    if value is None:
        return "-"
    return f"{_number(value.median, digits)} ({_number(value.least, digits)} to {_number(value.most, digits)})"


def _number(value: float, digits: int) -> str:
    # A space that does not break, as in SI; a comma would be a decimal sign to half of the readers.
    return f"{value:,.{digits}f}".replace(",", "\N{NO-BREAK SPACE}")
