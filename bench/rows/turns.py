"""
Measuring in turns: the n-th run of all is of the same moment, so a machine that is slow is slow for all.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping

from bench.table import Entrant, Run

MeasureRun = Callable[[], Awaitable[Run]]


async def in_turns(entrants: Mapping[str, MeasureRun], runs: int) -> tuple[Entrant, ...]:
    """
    Measure all of them, one run each at a time. One that fails takes no further part, and the table says why.
    """
    measured: dict[str, list[Run]] = {name: [] for name in entrants}
    failed: dict[str, str] = {}
    for number in range(runs):
        for name, run in entrants.items():
            if name in failed:
                continue
            try:
                measured[name].append(await run())
            except Exception as error:  # noqa: BLE001 - the others are measured all the same
                text = " ".join(str(error).split())
                failed[name] = f"failed in run {number + 1}: {type(error).__name__} {text[-200:]}"
                print(f"  {name} {failed[name]}", file=sys.stderr, flush=True)
    return tuple(Entrant(name, tuple(runs_of), failed.get(name, "")) for name, runs_of in measured.items())
