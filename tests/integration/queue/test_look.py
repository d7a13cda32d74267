"""
A look at accounts: queues and gates as they are, without changing anything.
"""

from __future__ import annotations

from typing import Any

import pytest

from common.queue.keys import AccountKeys
from common.queue.look import Depths, look
from common.queue.replies import redis_ms
from tests.harness import UNLIMITED, USER_ID, Queue

OWNERS = ("worker-1", "~retry", "~lane")


async def _depths(queue: Queue) -> Depths:
    (seen,) = await look(queue.connections, queue.settings, [USER_ID])
    return seen.queues[0]


async def _fill(queue: Queue, owners: tuple[str, ...]) -> None:
    """
    Add five entries, accepted 50, 40 .. 10 s ago; the first are pending for `owners`.
    """
    client: Any = queue.connections.commands
    stream = queue.keys.commands.stream
    now_ms = await redis_ms(client, stream)
    for age_s in (50, 40, 30, 20, 10):
        await client.xadd(stream, {"kind": "text", "chat_id": "c"}, id=f"{now_ms - age_s * 1000}-1")
    for owner in owners:
        if owner == owners[0]:
            await client.xgroup_create(stream, "dispatcher", "0")
        await client.xreadgroup("dispatcher", owner, {stream: ">"}, count=1)


async def test_each_state_has_its_number_and_its_oldest(queue: Queue) -> None:
    """
    Who holds an entry says where it stands; its id says since when.
    """
    await _fill(queue, OWNERS)

    found = await _depths(queue)

    assert (5, 2, 1, 1, 1) == (found.total, found.new, found.in_flight, found.retrying, found.behind)
    for age_s, state in ((50, "in_flight"), (40, "retrying"), (30, "behind"), (20, "new")):
        assert age_s <= found.ages_ms[state] / 1000 < age_s + 9, state
    assert found.oldest_ms == found.ages_ms["in_flight"]


async def test_without_a_group_all_is_new(queue: Queue) -> None:
    """
    What no worker has ever looked at waits all the same, and an empty stream has no age.
    """
    assert (0, 0) == ((await _depths(queue)).total, (await _depths(queue)).oldest_ms)
    await _fill(queue, ())

    found = await _depths(queue)

    assert (5, 5) == (found.total, found.new)
    assert 50 <= found.ages_ms["new"] / 1000 < 59


async def test_both_gates_are_seen(queue: Queue) -> None:
    """
    Tokens, slots, and why nobody goes, of the gate before Avito and of that before n8n.
    """
    avito, n8n = queue.gate(), queue.gate(destination="n8n")
    async with await avito.acquire(wait_s=1.0):
        await n8n.pause(30.0, "n8n: HTTP 503")
        (seen,) = await look(queue.connections, queue.settings, [USER_ID])

    assert (1, 0, "") == (seen.avito.slots_open, seen.avito.paused_ms, seen.avito.reason)
    assert (0, "n8n: HTTP 503") == (seen.n8n.slots_open, seen.n8n.reason)
    assert 25_000 < seen.n8n.paused_ms <= 30_000
    assert UNLIMITED.connections == seen.avito.max_connections


@pytest.mark.parametrize("scripts", ["known", "forgotten"])
async def test_many_accounts_are_seen_at_once(queue: Queue, scripts: str) -> None:
    """
    Each with its own, also where a server has forgotten its scripts, and where accounts lie on several.
    """
    users = [str(n) for n in range(1, 21)]
    for user_id in users:
        keys = AccountKeys(queue.settings.key_prefix, user_id)
        for _ in range(int(user_id)):
            await queue.connections.commands.xadd(keys.events.stream, {"kind": "message"})
        await queue.connections.commands.xadd(keys.commands.dead, {"reason": "rejected"})
    if scripts == "forgotten":
        async with queue.connections.primaries() as servers:
            for server in servers:
                await server.script_flush()

    seen = await look(queue.connections, queue.settings, users)

    assert [int(user_id) for user_id in users] == [one.queues[2].new for one in seen]
    assert {(1, 1, 0)} == {tuple(depth.dead for depth in one.queues) for one in seen}
