"""
Every request that a stand-in got or made: when, what, how it ended. Bounded, and cheap enough for benchmarks.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from sandbox.changes import Changes
from sandbox.rate import worst_window

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.clock import Clock

KEPT = 50_000
KEPT_ARRIVALS = 500_000
Kind = Literal["avito", "n8n", "webhook"]


@dataclass(slots=True)
class Record:
    """
    One request. Times without a name of their own are unix seconds; `_mono_s` are for differences only.

    `outcome` is `open` while the request runs, then `answered` or the name of what was done to it instead: `dropped`,
    `held` (the client was left waiting) or `left` (the client went away first). Bodies are never kept: `note` tells
    what happened, in words without texts or secrets. `traceparent` is that header (W3C Trace Context), if it came.
    """

    seq: int
    kind: Kind
    method: str
    path: str
    arrived_s: float
    arrived_mono_s: float
    open_count: int
    user_id: int = 0
    body_bytes: int = 0
    note: str = ""
    fault: str = ""
    traceparent: str = ""
    attempt: int = 1
    status: int | None = None
    ended_mono_s: float | None = None
    outcome: str = "open"

    def as_dict(self) -> dict[str, Any]:
        """
        Return the record for the control API.
        """
        return asdict(self)


class Journal:
    """
    The last 50 000 records, and the arrival times of half a million requests for the rate report.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seq = itertools.count(1)
        self.records: deque[Record] = deque(maxlen=KEPT)
        self._arrivals: dict[tuple[Kind, int], deque[float]] = {}
        self.open_now: dict[Kind, int] = {"avito": 0, "n8n": 0, "webhook": 0}
        self.open_max: dict[Kind, int] = {"avito": 0, "n8n": 0, "webhook": 0}
        self.changes = Changes()

    def begin(self, kind: Kind, method: str, path: str, arrived_mono_s: float) -> Record:
        """
        Open a record; the request counts as open until `end`.
        """
        open_count = self.open_now[kind] + 1
        self.open_now[kind] = open_count
        self.open_max[kind] = max(self.open_max[kind], open_count)
        wall_s = self._clock.now_s() - (self._clock.monotonic_s() - arrived_mono_s)
        record = Record(next(self._seq), kind, method, path, wall_s, arrived_mono_s, open_count)
        self.records.append(record)
        return record

    def arrived(self, record: Record) -> None:
        """
        Count the request in the rate of its account; called once its account is known (0: nobody's).
        """
        key = (record.kind, record.user_id)
        arrivals = self._arrivals.get(key)
        if arrivals is None:
            arrivals = self._arrivals[key] = deque(maxlen=KEPT_ARRIVALS)
        arrivals.append(record.arrived_mono_s)

    def end(self, record: Record, outcome: str) -> None:
        """
        Close a record, once.
        """
        record.outcome = outcome
        record.ended_mono_s = self._clock.monotonic_s()
        self.open_now[record.kind] -= 1
        self.changes.notify()

    def clear(self) -> None:
        """
        Forget what ended; the open counts go on, their highest values start from now.
        """
        self.records.clear()
        self._arrivals.clear()
        self.open_max = dict(self.open_now)

    def worst(self, window_s: float, user_id: int | None = None, kind: Kind = "avito") -> int:
        """
        Return the greatest number of arrivals in any window of that length; of one account, or of all together.
        """
        arrivals = [
            at
            for (of, account), times in self._arrivals.items()
            if of == kind and user_id in (None, account)
            for at in times
        ]
        return worst_window(sorted(arrivals), window_s)

    def list(self, kind: Kind | None = None, after: int = 0, path: str | None = None) -> list[Record]:
        """
        Return the records of a kind, oldest first, with a number above `after` and `path` somewhere in their path.
        """
        return [
            record
            for record in self.records
            if kind in (None, record.kind) and record.seq > after and (path is None or path in record.path)
        ]

    async def wait_for(self, is_so: Callable[[Journal], bool], timeout_s: float = 10.0) -> None:
        """
        Return when `is_so(journal)` holds; it is asked each time a request has ended.
        """
        await self.changes.wait_until(lambda: is_so(self), timeout_s, lambda: f"{len(self.records)} records")
