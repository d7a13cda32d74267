"""
The benchmark's arithmetic and its table.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import results
from bench.processes import ROOT
from bench.report import page, pictures
from bench.results import Result
from bench.rows.limiter import worst
from bench.stats import Measurement, Spread, of_latencies, quantile, spread
from bench.table import OURS, P99, RATE, Entrant, Row, at_least, at_most, ratio, render, verdicts


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([3.0], 0.5, 3.0),
        ([3.0], 0.99, 3.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([4.0, 1.0, 3.0, 2.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.5, 50.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 102)], 0.99, 100.0),
    ],
)
def test_a_quantile_is_one_of_the_values(values: list[float], share: float, expected: float) -> None:
    """
    The quantile is the nearest rank, whatever the order of the values.
    """
    assert expected == quantile(values, share)


def test_a_spread_is_median_least_and_most() -> None:
    """
    Three runs give the one in the middle and both ends.
    """
    assert Spread(median=2.0, least=1.0, most=9.0) == spread([9.0, 1.0, 2.0])


def test_what_no_run_measured_has_no_spread() -> None:
    """
    None is not zero.
    """
    assert spread([None, None]) is None


def test_latencies_become_milliseconds() -> None:
    """
    Requests are timed in seconds and shown in ms.
    """
    assert Measurement(500.0, 1.0, 4.0) == of_latencies([0.001, 0.001, 0.004], 500.0)


@pytest.mark.parametrize(
    ("value", "most", "expected"),
    [
        (7000.0, False, True),
        (6999.9, False, False),
        (None, False, False),
        (7000.0, True, True),
        (7000.1, True, False),
        (None, True, False),
    ],
)
def test_a_goal_is_reached_at_its_bound_and_never_without_a_value(
    value: float | None, most: bool, expected: bool
) -> None:
    """
    What could not be measured is not reached.
    """
    goal = (at_most if most else at_least)("7 000", value, 7000.0)

    assert expected == goal.reached


def test_a_ratio_is_that_of_runs_of_the_same_moment() -> None:
    """
    A machine that is slow for one run of both does not change it.
    """
    entrants = [Entrant("a", ({RATE: 10}, {RATE: 1}, {RATE: 30})), Entrant("b", ({RATE: 5}, {RATE: 0.5}, {RATE: 10}))]

    assert (2.0, None) == (ratio(entrants, RATE, "a", "b"), ratio(entrants, P99, "a", "b"))


ROW = Row(
    "Queue drained, 500 chats",
    (
        Entrant(OURS, ({RATE: 6500.0, P99: 2.0}, {RATE: 7200.4, P99: 2.5}, {RATE: 6100.0, P99: 3.0})),
        Entrant("another <one>", ({RATE: 41.25},)),
        Entrant("absent", (), "failed in run 1: it is not there"),
    ),
    (at_least("7 000 a second", 6500.0, 7000.0), at_most("p99 below 3 ms", 2.5, 3.0)),
    (RATE,),
    "How it was measured.",
)


def test_the_table_is_markdown() -> None:
    """
    One line an entrant; what was not measured is a dash, with the reason.
    """
    assert [
        "|  | per second | p99 ms | note |",
        "| --- | ---: | ---: | --- |",
        "| **avito-gateway** | 6\xa0500 (6\xa0100 to 7\xa0200) | 2.50 (2 to 3) |  |",
        "| another <one> | 41.2 | - |  |",
        "| absent | - | - | failed in run 1: it is not there |",
    ] == render(ROW).splitlines()


def test_a_goal_that_is_missed_stands_out() -> None:
    """
    Each goal has a line that leads to its row.
    """
    link = "[Queue drained, 500 chats](#queue-drained-500-chats)"

    assert [
        "| row | to reach | measured |  |",
        "| --- | --- | ---: | --- |",
        f"| {link} | 7 000 a second | 6\xa0500 | 🔴 **not reached** |",
        f"| {link} | p99 below 3 ms | 2.50 | 🟢 |",
    ] == verdicts({"drained": ROW}).splitlines()


def result(row: Row | None, error: str = "") -> Result:
    """
    Return a row as it is kept.
    """
    return Result(row, error, "2026-11-28", "abc1234", "2 cores", 12.0)


def test_the_page_shows_what_was_measured_and_what_was_not() -> None:
    """
    A row without a result has its reason in its place; the machine stands at the end.
    """
    text = page({"drained": result(ROW), "bulk": result(None, "ProcessError: it did not start")})

    assert [
        "# Benchmarks",
        "## What was to be reached",
        "## Queue drained, 500 chats",
        "## bulk",
        "## Measured on",
    ] == [line for line in text.splitlines() if line.startswith("#")]
    assert "](pictures/bench-drained.svg)\n\nHow it was measured.\n\n**What bounds it.** " in text
    assert "## bulk\n\n🔴 Not measured: ProcessError: it did not start" in text
    assert "| `drained` | 2026-11-28 | abc1234 | 3 | 12 s | 2 cores |" in text


def test_a_chart_has_a_bar_for_each_that_was_measured() -> None:
    """
    It is well-formed, names are escaped, and the longest bar fits.
    """
    (picture,) = pictures({"drained": result(ROW)}).items()
    name, text = picture
    drawn = ET.fromstring(text)
    rectangles = drawn.findall("{*}rect")

    assert ("bench-drained.svg", ["ours", "peer"]) == (name, [one.get("class") for one in rectangles])
    assert "another <one>" in [one.text for one in drawn.findall("{*}text")]
    assert all(float(one.get("x", 0)) + float(one.get("width", 0)) < 820 for one in rectangles)


def test_results_are_read_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Nothing of a row is lost on the way, and a row that is no more is left out.
    """
    monkeypatch.setattr(results, "FILE", tmp_path / "results.json")
    kept = {"bulk": result(None, "why"), "drained": result(ROW), "gone": result(ROW)}

    results.save(kept, ["drained", "bulk"])

    assert {"drained": result(ROW), "bulk": result(None, "why")} == results.load()


def test_the_page_in_the_docs_is_that_of_the_results() -> None:
    """
    Nobody edits the page: `make bench ROWS=page` writes it.
    """
    assert page(results.load()) == (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arrived_s", "expected"),
    [([], 0), ([1.0], 1), ([0.0, 1.0, 2.0, 3.9], 4), ([0.0, 4.0], 1), ([9.0, 1.0, 5.1, 5.0, 4.9], 3)],
)
def test_the_worst_window_begins_anywhere(arrived_s: list[float], expected: int) -> None:
    """
    What arrives a whole window later is not in it; the order does not matter.
    """
    assert expected == worst(arrived_s, 4.0)
