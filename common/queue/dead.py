"""
Dead letters: look at them, put them back, or drop them (R34).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from common.queue import scripts
from common.queue.connection import Connections, mapped
from common.queue.entry import Tries
from common.queue.keys import AccountKeys, Side
from common.queue.replies import read_rows
from common.queue.scripts import flat
from common.queue.settlement import RECORD_LIFE_S
from common.settings import Settings

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
    "doubt",
    "expires_at",
    "not_before",
)
# What the record of a letter may have lost by the time it is put back, for it lives 72 h.
_RECORDED: Final[tuple[str, ...]] = ("kind", "chat_id", "accepted_at", "received_at", "callback_url", "lane")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """
    One dead letter: the entry's fields and `source, source_id, reason, detail, attempts, crashes, first_at, died_at`.
    """

    dead_id: str
    fields: dict[str, str]

    @property
    def died_ms(self) -> int:
        """
        When it died, unix ms: also where `died_at` is not said, for it was written then.
        """
        return int(self.dead_id.partition("-")[0])


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

    async def oldest(
        self, user_id: str, side: Side, *, after: str | None = None, newest: str = "+", count: int = 100
    ) -> Sequence[DeadLetter]:
        """
        Return the oldest dead letters first, those after an id and up to `newest`.
        """
        first = f"({after}" if after else "-"
        with mapped():
            rows: Any = await self._client.xrange(self._stream(user_id, side), first, newest, count=count)
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
        """
        letter = await self.show(user_id, side, dead_id)
        return None if letter is None else await self.put_back(user_id, side, letter)

    async def put_back(
        self, user_id: str, side: Side, letter: DeadLetter, *, not_before_ms: int | None = None
    ) -> str | None:
        """
        Put a letter back as a new entry of its stream and return the entry's id; None when it is not there any more.

        Its attempts count from 0, an event's age from the time it may go: now, or `not_before_ms`, until which it waits
        in its stream's schedule. A command's time limit is gone. What may have been sent is looked up first, as before.
        """
        keys = AccountKeys(self._prefix, user_id)
        sources = (keys.commands, keys.bulk) if side == "commands" else (keys.events,)
        source = next((one for one in sources if one.stream == letter.fields.get("source")), sources[0])
        entry = {name: value for name, value in letter.fields.items() if name not in _GRAVE}
        own_id = entry.get("id") or letter.fields.get("source_id", letter.dead_id)
        entry["id"] = own_id
        if "received_at" in entry:
            # Its age counts from now, or an event that died of it would die again at once.
            entry["received_at"] = str(not_before_ms or time.time_ns() // 1_000_000)
        if not_before_ms is not None:
            entry["not_before"] = str(not_before_ms)
        tries = letter.fields.get("doubt", "")
        if not tries and (unknown_since := letter.fields.get("unknown_since")):
            # A letter of before `doubt`.
            doubt = Tries(outcome_unknown=True, unknown_since_ms=int(unknown_since), redriven=True)
            tries = doubt.model_dump_json(exclude_defaults=True)
        record = {name: letter.fields[name] for name in _RECORDED if name in letter.fields}
        record |= {"id": own_id, "status": "queued" if side == "commands" else "accepted"}
        if not_before_ms is not None:
            record["not_before"] = str(not_before_ms)
        if side == "commands":
            record |= {"stream": source.stream, "priority": "bulk" if source == keys.bulk else "interactive"}
        fields = flat(entry)
        new_id = await scripts.REDRIVE(
            self._client,
            [
                self._stream(user_id, side),
                source.stream,
                source.indexes[5],
                keys.command(own_id) if side == "commands" else keys.event(own_id),
                keys.messages,
            ],
            [
                letter.dead_id,
                letter.fields.get("source", ""),
                tries,
                "c" if side == "commands" else "e",
                own_id,
                entry.get("chat_id", ""),
                "" if side == "commands" else RECORD_LIFE_S * 1000,
                len(fields),
                *fields,
                *flat(record),
            ],
        )
        return new_id or None

    async def drop(self, user_id: str, side: Side, *dead_ids: str) -> int:
        """
        Delete dead letters for good, and return how many of them were there.
        """
        with mapped():
            return int(await self._client.xdel(self._stream(user_id, side), *dead_ids))
