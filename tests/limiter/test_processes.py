"""
The limiter with processes: started, killed and stepped, and judged by Avito's clock.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.installation import faketime
from tests.limiter.page import Report
from tests.limiter.processes import RUNS, Run, play

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
async def test_no_window_holds_more_than_the_limit(run: Run, tmp_path: Path, limiter_report: Report) -> None:
    """
    Thirty windows under load: no window above the limit wherever it begins, no more requests open than allowed.
    """
    if run.step_each_s and faketime() is None:
        limiter_report.skipped[run.name] = "libfaketime is not installed"
        pytest.skip("libfaketime is not installed: apt-get install faketime")
    seen = await play(run, tmp_path, windows=30)
    limiter_report.processes.append(seen)

    assert seen.broken() == [], seen
