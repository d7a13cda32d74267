"""
Holding: an operator stops one direction of an account's queue, and lets it go on.

It lies in the gate's hash, so it survives restarts; after a loss of Redis' data it is gone like everything else there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from redis.asyncio import Redis

from common.queue import scripts
from common.queue.connection import Connections, mapped
from common.queue.keys import SIDES, AccountKeys, Side
from common.queue.look import Look
from common.queue.usage import Hold, read_hold

Direction = Side
"""
What people call a side of the queue.
"""
REASON: Final = "operator"
"""
What `take` gives as the reason of its pause.
"""
CHARS: Final = 200
"""
How much is kept of who and why.
"""

_GATES: Final[Mapping[Direction, str]] = {"commands": "avito", "events": "n8n"}


Held = Mapping[Direction, Hold]


def held(look: Look) -> Held:
    """
    Return what of an account is held, as a look found it.
    """
    both: tuple[tuple[Direction, Hold | None], ...] = (("commands", look.avito.hold), ("events", look.n8n.hold))
    return {direction: hold for direction, hold in both if hold is not None}


class Holds:
    """
    Holds directions of all accounts. Workers obey within 2 s: they ask that often while something waits.
    """

    def __init__(self, connections: Connections, prefix: str) -> None:
        self._client: Redis = connections.commands
        self._prefix = prefix

    def _key(self, user_id: str, direction: Direction) -> str:
        return AccountKeys(self._prefix, user_id).gate(_GATES[direction])[0]

    async def hold(self, user_id: str, direction: Direction, *, by: str, why: str = "") -> bool:
        """
        Give nothing of this direction out until `resume`; say whether it went before.

        Requests under way go on, as do reads for the REST API. Nothing is lost; what expires meanwhile does so.
        """
        return not await self._change(user_id, direction, "1", by, why)

    async def resume(self, user_id: str, direction: Direction) -> bool:
        """
        Let a direction go on; say whether it was held.
        """
        return bool(await self._change(user_id, direction, "0", "", ""))

    async def _change(self, user_id: str, direction: Direction, to: str, by: str, why: str) -> str:
        key = self._key(user_id, direction)
        return str(await scripts.HOLD(self._client, [key], [to, by[:CHARS], why[:CHARS]]))

    async def of(self, user_id: str) -> Held:
        """
        Return the directions of an account that are held.
        """
        pipe = self._client.pipeline(transaction=False)
        for direction in SIDES:
            pipe.hmget(self._key(user_id, direction), "held_since", "held_by", "held_why")
        with mapped():
            found = cast("list[list[str | None]]", await pipe.execute())
        holds = {direction: read_hold(fields) for direction, fields in zip(SIDES, found, strict=True)}
        return {direction: hold for direction, hold in holds.items() if hold is not None}
