"""
The demo, again and again: what it shows is no matter of luck.
"""

from __future__ import annotations

import pytest

from tests.program import Start, start

__all__ = ["start"]

TIMES = 20
EACH_S = 120.0


@pytest.mark.chaos
@pytest.mark.timeout(TIMES * EACH_S)
async def test_the_demo_ends_well_twenty_times_in_a_row(start: Start) -> None:
    """
    Each time every message arrives, once and in order, in under two minutes.
    """
    for _ in range(TIMES):
        program = await start("demo")
        await program.prints("Took", timeout_s=EACH_S)
        assert await program.ends() == 0, program.out
