"""
The most telling faults in short, for every run of the suite: one process with all roles, a few chats.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.chaos import faults
from tests.chaos.faults import Fault
from tests.chaos.installation import TOGETHER, WINDOW_S
from tests.chaos.run import run

# The limits in seconds are those of `make chaos` and room for tests that run beside these.
ROOM_S = 4.0
SHORT = (
    Fault(
        name="flushall",
        title="FLUSHALL",
        since="the FLUSHALL",
        strikes=(faults.flush,),
        within_s=faults.BACK_S + WINDOW_S + ROOM_S,
        keeps=False,
    ),
    Fault(
        name="redis-restart",
        title="Redis killed, back with its append-only file",
        since="Redis is back",
        strikes=(partial(faults.restart, 0.5, empty=False),),
        within_s=faults.BACK_S + ROOM_S,
    ),
    Fault(
        name="role-flip",
        title="Redis becomes a replica, then the primary again",
        since="it is the primary again",
        strikes=(partial(faults.flip, 0.5),),
        within_s=faults.BACK_S + ROOM_S,
        replicated=True,
    ),
    Fault(
        name="xgroup-destroy",
        title="XGROUP DESTROY",
        since="the XGROUP DESTROY",
        strikes=(faults.destroy_groups,),
        within_s=faults.BACK_S + ROOM_S,
    ),
)


@pytest.mark.parametrize("fault", SHORT, ids=lambda fault: fault.name)
async def test_a_fault_breaks_no_promise(fault: Fault, tmp_path: Path) -> None:
    """
    Under load in both directions: nothing lost that Redis kept, nothing shown twice, order kept, and it goes on.
    """
    await run(fault, tmp_path, processes=TOGETHER, chats=4, pace_s=0.25, watch_s=0.0, drain_s=20.0)
