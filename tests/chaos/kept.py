"""
Rows of earlier runs: the suite may be run in pieces, and the table is written when every fault was run on this code.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.measure import Direction
from tests.chaos.table import Report, Row

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("common", "dispatcher", "forwarder", "gateway", "ingress", "sandbox", "tests/chaos")
KEY = "chaos/report"


def code() -> str:
    """
    Return a digest of what decides over a row.
    """
    digest = hashlib.sha256()
    for part in PARTS:
        for path in sorted((ROOT / part).rglob("*")):
            if path.suffix in {".py", ".lua"}:
                digest.update(path.read_bytes())
    return digest.hexdigest()


def joined(cache: pytest.Cache, report: Report, server: str) -> Report:
    """
    Keep a run's rows, and return them with those kept before of the same code and kind of server.
    """
    own = f"{code()} {server}"
    kept: dict[str, Any] = cache.get(KEY, None) or {}
    if kept.get("of") != own:
        kept = {"of": own, "rows": {}, "skipped": {}, "notes": {}}
    for row in report.rows:
        kept["rows"][row.name] = asdict(row)
        kept["skipped"].pop(row.name, None)
    kept["skipped"] |= {name: list(why) for name, why in report.skipped.items()}
    kept["notes"] |= report.notes
    cache.set(KEY, kept)
    return Report([_row(row) for row in kept["rows"].values()], kept["skipped"], kept["notes"])


def _row(kept: dict[str, Any]) -> Row:
    directions = {name: Direction(**kept[name]) for name in ("to_avito", "to_n8n")}
    return Row(**kept | directions)
