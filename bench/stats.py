"""
Numbers of one run, and what several runs have in common. Pure.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measurement:
    """
    One run of a row. What a row does not measure is None.
    """

    rate_per_s: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None

    def figures(self) -> dict[str, float]:
        """
        Return what was measured, by the names of the table.
        """
        named = {"per second": self.rate_per_s, "p50 ms": self.p50_ms, "p99 ms": self.p99_ms}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Spread:
    """
    A number over several runs: its median, and how far the runs lie apart.
    """

    median: float
    least: float
    most: float


def quantile(values: Sequence[float], share: float) -> float:
    """
    Return the smallest value that `share` of all values do not exceed (nearest rank). There must be one at least.
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values: Sequence[float | None]) -> Spread | None:
    """
    Return what the runs have in common; None where they did not measure this.
    """
    known = [value for value in values if value is not None]
    return Spread(statistics.median(known), min(known), max(known)) if known else None


def of_latencies(seconds: Sequence[float], rate_per_s: float | None = None) -> Measurement:
    """
    Return one run's measurement from the time that each request took.
    """
    return Measurement(rate_per_s, quantile(seconds, 0.5) * 1000, quantile(seconds, 0.99) * 1000)
