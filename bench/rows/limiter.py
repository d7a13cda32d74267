"""
The limit that several processes share: how far a window can be exceeded, and how much of the limit is used.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from bench.peers.limiter import AGAIN, BUSY, END, ONE
from bench.processes import OWN, answer, peer_command
from bench.rows.turns import MeasureRun, in_turns
from bench.samples import USER_ID
from bench.store import PREFIX, Store
from bench.table import OURS, Row, Run, at_least, at_most
from common.queue.keys import AccountKeys

LIMIT: Final = 100
WINDOW_S: Final = 4.0
PROCESSES: Final = 3
WORST: Final = "worst window"
USED: Final = "limit used, %"
_LEAD_S: Final = 3.0
_WAITING: Final = 60

_PEERS: Final = {
    "limits, moving window": ("limits", True),
    "pyrate-limiter, Redis bucket": ("pyrate", False),
    "INCR + PEXPIRE NX": ("incr", False),
}


async def limiter(store: Store) -> Row:
    """
    Measure all at the same time: they wait most of it.
    """
    begin_s = time.monotonic() + _LEAD_S
    done = await asyncio.gather(
        in_turns({OURS: lambda: _own(store, begin_s)}, 1),
        *(
            in_turns({name: _other(store, program, begin_s, older=older)}, 1)
            for name, (program, older) in _PEERS.items()
        ),
    )
    entrants = tuple(entrant for (entrant,) in done)
    used = [entrant.median(USED) for entrant in entrants]
    kept = [
        share for entrant, share in zip(entrants, used, strict=True) if share and (entrant.median(WORST) or 0) <= LIMIT
    ]
    return Row(
        f"Limiter: {LIMIT} in {WINDOW_S:.0f} s, {PROCESSES} processes",
        entrants,
        (
            at_most(f"never more than {LIMIT} in a window", entrants[0].median(WORST), LIMIT),
            at_least("the best use of those that keep the limit, %", used[0], max(kept, default=0.0)),
        ),
        (WORST,),
        f"Busy for {BUSY:.0f} windows, then quiet, one request, and busy again before the window of that one is"
        " over. A request"
        " arrives at any moment between its start and its end, 20 to 80 ms later; counted is what arrives in any"
        " window,"
        " wherever it begins. So short a window makes the gateway's share look worse than it is: it counts a request"
        " from its end, which costs 50 ms of 4 s here, of 60 s by default (docs/limiter.md: 99 %).",
    )


def worst(arrived_s: Sequence[float], window_s: float) -> int:
    """
    Return the most arrivals in any window, wherever it begins.
    """
    ordered = sorted(arrived_s)
    most = first = 0
    for number, at_s in enumerate(ordered):
        while at_s - ordered[first] >= window_s:
            first += 1
        most = max(most, number - first + 1)
    return most


def _found(arrived_s: Sequence[float], begin_s: float) -> Run:
    busy = [at_s for at_s in arrived_s if begin_s + WINDOW_S <= at_s < begin_s + BUSY * WINDOW_S]
    return {WORST: worst(arrived_s, WINDOW_S), USED: 100 * len(busy) / (LIMIT * (BUSY - 1))}


def _other(store: Store, program: str, begin_s: float, *, older: bool) -> MeasureRun:
    async def run() -> Run:
        command = (
            *peer_command("limiter.py", older=older),
            program,
            store.url,
            str(LIMIT),
            str(WINDOW_S),
            str(begin_s),
        )
        done: list[Any] = await asyncio.gather(*(answer((*command, str(n)), {}) for n in range(PROCESSES)))
        return _found([at_s for process in done for at_s in process], begin_s)

    return run


async def _own(store: Store, begin_s: float) -> Run:
    until_s = begin_s + END * WINDOW_S
    command = (*OWN, "bench.limited", store.url, PREFIX, str(LIMIT), str(WINDOW_S), str(until_s))
    feeding = asyncio.create_task(_feed(store, begin_s))
    try:
        done: list[Any] = await asyncio.gather(*(answer(command, {}) for _ in range(PROCESSES)))
    finally:
        feeding.cancel()
    return _found([at_s for process in done for at_s in process], begin_s)


async def _feed(store: Store, begin_s: float) -> None:
    """
    Keep the queue as full as the others' demand is.
    """
    client = store.connections.commands
    stream = AccountKeys(PREFIX, USER_ID).commands.stream
    number = 0
    alone = True
    while (now := (time.monotonic() - begin_s) / WINDOW_S) < END:
        busy = 0 <= now < BUSY or now >= AGAIN
        one = alone and ONE <= now < AGAIN
        missing = _WAITING - await store.length(stream) if busy else 1 if one else 0
        alone = alone and not one
        for _ in range(missing):
            number += 1
            await client.xadd(stream, {"kind": "text", "chat_id": f"c{number}", "body": "{}"})
        await asyncio.sleep(0.02)
