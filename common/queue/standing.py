"""
Standing: where entries are now, read from their stream and its pending list (design section 3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from common.queue.connection import meaning
from common.queue.entry import Tries, parse_tries
from common.queue.keys import RETRY, AccountKeys
from common.queue.replies import redis_ms

_COMMANDS: Final = 3


@dataclass(frozen=True, slots=True)
class Place:
    """
    An entry to look for; `not_before_ms` is 0 where it was not scheduled.
    """

    stream: str
    entry_id: str
    not_before_ms: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """
    An entry as it stands: its state, the consumer it is pending for (None: not looked at yet), its fields and attempts.
    """

    place: Place
    state: str
    owner: str | None
    fields: Mapping[str, str]
    tries: Tries


def state(owner: str | None, tries: Tries, *, ahead: bool) -> str:
    """
    Say where an entry stands from its consumer in the pending list and its attempts.

    `ahead`: its time to be sent is still to come.
    """
    if owner is not None and not owner.startswith("~"):
        return "sending"
    if owner == RETRY and tries.outcome_unknown:
        return "unknown"
    if ahead and tries.attempts == 0:
        return "scheduled"
    if owner == RETRY and (tries.attempts or tries.crashes):
        return "retrying"
    return "queued"


async def look(client: Redis, account: AccountKeys, places: Sequence[Place]) -> list[Standing | None]:
    """
    Return how entries of one account stand, in one round trip; None for one that is not in its stream.

    Raises what `common.queue.connection.mapped` raises.
    """
    if not places:
        return []
    pipe = client.pipeline(transaction=False)
    for place in places:
        group = "forwarder" if place.stream == account.events.stream else "dispatcher"
        pipe.xpending_range(place.stream, group, place.entry_id, place.entry_id, 1)
        pipe.xrange(place.stream, place.entry_id, place.entry_id)
        pipe.hget(f"{place.stream}:tries", place.entry_id)
    now_ms, replies = await asyncio.gather(redis_ms(client, places[0].stream), pipe.execute(raise_on_error=False))
    return [_standing(place, replies[_COMMANDS * n : _COMMANDS * (n + 1)], now_ms) for n, place in enumerate(places)]


def _standing(place: Place, replies: Sequence[Any], now_ms: int) -> Standing | None:
    pending, rows, raw = replies
    if isinstance(pending, ResponseError):
        # There is no group: nobody has looked at anything yet.
        pending = []
    for reply in (pending, rows, raw):
        if isinstance(reply, Exception):
            raise meaning(reply)
    if not rows:
        return None
    owner = pending[0]["consumer"] if pending else None
    tries = parse_tries(raw)
    return Standing(place, state(owner, tries, ahead=place.not_before_ms > now_ms), owner, rows[0][1], tries)
