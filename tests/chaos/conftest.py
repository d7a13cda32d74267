"""
Collects what the faults did, prints it, and after a full run of `make chaos` writes it into the docs.
"""

from __future__ import annotations

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.table import PAGE, Report, footing, rendered, written

REPORT = pytest.StashKey[Report]()
ORDER = [fault.name for fault in FAULTS]


def _report(config: pytest.Config) -> Report:
    return config.stash.setdefault(REPORT, Report())


@pytest.fixture(name="report", scope="session")
def _session_report(pytestconfig: pytest.Config) -> Report:
    return _report(pytestconfig)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """
    Print the table; write it when every fault was run.
    """
    report = _report(config)
    if not report.rows:
        return
    table = rendered(report, ORDER)
    terminalreporter.section("faults")
    terminalreporter.write_line(table)
    if {row.name for row in report.rows} | set(report.skipped) == set(ORDER):
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(written(page, table, footing(report)), encoding="utf-8")
        terminalreporter.write_line(f"\nwritten to {PAGE}")
