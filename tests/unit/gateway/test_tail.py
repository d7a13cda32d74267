"""
What `tail` shows.
"""

from __future__ import annotations

import json

import pytest

from gateway.status import lines
from gateway.tail import Step, text_of


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"text":"Hello"}', "Hello"),
        ('{"text":"two\\n lines"}', "two lines"),
        (json.dumps({"payload": {"value": {"content": {"text": "from a customer"}}}}), "from a customer"),
        ('{"image_id":"1.2"}', ""),
        ('{"text":7}', ""),
        ("no json", ""),
        (json.dumps({"text": "x" * 100}), "x" * 59 + "…"),
    ],
)
def test_text_is_one_short_line(body: str, text: str) -> None:
    """
    Of a command as of a webhook; what has none shows none.
    """
    assert text == text_of(body)


def test_a_step_is_one_line() -> None:
    """
    When, which way, which chat, what.
    """
    step = Step("2025-12-01T17:30:00.000+00:00", "in", "m1", "u2i-1", "delivered", "")

    assert ["in", "u2i-1", "delivered"] == step.line().split()[1:]


def test_a_record_is_shown_for_people() -> None:
    """
    What it is, then what happened when.
    """
    shown = {
        "id": "c1",
        "status": "failed",
        "reason": "rejected",
        "timeline": [
            {"at": "T1", "event": "accepted"},
            {"at": "T2", "event": "attempt", "status": 400},
            {"at": "T3", "event": "failed"},
        ],
    }

    assert lines(shown) == [
        "id          c1",
        "status      failed",
        "reason      rejected",
        "  T1  accepted",
        "  T2  attempt  status=400",
        "  T3  failed",
    ]
