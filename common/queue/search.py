"""
Search: which messages a person looks for, newest first, with bounded work for each request.

The order comes from the index of messages (`K:messages`), which begins 72 h ago; what a message says of itself from its
record, or while it is queued from its entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from common.queue.connection import Connections, mapped
from common.queue.keys import AccountKeys, Side
from common.queue.records import Record, Records
from common.queue.replies import read_rows
from common.queue.texts import message_text
from common.settings import Settings

STATES: Final = (
    "queued",
    "scheduled",
    "sending",
    "retrying",
    "unknown",
    "sent",
    "delivered",
    "skipped",
    "failed",
    "cancelled",
    "expired",
)

_SIDES: Final[dict[str, Side]] = {"c": "commands", "e": "events"}
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Listed:
    """
    An entry of the index.
    """

    index_id: str
    side: Side
    id: str
    chat_id: str


@dataclass(frozen=True, slots=True)
class Found:
    """
    A message, its record with its state of this moment, and its text where it is made of words and kept.
    """

    side: Side
    id: str
    record: Record
    text: str

    @classmethod
    def of(cls, side: Side, own_id: str, record: Record) -> Found:
        """
        Take the text from where it is: from the entry while there is one, then from the record.
        """
        entry = record.standing.fields if record.standing is not None else None
        return cls(side, own_id, record, message_text(entry) if entry else record.fields.get("text", ""))

    @property
    def chat_id(self) -> str:
        """
        The chat it belongs to.
        """
        return self.record.fields.get("chat_id", "")

    @property
    def accepted_ms(self) -> str:
        """
        When it was accepted, unix ms.
        """
        fields = self.record.fields
        return fields.get("accepted_at") or fields.get("received_at") or ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What is looked for; what is empty does not matter. `text` is a part of it, in any case of letters.

    What is left out of the deliveries, as echoes of our own messages are, is left out here as well until `state` asks
    for it.
    """

    side: Side | None = None
    chat_id: str = ""
    text: str = ""
    state: str = ""

    def may_be(self, listed: Listed) -> bool:
        """
        Say whether the index alone does not rule it out.
        """
        return self.side in (None, listed.side) and self.chat_id in ("", listed.chat_id)

    def takes(self, found: Found) -> bool:
        """
        Say whether state and text fit.
        """
        state = found.record.status
        if state != self.state and (self.state or state == "skipped"):
            return False
        return self.text.casefold() in found.text.casefold()


@dataclass(frozen=True, slots=True)
class Results:
    """
    What was found among the `looked` newest entries of the index from where the search began.

    `older` is where to go on, None when the index has no more; `back_to_ms` how far it has come.
    """

    found: list[Found]
    looked: int
    older: str | None
    back_to_ms: int | None


class Search:
    """
    Looks for messages of all accounts.
    """

    def __init__(self, connections: Connections, settings: Settings, records: Records) -> None:
        self._client: Redis = connections.commands
        self._records = records
        self._prefix = settings.key_prefix

    async def find(
        self, user_id: str, wanted: Wanted, *, older: str | None = None, rows: int = 50, looks: int = 2000
    ) -> Results:
        """
        Return up to `rows` messages, newest first, after a look at no more than about `looks` entries of the index.
        """
        index = AccountKeys(self._prefix, user_id).messages
        found: list[Found] = []
        seen: set[tuple[Side, str]] = set()
        looked = 0
        while len(found) < rows and looked < looks:
            with mapped():
                page = await read_rows(self._client, index, f"({older}" if older else "+", "-", count=_PAGE)
            listed = [_listed(index_id, fields) for index_id, fields in page]
            maybe = [one for one in listed if wanted.may_be(one) and (one.side, one.id) not in seen]
            for one, message in zip(maybe, await self._look(user_id, maybe), strict=True):
                if message is not None and (one.side, one.id) not in seen and wanted.takes(message):
                    found.append(message)
                    if len(found) == rows:
                        place = next(n for n, other in enumerate(listed) if other is one)
                        return Results(found, looked + place + 1, one.index_id, _ms(one.index_id))
                # What was put back into the queue is listed twice.
                seen.add((one.side, one.id))
            looked += len(page)
            older = page[-1][0] if page else older
            if len(page) < _PAGE:
                return Results(found, looked, None, _ms(older) if older else None)
        return Results(found, looked, older, _ms(older) if older else None)

    async def named(self, user_id: str, own_id: str) -> list[Found]:
        """
        Return the messages with exactly this id: a command's, an event's, or the one that Avito gave to what we sent,
        which the echo of that has as well.
        """
        account = AccountKeys(self._prefix, user_id)
        with mapped():
            command_id: Any = await self._client.hget(account.event(own_id), "command_id")
        sides: list[tuple[Side, str]] = [("commands", command_id or own_id), ("events", own_id)]
        looked = await self._look(user_id, [Listed("", side, one, "") for side, one in sides])
        return [message for message in looked if message is not None]

    async def _look(self, user_id: str, listed: Sequence[Listed]) -> list[Found | None]:
        records = await self._records.current(user_id, [(one.side, one.id) for one in listed])
        return [
            None if record is None else Found.of(one.side, one.id, record)
            for one, record in zip(listed, records, strict=True)
        ]


def _listed(index_id: str, fields: dict[str, str]) -> Listed:
    side = _SIDES.get(fields.get("side", ""), "commands")
    return Listed(index_id, side, fields.get("id", ""), fields.get("chat", ""))


def _ms(stream_id: str) -> int:
    return int(stream_id.partition("-")[0])
