"""
Windows over arrivals.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Limit
from sandbox.rate import Limiter, worst_window

TIMES = st.lists(st.integers(0, 200), max_size=60).map(sorted)


@pytest.mark.parametrize(
    ("arrivals", "window_s", "worst"),
    [
        ([], 1, 0),
        ([5.0], 1, 1),
        ([0.0, 0.5, 0.9], 1, 3),
        ([0.0, 1.0, 2.0], 1, 1),
        ([0.0, 0.9, 1.0, 1.1], 1, 3),
        ([0.0, 0.0, 10.0, 10.1, 10.2, 30.0], 5, 3),
    ],
)
def test_worst_window(arrivals: list[float], window_s: float, worst: int) -> None:
    """
    The fullest window counts what arrives less than its length apart.
    """
    assert worst == worst_window(arrivals, window_s)


@given(TIMES, st.integers(1, 50))
def test_worst_window_is_the_fullest(arrivals: list[int], window_s: int) -> None:
    """
    It is what counting from each arrival gives.
    """
    counted = [sum(start <= at < start + window_s for at in arrivals) for start in arrivals]

    assert max(counted, default=0) == worst_window(arrivals, window_s)


@given(TIMES, st.integers(1, 5), st.integers(1, 50))
def test_limiter_never_lets_more_through(arrivals: list[int], requests: int, window_s: int) -> None:
    """
    What passes never exceeds the limit in any window, and a refused one may pass after the time it was told.
    """
    limiter, limit = Limiter(), Limit(requests=requests, window_s=window_s)

    passed = [at for at in arrivals if not limiter.wait_s(1, at, limit)]

    assert worst_window(passed, window_s) <= requests
    if arrivals:
        wait_s = limiter.wait_s(1, arrivals[-1], limit)
        assert not wait_s or not limiter.wait_s(1, arrivals[-1] + wait_s, limit)
