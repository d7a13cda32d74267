"""
Collects what the limiter did, prints it, and after a full run of `make chaos` writes it into the docs.
"""

from __future__ import annotations

import pytest

from tests.limiter.page import Report, processes, simulated, write

REPORT = pytest.StashKey[Report]()


@pytest.fixture(name="limiter_report", scope="session")
def _limiter_report(pytestconfig: pytest.Config) -> Report:
    return pytestconfig.stash.setdefault(REPORT, Report())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """
    Print the tables; write those that are complete.
    """
    report = config.stash.get(REPORT, None)
    if report is None:
        return
    terminalreporter.section("limiter")
    for name, table, whole in (
        ("simulated", simulated(report), report.all_simulated),
        ("processes", processes(report), report.all_processes),
    ):
        terminalreporter.write_line(table)
        if whole:
            write(name, table)
            terminalreporter.write_line(f"\nwritten to docs/limiter.md: {name}\n")
