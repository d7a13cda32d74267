"""
What the run with other libraries says of them.
"""

from __future__ import annotations

import pytest

from bench.peers_faults import last_error
from bench.peers_table import BEGIN, END, PeerRow, rendered, written
from tests.chaos.measure import Direction


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", ""),
        ("started\nreading\n", ""),
        ("redis.exceptions.ResponseError: UNBLOCKED force unblock\n", "ResponseError: UNBLOCKED force unblock"),
        ("OSError: one\nTraceback (most recent call last):\nValueError: two\n", "ValueError: two"),
        ("OSError: connecting to 127.0.0.1:40001", "OSError: connecting to Redis"),
        (
            "2026-11-25 16:00:00,000 ERROR    - peers.GroupNotFoundError: group `workers` " + "is gone " * 20,
            "GroupNotFoundError: group workers is gone is gone is gone is gone is gone is gone is ...",
        ),
    ],
)
def test_the_last_exception_of_a_log_is_named(log: str, said: str) -> None:
    """
    Name and first words of the last exception, wherever it stands in its line.
    """
    assert said == last_error(log)


def test_the_table_stands_between_its_markers() -> None:
    """
    What stands before and behind is left alone; what stood between is gone.
    """
    rows = [
        PeerRow("DEL", "One", Direction(10, 1, 2, 3), 4.25, ""),
        PeerRow("DEL", "Two", Direction(9, 8, 0, 0), None, "OSError: a | b"),
    ]

    page = written(f"before\n{BEGIN}\nold\n{END}\nbehind\n", rendered(rows, "one 1, two 2"))

    assert page.startswith(f"before\n{BEGIN}\n\n| fault | consumer |")
    assert page.endswith(f"\n\n{END}\nbehind\n")
    assert "| DEL | One | 10 | 1 | 2 | 3 | 4.2 s |" in page
    assert "| DEL | Two | 9 | 8 | 0 | 0 | does not; dies: `OSError: a / b` |" in page
    assert "one 1, two 2" in page
    assert "old" not in page
