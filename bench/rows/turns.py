"""
Measuring in turns: the n-th run of all is of the same moment, so a machine that is slow is slow for all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from bench.table import Entrant, Run

_LONGEST_S: Final = 240.0

MeasureRun = Callable[[], Awaitable[Run]]


async def in_turns(entrants: Mapping[str, MeasureRun], runs: int) -> tuple[Entrant, ...]:
    """
    Measure all of them, one run each at a time. One that fails takes no further part, and the table says why. Where
    the machine is slow there are fewer runs: no round begins after four minutes.
    """
    measured: dict[str, list[Run]] = {name: [] for name in entrants}
    failed: dict[str, str] = {}
    began_s = time.monotonic()
    for number in range(runs):
        if number and time.monotonic() - began_s > _LONGEST_S:
            break
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
