"""
Prometheus' text format: totals as they lie in Redis, and what was looked up for this scrape.

Written here, since prometheus-client's own writer takes 8 us a sample: too long for fifty accounts with sixty each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from common.metrics import FAMILIES

NONE_YET: Final = {family.name: "0" for family in FAMILIES.values() if family.type == "counter" and not family.labels}
"""
What is 0 before anybody has counted: that a counter appears shows no growth.
"""

_PARTS: Final = ("_bucket", "_count", "_sum")
_BOUND: Final = re.compile(r'le="([^"]*)"')


def text(totals: Mapping[str, str], states: Mapping[str, list[str]]) -> str:
    """
    Return the text. `totals` are series with their values; `states` lists lines by the name of their family.

    Totals of families that this version does not know are left out, as are families of which there is nothing.
    """
    lines: dict[str, list[str]] = {name: list(states.get(name, ())) for name in FAMILIES}
    for series, value in totals.items():
        family = family_of(series.partition("{")[0])
        if family is not None:
            lines[family].append(f"{series} {value}")
    return "".join(_family(name, found) for name, found in lines.items() if found)


@lru_cache(maxsize=1024)
def family_of(name: str) -> str | None:
    """
    Return the family that a series of this name belongs to; None for one that is not known.
    """
    if name in FAMILIES:
        return name
    part = next((part for part in _PARTS if name.endswith(part)), "")
    name = name.removesuffix(part)
    return name if name in FAMILIES and FAMILIES[name].type == "histogram" else None


def _family(name: str, lines: list[str]) -> str:
    family = FAMILIES[name]
    if family.type == "histogram":
        lines = sorted(lines, key=_by_bound)
    elif family.type == "counter":
        lines = sorted(lines)
    return "\n".join((f"# HELP {name} {family.text}", f"# TYPE {name} {family.type}", *lines, ""))


def _by_bound(line: str) -> tuple[str, float]:
    """
    Sort a histogram's buckets by their bounds, series by series.
    """
    bound = _BOUND.search(line)
    return _BOUND.sub("", line).rpartition(" ")[0], float(bound[1]) if bound else 0.0
