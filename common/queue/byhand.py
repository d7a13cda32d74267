"""
Ending a command by hand: taking it back, and saying what became of one whose outcome nobody knows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Literal

from redis.asyncio import Redis

from common.queue import scripts
from common.queue.connection import mapped
from common.queue.entry import Tries, parse_tries
from common.queue.keys import AccountKeys
from common.queue.receipts import KEPT_S
from common.queue.replies import read_hash
from common.queue.scripts import Argument, flat
from common.queue.settlement import RECORD_LIFE_S, callback
from common.queue.tally import Tally
from common.queue.texts import message_text

Cancelled = Literal["cancelled", "sending", "ended", "unknown"]
Resolved = Literal["ok", "certain", "sending", "ended", "unknown"]

_CANCELLED: Final = "cancelled before it was sent"
_CANCELLED_IN_DOUBT: Final = "cancelled; it may have been sent before"


async def cancel(client: Redis, account: AccountKeys, command_id: str, *, keep_texts: bool) -> Cancelled:
    """
    Take a command back, unless a worker is sending it or it has ended.
    """
    place = await _find(client, account, command_id)
    if not isinstance(place, _Place):
        return place
    why = _CANCELLED_IN_DOUBT if place.tries.outcome_unknown else _CANCELLED
    told = callback(place.fields, command_id, "cancelled", None, why, place.now_ms)
    ended = ["status", "cancelled", "finished_at", str(place.now_ms)]
    ended += place.text if keep_texts else []
    reply = await scripts.CANCEL(client, place.keys, [*place.args, len(ended), *ended, *flat(told)])
    if reply == "cancelled":
        Tally(account.user_id, "commands").ended(place.fields.get("kind", ""), "cancelled", has_callback=bool(told))
        return "cancelled"
    return "sending" if reply == "sending" else "ended"


async def resolve(
    client: Redis,
    account: AccountKeys,
    command_id: str,
    outcome: Literal["sent", "not_sent"],
    message_id: str | None,
    *,
    keep_texts: bool,
) -> Resolved:
    """
    Settle a command of unknown outcome as sent, or let it be sent again at once, without a look.
    """
    place = await _find(client, account, command_id)
    if not isinstance(place, _Place):
        return place
    ended = ["status", "sent", "finished_at", str(place.now_ms), "resolved", "true"]
    ended += place.text if keep_texts else []
    if message_id is not None:
        ended += ["message_id", message_id]
    told = callback(place.fields, command_id, "sent", message_id, None, place.now_ms)
    keys = [*place.keys, account.sent(place.fields.get("chat_id", "")), account.event(message_id or "-")]
    args = [*place.args, KEPT_S * 1000, outcome, message_id or "", len(ended), *ended, *flat(told)]
    reply: Resolved = await scripts.RESOLVE(client, keys, args)
    if reply == "ok" and outcome == "sent":
        Tally(account.user_id, "commands").ended(place.fields.get("kind", ""), "sent", has_callback=bool(told))
    return reply


@dataclass(frozen=True, slots=True)
class _Place:
    """
    A command that has not ended: its record, its attempts, its text as a field of the record, and the keys and
    arguments with which both scripts begin.
    """

    fields: dict[str, str]
    tries: Tries
    text: list[str]
    keys: list[str]
    args: list[Argument]
    now_ms: int


async def _find(client: Redis, account: AccountKeys, command_id: str) -> _Place | Literal["unknown", "ended"]:
    with mapped():
        fields = await read_hash(client, account.command(command_id))
    if not fields:
        return "unknown"
    if "finished_at" in fields:
        return "ended"
    streams = (account.commands, account.bulk)
    for stream in streams:
        await scripts.ENSURE(client, stream.indexes, ["dispatcher"])
    number = 2 if fields.get("stream") == account.bulk.stream else 1
    keys = [key for stream in streams for key in stream.indexes]
    keys += [account.command(command_id), account.events.stream]
    entry_id, life_ms = fields["entry_id"], RECORD_LIFE_S * 1000
    args: list[Argument] = [len(streams), "dispatcher", number, entry_id, command_id, account.done, life_ms]
    pipe = client.pipeline(transaction=False)
    pipe.hget(streams[number - 1].indexes[5], entry_id)
    pipe.xrange(streams[number - 1].stream, entry_id, entry_id)
    with mapped():
        tries, rows = await pipe.execute()
    text = message_text(rows[0][1]) if rows else ""
    return _Place(fields, parse_tries(tries), ["text", text] if text else [], keys, args, time.time_ns() // 1_000_000)
