"""
What a row of the benchmark found, and its Markdown. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.stats import Spread, spread

OURS: Final = "avito-gateway"
RATE: Final = "per second"
P50: Final = "p50 ms"
P99: Final = "p99 ms"

Run = Mapping[str, float]
"""
One run of one entrant: figures by name, the unit in the name.
"""


@dataclass(frozen=True, slots=True)
class Entrant:
    """
    One of those that were measured side by side; `note` says why it has no runs, or what is odd about it.
    """

    name: str
    runs: tuple[Run, ...] = ()
    note: str = ""

    def figures(self) -> list[str]:
        """
        Return the names of its figures.
        """
        return list(dict.fromkeys(name for run in self.runs for name in run))

    def spread(self, figure: str) -> Spread | None:
        """
        Return a figure over all runs; None where it was not measured.
        """
        return spread([run.get(figure) for run in self.runs])

    def median(self, figure: str) -> float | None:
        """
        Return a figure's median over all runs.
        """
        found = self.spread(figure)
        return None if found is None else found.median


@dataclass(frozen=True, slots=True)
class Goal:
    """
    What a row is to reach: `value` against `bound`; None when it could not be measured, which is not reached.
    """

    text: str
    value: float | None
    bound: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        """
        Say whether it is reached.
        """
        if self.value is None:
            return False
        return self.value <= self.bound if self.at_most else self.value >= self.bound


@dataclass(frozen=True, slots=True)
class Row:
    """
    Several entrants measured in turns; `charts` are the figures to draw, `note` is what to know about the method.
    """

    title: str
    entrants: tuple[Entrant, ...]
    goals: tuple[Goal, ...] = ()
    charts: tuple[str, ...] = ()
    note: str = ""

    def entrant(self, name: str) -> Entrant:
        """
        Return one by its name.
        """
        return next(entrant for entrant in self.entrants if entrant.name == name)


def at_least(text: str, value: float | None, bound: float) -> Goal:
    """
    Return a goal that is reached from `bound` on.
    """
    return Goal(text, value, bound)


def at_most(text: str, value: float | None, bound: float) -> Goal:
    """
    Return a goal that is reached up to `bound`.
    """
    return Goal(text, value, bound, at_most=True)


def ratio(entrants: Iterable[Entrant], figure: str, of: str, to: str) -> float | None:
    """
    Return how many times one entrant's figure is another's: the median over the runs, which took turns. None where
    one was not measured.
    """
    by_name = {entrant.name: entrant.runs for entrant in entrants}
    pairs = zip(by_name.get(of, ()), by_name.get(to, ()), strict=False)
    found = spread([above[figure] / below[figure] for above, below in pairs if figure in above and below.get(figure)])
    return None if found is None else found.median


def render(row: Row) -> str:
    """
    Return the row's table: a line for each entrant, a column for each figure.
    """
    figures = list(dict.fromkeys(name for entrant in row.entrants for name in entrant.figures()))
    noted = any(entrant.note for entrant in row.entrants)
    head = ["", *figures, *(["note"] if noted else [])]
    lines = [_line(head), _line(["---", *("---:" for _ in figures), *(["---"] if noted else [])])]
    for entrant in row.entrants:
        name = f"**{entrant.name}**" if entrant.name.startswith(OURS) else entrant.name
        cells = [name, *(cell(entrant.spread(figure)) for figure in figures)]
        lines.append(_line([*cells, *([entrant.note] if noted else [])]))
    return "\n".join(lines)


def verdicts(rows: Mapping[str, Row]) -> str:
    """
    Return the table of all goals: what was to be reached, and what came of it.
    """
    lines = [_line(["row", "to reach", "measured", ""]), _line(["---", "---", "---:", "---"])]
    for row in rows.values():
        for goal in row.goals:
            measured = "-" if goal.value is None else number(goal.value)
            sign = "🟢" if goal.reached else "🔴 **not reached**"
            lines.append(_line([f"[{row.title}](#{anchor(row.title)})", goal.text, measured, sign]))
    return "\n".join(lines)


def anchor(title: str) -> str:
    """
    Return a heading's anchor as Markdown renderers make it.
    """
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def cell(value: Spread | None) -> str:
    """
    Return a figure with its spread; a single run has none.
    """
    if value is None:
        return "-"
    if value.least == value.most:
        return number(value.median)
    return f"{number(value.median)} ({number(value.least)} to {number(value.most)})"


def number(value: float) -> str:
    """
    Write a number with three digits that count at least.
    """
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    # A space that does not break, as in SI; a comma would be a decimal sign to half of the readers.
    return f"{value:,.{digits}f}".replace(",", "\N{NO-BREAK SPACE}")


def read_row(kept: Mapping[str, Any]) -> Row:
    """
    Read what `dataclasses.asdict` made of a row.
    """
    return Row(
        title=kept["title"],
        entrants=tuple(
            Entrant(entrant["name"], tuple(entrant["runs"]), entrant["note"]) for entrant in kept["entrants"]
        ),
        goals=tuple(Goal(**goal) for goal in kept["goals"]),
        charts=tuple(kept["charts"]),
        note=kept["note"],
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
