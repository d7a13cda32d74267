"""
The sandbox's own clocks: a wall clock that can be shifted, a monotonic one that cannot.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import formatdate


class Clock:
    """
    Tell the time as the stand-ins see it.

    The shift moves everything that Avito dates: the `Date` header, `created`, the life of tokens and the delete
    window. Arrival times for limits are monotonic and never move.
    """

    def __init__(self, shift_s: float = 0.0) -> None:
        self.shift_s = shift_s
        self._date_at = -1
        self._date = b""

    def now_s(self) -> float:
        """
        Return unix seconds, shift included.
        """
        return time.time() + self.shift_s

    def monotonic_s(self) -> float:
        """
        Return the clock by which arrivals are judged.
        """
        return time.monotonic()

    def http_date(self) -> bytes:
        """
        Return the value of the `Date` header; formatted once a second, since every answer carries it.
        """
        now = int(self.now_s())
        if now != self._date_at:
            self._date_at = now
            self._date = formatdate(now, usegmt=True).encode()
        return self._date


def rfc3339(at_s: float) -> str:
    """
    Return unix seconds as Avito's `published_at` writes them.
    """
    return datetime.fromtimestamp(int(at_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
