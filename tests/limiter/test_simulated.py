"""
The limiter in virtual time: the real scripts and the real dispatchers' loops, minutes passing in a second.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import servers
from tests.limiter.cases import CASES, Case, broken, run
from tests.limiter.page import Report

SHORT = ("bulk-all", "singles-60", "reads-200", "mixed", "shared")


@pytest.fixture(name="url", scope="module")
def _url() -> Iterator[str]:
    # Thirty minutes of the virtual clock keep a server busy.
    with servers.shared_url() as url:
        yield url


@pytest.mark.parametrize("case", [case for case in CASES if case.name in SHORT], ids=lambda case: case.name)
def test_a_load_breaks_no_bound(url: str, case: Case) -> None:
    """
    Five minutes beside 10 000 bulk messages: within the limit, the limit used, nobody starved, no herd after a 429.
    """
    measured = run(case, url, minutes=5.0)

    assert broken(measured) == [], measured


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_load_breaks_no_bound_for_long(url: str, case: Case, limiter_report: Report) -> None:
    """
    The same and all others for thirty minutes.
    """
    measured = run(case, url, minutes=30.0)
    limiter_report.simulated.append(measured)

    assert broken(measured) == [], measured
