"""
The history's minutes from what the reports wrote.
"""

from __future__ import annotations

import pytest

from common.metrics import Sample
from common.queue.history import Flow, filled, flows

Row = list[str | None]
NONE: Row = [None, None, None, None]


@pytest.mark.parametrize(
    ("rows", "now", "waiting"),
    [
        pytest.param([NONE, NONE, NONE], 0, [0, 0, 0], id="nothing ever"),
        pytest.param([NONE, NONE, NONE], 7, [7, 7, 7], id="nothing came or went: what waits has waited all the time"),
        pytest.param(
            [NONE, ["5", None, None, "5"], NONE, NONE], 5, [0, 5, 5, 5], id="it stays until something changes"
        ),
        pytest.param(
            [NONE, ["2", "5", "1", "6"], NONE], 6, [10, 6, 6], id="before the first, what came and went is undone"
        ),
        pytest.param([["3", "1", None, "2"], NONE, [None, "2", None, "0"]], 0, [2, 2, 0], id="drained"),
        pytest.param([NONE, ["9", None, None, "1"], NONE], 1, [0, 1, 1], id="never below nothing"),
        pytest.param([NONE, NONE, ["1", None, None, "1"]], 4, [0, 0, 4], id="the last minute is now"),
    ],
)
def test_what_waited_is_carried_on(rows: list[Row], now: int, waiting: list[int]) -> None:
    """
    How many waited is written where something changed, and holds until it changes again.
    """
    assert waiting == [flow.waiting for flow in filled(rows, now)]


def test_what_came_and_went_is_read_as_it_is() -> None:
    """
    Missing numbers are 0.
    """
    assert [Flow(0, 0, 0, 0), Flow(4, 3, 1, 0)] == filled([NONE, ["4", "3", "1", "0"]], 0)


def test_the_history_keeps_acceptance_and_ends() -> None:
    """
    Kinds and priorities are added up; what was cancelled, and all that is not about messages, is left out.
    """

    def sample(name: str, **labels: str) -> Sample:
        return Sample(f"avito_gateway_{name}_total", tuple(labels.items()))

    grown = {
        sample("commands_accepted", account="1", kind="text", priority="bulk"): 2.0,
        sample("commands_accepted", account="1", kind="image", priority="interactive"): 3.0,
        sample("commands_finished", account="1", kind="text", outcome="sent"): 4.0,
        sample("commands_finished", account="1", kind="text", outcome="failed"): 1.0,
        sample("commands_finished", account="1", kind="text", outcome="expired"): 1.0,
        sample("commands_finished", account="1", kind="text", outcome="cancelled"): 9.0,
        sample("events_accepted", account="2", kind="message"): 5.0,
        sample("events_finished", account="2", kind="message", outcome="delivered"): 4.0,
        sample("events_finished", account="2", kind="message", outcome="skipped"): 1.0,
        sample("events_duplicate", account="2"): 8.0,
        sample("webhooks", result="accepted"): 5.0,
    }

    assert {
        ("1", "commands", "accepted"): 5.0,
        ("1", "commands", "done"): 4.0,
        ("1", "commands", "failed"): 2.0,
        ("2", "events", "accepted"): 5.0,
        ("2", "events", "done"): 5.0,
    } == flows(grown)
