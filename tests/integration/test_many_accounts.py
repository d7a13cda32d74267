"""
Many accounts in one process: one's trouble is not another's, and those to which nothing happens cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.idle import idle
from bench.isolation import neighbours
from common.settings import Settings
from tests import servers, topologies

QUEUED = 20_000
AT_MOST = 3.0
COMMANDS_PER_MIN = 1000


def _tell(measured: object) -> None:
    print(measured)  # noqa: T201 - what was measured shows with -s, and where the test fails


async def test_a_neighbour_in_trouble_changes_nobodys_latency(redis_url: str, settings: Settings) -> None:
    """
    Beside an account with a long queue at its limit, and then one that Avito refuses, p99 stays what it was.
    """
    async with neighbours(redis_url, settings) as made:
        alone = await made.quietest(rounds=3)
        enough_ms = AT_MOST * (alone.p99_ms or 0.0)
        await made.queue(QUEUED)
        beside_a_queue = await made.quietest(rounds=20, enough_ms=enough_ms)
        await made.refuse()
        beside_refused = await made.quietest(rounds=20, enough_ms=enough_ms)
        left = await made.queued()

    _tell({"alone": alone, "beside a queue": beside_a_queue, "beside one that is refused": beside_refused})
    assert beside_a_queue.p99_ms
    assert beside_refused.p99_ms
    # All of it is there but what the limit let through.
    assert QUEUED - 110 <= left < QUEUED
    assert max(beside_a_queue.p99_ms, beside_refused.p99_ms) < enough_ms


@pytest.fixture(name="installation", params=["single", "cluster"])
def _installation(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[str]]]:
    """
    Give the address for the program, and those of all its servers.
    """
    if request.param == "single":
        with servers.embedded() as server:
            yield server.connection_url, [server.connection_url]
    else:
        with topologies.cluster() as cluster:
            yield cluster.url, [node.connection_url for node in cluster.nodes]


async def test_idle_accounts_share_what_a_process_asks(installation: tuple[str, list[str]]) -> None:
    """
    From ten on, accounts look the less often the more they are: together they ask no more for it.
    """
    found = await idle(*installation, accounts=20, settle_s=3.0, measure_s=12.0)

    _tell(found)
    assert found.commands_per_min < COMMANDS_PER_MIN


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_two_hundred_idle_accounts_stay_below_a_thousand_commands_a_minute(
    installation: tuple[str, list[str]],
) -> None:
    """
    All roles in one process, the search for missed webhooks at its default, over one whole round of looks.
    """
    found = await idle(*installation, accounts=200, settle_s=25.0, measure_s=110.0)

    _tell(found)
    assert found.commands_per_min < COMMANDS_PER_MIN
