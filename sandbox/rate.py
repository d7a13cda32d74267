"""
Windows over arrival times: the limiter, and the report of the worst one.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.behaviour import Limit


def worst_window(arrivals_s: Sequence[float], window_s: float) -> int:
    """
    Return the greatest number of arrivals within any half-open window of `window_s`. Arrivals must be in order.
    """
    worst = 0
    first = 0
    for last, at in enumerate(arrivals_s):
        while at - arrivals_s[first] >= window_s:
            first += 1
        worst = max(worst, last - first + 1)
    return worst


class Limiter:
    """
    Judge each arrival of an account by the ones let through in the window before it. What was refused is not counted.
    """

    def __init__(self) -> None:
        self._passed: dict[int, deque[float]] = {}

    def wait_s(self, user_id: int, arrived_mono_s: float, limit: Limit) -> float:
        """
        Return 0 and count the request if it may pass, else the seconds until one may.
        """
        passed = self._passed.setdefault(user_id, deque())
        while passed and arrived_mono_s - passed[0] >= limit.window_s:
            passed.popleft()
        if len(passed) >= limit.requests:
            return max(passed[0] + limit.window_s - arrived_mono_s, 0.001)
        passed.append(arrived_mono_s)
        return 0.0

    def remaining(self, user_id: int, limit: Limit) -> int:
        """
        Return how many more requests the window now has room for.
        """
        return max(limit.requests - len(self._passed.get(user_id, ())), 0)

    def clear(self) -> None:
        """
        Forget all arrivals.
        """
        self._passed.clear()
