"""
Dead letters: look at them, put them back, or drop them (R34).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Literal

from redis.asyncio import Redis

from common.queue import scripts
from common.queue.connection import Connections, mapped
from common.queue.entry import Tries
from common.queue.keys import AccountKeys
from common.queue.replies import read_rows
from common.queue.scripts import flat
from common.settings import Settings

Side = Literal["commands", "events"]

_GRAVE: Final = (
    "source",
    "source_id",
    "reason",
    "detail",
    "attempts",
    "crashes",
    "first_at",
    "died_at",
    "unknown_since",
    "expires_at",
    "not_before",
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """
    One dead letter: the entry's fields and `source, source_id, reason, detail, attempts, crashes, first_at, died_at`.
    """

    dead_id: str
    fields: dict[str, str]


class DeadLetters:
    """
    The dead letters of all accounts.
    """

    def __init__(self, connections: Connections, settings: Settings) -> None:
        self._client: Redis = connections.commands
        self._prefix = settings.key_prefix

    def _stream(self, user_id: str, side: Side) -> str:
        keys = AccountKeys(self._prefix, user_id)
        return (keys.commands if side == "commands" else keys.events).dead

    async def list(self, user_id: str, side: Side, *, count: int = 100, before: str = "+") -> list[DeadLetter]:
        """
        Return the newest dead letters first; `before` an id (exclusive) goes on from there.
        """
        newest = before if before == "+" else f"({before}"
        with mapped():
            rows = await read_rows(self._client, self._stream(user_id, side), newest, "-", count=count)
        return [DeadLetter(dead_id, fields) for dead_id, fields in rows]

    async def show(self, user_id: str, side: Side, dead_id: str) -> DeadLetter | None:
        """
        Return one dead letter, or None.
        """
        with mapped():
            rows = await read_rows(self._client, self._stream(user_id, side), dead_id, dead_id)
        return DeadLetter(*rows[0]) if rows else None

    async def redrive(self, user_id: str, side: Side, dead_id: str) -> str | None:
        """
        Put a dead letter back as a new entry of its stream and return the entry's id; None when it is not there.

        Its attempts count from 0, an event's age from now; a command's time limit is gone. What may have been sent is
        looked up first, as before.
        """
        letter = await self.show(user_id, side, dead_id)
        if letter is None:
            return None
        keys = AccountKeys(self._prefix, user_id)
        sources = (keys.commands, keys.bulk) if side == "commands" else (keys.events,)
        source = next((one for one in sources if one.stream == letter.fields.get("source")), sources[0])
        entry = {name: value for name, value in letter.fields.items() if name not in _GRAVE}
        own_id = entry.get("id") or letter.fields.get("source_id", dead_id)
        entry["id"] = own_id
        if "received_at" in entry:
            # Its age counts from now, or an event that died of it would die again at once.
            entry["received_at"] = str(time.time_ns() // 1_000_000)
        tries = ""
        if unknown_since := letter.fields.get("unknown_since"):
            tries = Tries(outcome_unknown=True, unknown_since_ms=int(unknown_since)).model_dump_json(exclude_none=True)
        record = keys.command(own_id) if side == "commands" else keys.event(own_id)
        status = "queued" if side == "commands" else "accepted"
        fields = flat(entry)
        new_id = await scripts.REDRIVE(
            self._client,
            [self._stream(user_id, side), source.stream, source.indexes[5], record],
            [dead_id, letter.fields.get("source", ""), tries, len(fields), *fields, "status", status],
        )
        return new_id or None

    async def drop(self, user_id: str, side: Side, dead_id: str) -> bool:
        """
        Delete a dead letter for good; False when it is not there.
        """
        with mapped():
            return bool(await self._client.xdel(self._stream(user_id, side), dead_id))
