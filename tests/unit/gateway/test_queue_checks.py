"""
What the doctor says of queues.
"""

from __future__ import annotations

import pytest

from common.queue.connection import Connections
from common.queue.keys import AccountKeys
from common.queue.look import Depths
from common.settings import Settings
from gateway.queue_checks import check, judge
from tests.conftest import USER_ID


def depth(name: str, total: int = 0, dead: int = 0) -> Depths:
    """
    Return a stream's depth.
    """
    return Depths(
        stream=f"avito:{{7}}:{name}", total=total, new=0, in_flight=0, retrying=0, behind=0, dead=dead, oldest_ms=0
    )


@pytest.mark.parametrize(
    ("dead", "stalled", "made", "said"),
    [
        (0, [], [], [("OK", "2 in commands, 0 in commands:bulk, 0 in events")]),
        (0, ["avito:{7}:commands"], [], [("WARN", "entries of commands wait, and no living worker reads them")]),
        # Both command streams count the same dead letters.
        (3, [], [], [("OK", "2 in commands, 0 in commands:bulk, 0 in events"), ("WARN", "3")]),
        (
            0,
            [],
            ["avito:{7}:events"],
            [
                ("OK", "made the missing consumer group of events"),
                ("OK", "2 in commands, 0 in commands:bulk, 0 in events"),
            ],
        ),
    ],
)
def test_what_was_seen_is_judged(dead: int, stalled: list[str], made: list[str], said: list[tuple[str, str]]) -> None:
    """
    Waiting is fine, waiting for nobody is not; dead letters want a person.
    """
    depths = [depth("commands", 2, dead), depth("commands:bulk", 0, dead), depth("events")]

    assert said == [(one.level, one.text) for one in judge("7", depths, stalled, made)]


async def test_missing_groups_are_made_when_asked_to(connections: Connections, settings: Settings) -> None:
    """
    Without `--fix` nothing is changed.
    """
    account = settings.accounts[0]
    keys = AccountKeys(settings.key_prefix, USER_ID)

    looked = await check(connections, settings, account, fix=False)
    there = await connections.commands.exists(keys.events.stream)
    mended = await check(connections, settings, account, fix=True)

    assert (1, 0, 4) == (len(looked), there, len(mended))
    assert 1 == len(await connections.commands.xinfo_groups(keys.events.stream))
