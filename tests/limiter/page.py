"""
The tables of `docs/limiter.md`, written by the run that measured them.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.limiter.cases import CASES, CONNECTIONS, REQUESTS, Measured, broken
from tests.limiter.processes import RUNS, Seen

PAGE = Path(__file__).resolve().parents[2] / "docs/limiter.md"
SIMULATED = (
    "beside 10 000 bulk messages",
    f"worst window of {REQUESTS}",
    f"most open of {CONNECTIONS}",
    "limit used",
    "by bulk",
    "single messages wait, p50 / p99",
    "reads wait, p50 / p99",
    "answered with 429",
    "sent in a pause",
    "back in the first pace after one",
)
PROCESSES = ("processes", "windows", "requests", "worst window", "most open", "limit used", "done to it")


@dataclass
class Report:
    """
    What this run has measured.
    """

    simulated: list[Measured] = field(default_factory=list)
    processes: list[Seen] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def all_simulated(self) -> bool:
        """
        Whether each case was run.
        """
        return {one.case.name for one in self.simulated} == {case.name for case in CASES}

    @property
    def all_processes(self) -> bool:
        """
        Whether each run with processes was made, or left out with a reason.
        """
        return {one.run.name for one in self.processes} | set(self.skipped) == {one.name for one in RUNS}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _waits(p50_s: float | None, p99_s: float | None) -> str:
    return "" if p50_s is None or p99_s is None else f"{p50_s:.1f} s / {p99_s:.1f} s"


def _failed(reasons: Sequence[str]) -> str:
    return f" **FAILED: {', '.join(reasons)}**" if reasons else ""


def simulated(report: Report) -> str:
    """
    Return the table of virtual time as Markdown.
    """
    rows = [
        [
            one.case.title + _failed(broken(one)),
            str(one.worst),
            str(one.most_open),
            f"{one.share:.1%}",
            f"{one.bulk_share:.1%}",
            _waits(one.single_p50_s, one.single_p99_s),
            _waits(one.read_p50_s, one.read_p99_s),
            f"{one.refused} of {one.requests}" if one.refused else "",
            str(one.in_pauses) if one.refused else "",
            str(one.back_at_once) if one.refused else "",
        ]
        for one in sorted(report.simulated, key=lambda one: CASES.index(one.case))
    ]
    return _table(SIMULATED, rows)


def processes(report: Report) -> str:
    """
    Return the table of real processes as Markdown.
    """
    rows = [
        [
            seen.run.title + _failed(seen.broken()),
            str(seen.windows),
            str(seen.requests),
            f"{seen.worst} of {seen.run.requests}",
            f"{seen.most_open} of {seen.run.connections}",
            f"{seen.share:.1%}",
            ", ".join(f"{count} {what}" for what, count in seen.done.items()),
        ]
        for seen in report.processes
    ]
    rows += [
        [next(run.title for run in RUNS if run.name == name), f"not run: {reason}", *[""] * (len(PROCESSES) - 2)]
        for name, reason in report.skipped.items()
    ]
    return _table(PROCESSES, rows)


def footing() -> str:
    """
    Say where and when it was measured.
    """
    day = datetime.now(UTC).date().isoformat()
    return f"Measured {day} with Python {platform.python_version()}, {os.cpu_count()} cores."


def write(name: str, table: str) -> None:
    """
    Put a table between the markers of that name.
    """
    page = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: written by `make chaos`, do not edit -->", f"<!-- {name}: end -->"
    parts = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    assert parts.search(page), f"the page has no {begin}"
    PAGE.write_text(parts.sub(lambda _: f"{begin}\n\n{table}\n\n{footing()}\n\n{end}", page), encoding="utf-8")
