"""
Why a message waits: what stands before it in its chat and its stream, and when it is due.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from common.queue.connection import mapped
from common.queue.keys import LANE, RETRY, AccountKeys, StreamKeys
from common.queue.replies import redis_ms
from common.queue.standing import Standing

MOST: Final = 200
"""
How many entries before one are counted.
"""
# As `shared/lanes.lua` writes them.
_SEPARATOR: Final = "\x1f"


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    `head` is the id of the message whose turn it is in the chat, None where it is its own; `before` how many of the
    chat stand before it. `unseen` entries of its stream were not looked at yet and are before it, `MOST` meaning that
    or more. `due_in_ms` is how long until its time has come.
    """

    head: str | None = None
    before: int = 0
    unseen: int = 0
    due_in_ms: int | None = None


async def why(client: Redis, account: AccountKeys, standing: Standing) -> Waiting:
    """
    Say what an entry waits for, as far as its indexes tell. It may have moved on since it was looked at.
    """
    side = "events" if standing.place.stream == account.events.stream else "commands"
    streams = account.side(side)
    own = next((one for one in streams if one.stream == standing.place.stream), streams[0])
    with mapped():
        match standing.owner:
            case None:
                return Waiting(unseen=await _unseen(client, own, standing, side))
            case _ if standing.owner == LANE:
                return await _behind(client, own, streams, standing)
            case _ if standing.owner == RETRY:
                return Waiting(
                    due_in_ms=await _due_in(
                        client, own, account.gate("n8n" if side == "events" else "avito")[0], standing
                    )
                )
            case _:
                return Waiting()


async def _unseen(client: Redis, own: StreamKeys, standing: Standing, side: str) -> int:
    group = "forwarder" if side == "events" else "dispatcher"
    try:
        groups: Any = await client.xinfo_groups(own.stream)
    except ResponseError:
        # Nobody has made the stream's group yet.
        groups = []
    last = next((one["last-delivered-id"] for one in groups if one["name"] == group), "0-0")
    rows: Any = await client.xrange(own.stream, f"({last}", f"({standing.place.entry_id}", count=MOST)
    return len(rows)


async def _behind(client: Redis, own: StreamKeys, streams: tuple[StreamKeys, ...], standing: Standing) -> Waiting:
    lane = standing.fields.get("lane") or standing.fields.get("chat_id", "")
    pipe = client.pipeline(transaction=False)
    pipe.zlexcount(own.indexes[2], f"[{lane}{_SEPARATOR}", f"({lane}{_SEPARATOR}{_padded(standing.place.entry_id)}")
    for one in streams:
        pipe.hget(one.indexes[1], lane)
    behind, *heads = await pipe.execute()
    by_stream = dict(zip((one.stream for one in streams), heads, strict=True))
    if by_stream[own.stream] in (None, standing.place.entry_id):
        # It heads its lane, and the other stream has one of its chat out.
        head = next((found for found in by_stream.items() if found[0] != own.stream and found[1]), None)
        return Waiting(head=await _id_of(client, *head), before=1) if head else Waiting()
    return Waiting(head=await _id_of(client, own.stream, by_stream[own.stream]), before=behind + 1)


async def _id_of(client: Redis, stream: str, entry_id: str) -> str:
    rows: Any = await client.xrange(stream, entry_id, entry_id)
    return str(rows[0][1].get("id") or entry_id) if rows else entry_id


async def _due_in(client: Redis, own: StreamKeys, gate: str, standing: Standing) -> int | None:
    due, clock, wall_ms = await asyncio.gather(
        client.zscore(own.indexes[4], standing.place.entry_id), client.hmget(gate, "now", "at"), redis_ms(client, gate)
    )
    if due is None:
        return None
    # Retries wait by the gate's clock.
    now_ms = float(clock[0]) + max(0, wall_ms - int(clock[1] or 0)) if clock[0] else float(wall_ms)
    return max(0, round(due - now_ms))


def _padded(entry_id: str) -> str:
    ms, _, sequence = entry_id.partition("-")
    return f"{ms:0>20}-{sequence:0>20}"
