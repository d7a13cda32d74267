"""
Logging what happens thousands of times a second, once in a while.
"""

from __future__ import annotations

import time
from typing import Final

QUIET_S: Final = 5.0


class Sparing:
    """
    Says which repetition of a thing is worth a line: the first, then one each 5 s, with the number left out.
    """

    def __init__(self) -> None:
        self._last_s: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def due(self, name: str, now_s: float | None = None) -> int | None:
        """
        Return how many lines were left out before this one, or None to leave it out. `now_s` is monotonic time.
        """
        now_s = time.monotonic() if now_s is None else now_s
        if name in self._last_s and now_s - self._last_s[name] < QUIET_S:
            self._left_out[name] = self._left_out.get(name, 0) + 1
            return None
        self._last_s[name] = now_s
        return self._left_out.pop(name, 0)
