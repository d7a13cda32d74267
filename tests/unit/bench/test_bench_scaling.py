"""
The page that the measurement of scaling writes.
"""

from __future__ import annotations

import pytest

from bench.scaling import accounts_of, written

PAGE = """before
<!-- measured: one, written by `make scaling`, do not edit -->
old
<!-- measured: end -->
between
<!-- measured: two, written by `make scaling`, do not edit -->
<!-- measured: end -->
after"""


def test_only_the_named_part_is_replaced() -> None:
    """
    The other parts and the text around them stay.
    """
    page = written(written(PAGE, "two", "2"), "one", "1")

    assert [line for line in page.splitlines() if line and "<!--" not in line] == [
        "before",
        "1",
        "between",
        "2",
        "after",
    ]


def test_a_page_without_the_part_is_an_error() -> None:
    """
    A number that nobody would see is not thrown away in silence.
    """
    with pytest.raises(AssertionError, match="the page has no"):
        written(PAGE, "three", "3")


def test_accounts_are_spread_over_the_masters() -> None:
    """
    Six accounts are two on each of three masters, and different ones.
    """
    assert len(set(accounts_of(6))) == 6
