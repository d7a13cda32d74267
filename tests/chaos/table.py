"""
The table of faults in `docs/guarantees.md`, written by the run that measured it.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.measure import Direction

PAGE = Path(__file__).resolve().parents[2] / "docs/guarantees.md"
BEGIN = "<!-- faults: written by `make chaos`, do not edit -->"
END = "<!-- faults: end -->"
HEAD = (
    "fault",
    "accepted",
    "lost",
    "shown twice at Avito",
    "repeated to n8n",
    "out of order",
    "goes on after",
    "most in a limiter window",
)


@dataclass(frozen=True, slots=True)
class Row:
    """
    What one fault did. `at_most` is how many repeats to n8n are allowed: what was in flight. `took_s` is None where a
    chat still stood still when the test gave up; then nothing is known of what was lost.
    """

    name: str
    title: str
    since: str
    keeps: bool
    to_avito: Direction
    to_n8n: Direction
    at_most: int
    took_s: float | None
    worst: int
    limit: int
    versions: str
    held: int = 0
    broken: str = ""


@dataclass
class Report:
    """
    The rows of this run, the faults that were left out with the reason, and what else was measured.
    """

    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, Sequence[str]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def cells(row: Row) -> list[str]:
    """
    Return a row's cells.
    """
    lost = row.to_avito.lost + row.to_n8n.lost
    of = "" if row.keeps else f" of {row.held} in Redis" if row.held else " (Redis lost its data)"
    return [
        row.title + (f" **FAILED: {row.broken}**" if row.broken else ""),
        f"{row.to_avito.accepted} + {row.to_n8n.accepted}",
        "not known" if row.took_s is None else f"{lost}{of}",
        str(row.to_avito.repeated),
        f"{row.to_n8n.repeated} (allowed {row.at_most})",
        str(row.to_avito.out_of_order + row.to_n8n.out_of_order),
        "does not" if row.took_s is None else f"{row.took_s:.1f} s from {row.since}",
        f"{row.worst} of {row.limit}",
    ]


def rendered(report: Report, order: Sequence[str]) -> str:
    """
    Return the table as Markdown, the faults in their order.
    """
    of = {row.name: cells(row) for row in report.rows}
    for name, (title, reason) in report.skipped.items():
        of[name] = [title, f"not run: {reason}", *[""] * (len(HEAD) - 2)]
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    lines += [f"| {' | '.join(of[name])} |" for name in order if name in of]
    return "\n".join(lines)


def footing(report: Report) -> str:
    """
    Say where and when it was measured.
    """
    versions = ", ".join(sorted({row.versions for row in report.rows}))
    day = datetime.now(UTC).date().isoformat()
    measured = f"Measured {day} with {versions}, Python {platform.python_version()}, {os.cpu_count()} cores."
    return "\n\n".join([*report.notes.values(), measured])


def written(page: str, table: str, foot: str) -> str:
    """
    Return the page with this table between the markers.
    """
    parts = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    assert parts.search(page), f"the page has no {BEGIN}"
    return parts.sub(lambda _: f"{BEGIN}\n\n{table}\n\n{foot}\n\n{END}", page)
