"""
The benchmark's arithmetic and its table.
"""

from __future__ import annotations

import pytest

from bench.report import page
from bench.stats import Measurement, Spread, of_latencies, quantile, spread
from bench.table import Row, render


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
    ("rates", "floor", "expected"),
    [
        ([7000.0], 7000.0, True),
        ([6999.9], 7000.0, False),
        ([1.0, 8000.0, 9000.0], 7000.0, True),
        ([1.0, 2.0, 9000.0], 7000.0, False),
        ([1.0], None, None),
        ([None], 7000.0, None),
    ],
)
def test_a_floor_is_reached_by_the_median(
    rates: list[float | None], floor: float | None, expected: bool | None
) -> None:
    """
    One good run does not reach a floor, and one bad run does not miss it.
    """
    assert expected == Row("row", tuple(Measurement(rate) for rate in rates), floor).reached


def test_the_table_is_markdown() -> None:
    """
    One line a row; what was not measured is a dash, and a floor that is missed stands out.
    """
    rows = [
        Row("in", (Measurement(6500.0, 1.0, 2.0), Measurement(7200.4, 1.5, 2.5), Measurement(6100.0, 2.0, 3.0)), 7000),
        Row("idle", (Measurement(None, 0.5, 0.75),)),
        Row("own", (Measurement(10.0), Measurement(30.0)), None, Row("bare", (Measurement(40.0), Measurement(60.0)))),
    ]

    assert [
        "| what | per second, median (least to most) | p50 ms | p99 ms | floor per second | reached | of the ceiling |",
        "|---|---:|---:|---:|---:|---|---:|",
        "| in | 6\xa0500 (6\xa0100 to 7\xa0200) | 1.50 (1.00 to 2.00) | 2.50 (2.00 to 3.00) | 7\xa0000 | **no** | - |",
        "| idle | - | 0.50 (0.50 to 0.50) | 0.75 (0.75 to 0.75) | - | - | - |",
        "| own | 20 (10 to 30) | - | - | - | - | 0.38 (0.25 to 0.50) |",
        "| bare | 50 (40 to 60) | - | - | - | - | - |",
    ] == render(rows).splitlines()


def test_the_page_says_how_it_came_about() -> None:
    """
    The page holds the table, the machine, and what is not measured.
    """
    text = page([Row("idle", (Measurement(None, 0.5, 0.75),))], "Medians of 5 runs on this machine.")

    assert ["# Benchmarks", "## What bounds each row", "## Not measured yet"] == [
        line for line in text.splitlines() if line.startswith("#")
    ]
    assert "| idle | - | 0.50 (0.50 to 0.50) |" in text
    assert "\n\nMedians of 5 runs on this machine.\n\n" in text
