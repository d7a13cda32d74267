"""
The table of other libraries in `docs/guarantees.md`, written by the run that measured it.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.chaos.measure import Direction

PAGE: Final = Path(__file__).resolve().parents[1] / "docs/guarantees.md"
BEGIN: Final = "<!-- peers: written by `make peers`, do not edit -->"
END: Final = "<!-- peers: end -->"
HEAD: Final = ("fault", "consumer", "accepted", "lost", "repeated", "out of order", "goes on after")


@dataclass(frozen=True, slots=True)
class PeerRow:
    """
    What one fault did to one library. `took_s` None: a chat still stood still at the end; `died`: what ended it.
    """

    title: str
    peer: str
    counts: Direction
    took_s: float | None
    died: str


def cells(row: PeerRow) -> list[str]:
    """
    Return a row's cells.
    """
    on = "does not" if row.took_s is None else f"{row.took_s:.1f} s"
    counts = row.counts
    numbers = [str(number) for number in (counts.accepted, counts.lost, counts.repeated, counts.out_of_order)]
    return [row.title, row.peer, *numbers, on + (f"; dies: `{row.died}`" if row.died else "")]


def rendered(rows: Sequence[PeerRow], versions: str) -> str:
    """
    Return the table as Markdown, and what was measured where.
    """
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in cells(row))} |" for row in rows]
    day = datetime.now(UTC).date().isoformat()
    foot = f"Measured {day} with {versions}, Python {platform.python_version()}, {os.cpu_count()} cores."
    return "\n".join([*lines, "", foot])


def written(page: str, text: str) -> str:
    """
    Return the page with this between the markers.
    """
    parts = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    assert parts.search(page), f"the page has no {BEGIN}"
    return parts.sub(lambda _: f"{BEGIN}\n\n{text}\n\n{END}", page)
