"""
The gate as a picture: which tokens are out, and when they come back.

Everything is a position in the picture's own units; the template only writes it down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MOST_DOTS: Final = 200
ROW: Final = 25
STEP: Final = 12
BARS: Final = 30
MOST_SLOTS: Final = 60


@dataclass(frozen=True, slots=True)
class Dot:
    """
    One token, or as many as `Picture.each`. `age` 0 is free, 1 comes back last, 4 next.
    """

    x: int
    y: int
    age: int


@dataclass(frozen=True, slots=True)
class Bar:
    """
    How many tokens come back in one part of the window; `height` is 0 to 1.
    """

    at: int
    tokens: int
    height: float


@dataclass(frozen=True, slots=True)
class Picture:
    """
    A gate with a rate. `each`: how many tokens a dot stands for. `next_ms`: until one is back, None when none is out.
    """

    dots: list[Dot]
    each: int
    width: int
    height: int
    bars: list[Bar]
    next_ms: int | None


def picture(limit: int, window_ms: float, back_ms: Sequence[int]) -> Picture:
    """
    Draw `limit` tokens, of which those are out that come back in `back_ms`, soonest first.
    """
    each = math.ceil(limit / MOST_DOTS)
    out = sorted(back_ms)[::each]
    # What comes back next stands next to what is free.
    ages = [1 + min(3, int(4 * (1 - min(1.0, ms / window_ms)))) for ms in reversed(out)]
    count = math.ceil(limit / each)
    ages = (ages + [0] * count)[: max(count, len(ages))]
    dots = [Dot(STEP * (n % ROW), STEP * (n // ROW), age) for n, age in enumerate(ages)]
    rows = math.ceil(len(dots) / ROW)
    return Picture(
        dots=dots,
        each=each,
        width=STEP * min(ROW, len(dots)),
        height=STEP * rows,
        bars=_bars(window_ms, back_ms),
        next_ms=min(back_ms, default=None),
    )


def _bars(window_ms: float, back_ms: Sequence[int]) -> list[Bar]:
    """
    Sort the tokens by when they come back, within one window; what takes longer (a request still open) comes last.
    """
    counts = [0] * BARS
    for ms in back_ms:
        counts[min(BARS - 1, max(0, int(ms / window_ms * BARS)))] += 1
    most = max(*counts, 1)
    return [Bar(at, tokens, tokens / most) for at, tokens in enumerate(counts)]
