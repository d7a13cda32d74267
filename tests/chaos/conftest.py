"""
Collects what the faults did, prints it, and after a full run of `make chaos` writes it into the docs.
"""

from __future__ import annotations

import pytest

from tests import servers
from tests.chaos.faults import FAULTS
from tests.chaos.kept import joined
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
    Print the table; write it when every fault was run on this code, in this run or one before.
    """
    report = _report(config)
    if not report.rows and not report.notes:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line("\n".join([*report.notes.values(), rendered(report, ORDER)]))
    if config.cache is None:
        return
    whole = joined(config.cache, report, servers.BINARY or "embedded")
    if not servers.BINARY and {row.name for row in whole.rows} | set(whole.skipped) == set(ORDER):
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(written(page, rendered(whole, ORDER), footing(whole)), encoding="utf-8")
        terminalreporter.write_line(f"\nwritten to {PAGE}")
