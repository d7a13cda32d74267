"""
What was measured, row by row, kept in `bench/results.json` beside the code that measured it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench.table import Row, read_row

FILE: Final = Path(__file__).with_name("results.json")


@dataclass(frozen=True, slots=True)
class Result:
    """
    A row as it was measured: when, on which commit and machine, and in how long. Without a row `error` says why.
    """

    row: Row | None
    error: str
    day: str
    commit: str
    machine: str
    took_s: float


def load() -> dict[str, Result]:
    """
    Read what was measured so far.
    """
    if not FILE.exists():
        return {}
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        name: Result(**result | {"row": None if result["row"] is None else read_row(result["row"])})
        for name, result in kept.items()
    }


def save(results: Mapping[str, Result], order: Sequence[str]) -> None:
    """
    Write it, the rows in this order; a row that is no more is left out.
    """
    kept = {name: asdict(results[name]) for name in order if name in results}
    FILE.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
