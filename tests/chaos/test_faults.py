"""
Every fault of the table in `docs/guarantees.md`, with processes and signals for real.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.installation import faketime
from tests.chaos.run import run
from tests.chaos.table import Report

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_breaks_no_promise(fault: Fault, tmp_path: Path, report: Report) -> None:
    """
    Under load in both directions: nothing lost that Redis kept, nothing shown twice, order kept, and it goes on.
    """
    if fault.stepped and faketime() is None:
        report.skipped[fault.name] = (fault.title, "libfaketime is not installed")
        pytest.skip("libfaketime is not installed: apt-get install faketime")
    await run(fault, tmp_path, report)
