"""
Which messages n8n gets.
"""

from __future__ import annotations

import pytest

from common.settings import Settings, load
from forwarder import filters, webhook
from forwarder.filters import Direction

ACCOUNT = "353000001"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"author_id": 121000002, "type": "text"}, "in"),
        ({"author_id": 353000001, "type": "text"}, "out"),
        ({"author_id": "353000001", "type": "image"}, "out"),
        ({"author_id": 0, "type": "system"}, "system"),
        ({"author_id": 1, "type": "text"}, "system"),
        ({"author_id": 0, "type": "text"}, "system"),
        ({"author_id": 353000001, "type": "system"}, "system"),
        ({"type": "text"}, "in"),
        ({"author_id": None}, "in"),
        ({}, "in"),
    ],
)
def test_who_wrote_it(value: dict[str, object], expected: Direction) -> None:
    """
    Avito is known by type or author, the account by its id; everybody else is a customer.
    """
    assert expected == filters.direction(webhook.of({"payload": {"value": value}}), ACCOUNT)


@pytest.mark.parametrize(
    ("own", "system", "wanted", "shown"),
    [
        (False, False, ["in"], [None, None, None]),
        (True, False, ["in", "out"], ["in", "out", "system"]),
        (False, True, ["in", "system"], ["in", "out", "system"]),
        (True, True, ["in", "out", "system"], ["in", "out", "system"]),
    ],
)
def test_what_is_wanted(own: bool, system: bool, wanted: list[str], shown: list[str | None]) -> None:
    """
    Customers' messages always go out; with FORWARD_OWN or FORWARD_SYSTEM every event says its direction.
    """
    settings: Settings = load(None, forward_own=own, forward_system=system)
    directions: tuple[Direction, ...] = ("in", "out", "system")

    assert (wanted, shown) == (
        [found for found in directions if filters.is_wanted(found, settings)],
        [filters.shown(found, settings) for found in directions],
    )
