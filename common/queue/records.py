"""
Records: what became of a command or an event, and how long the queues are.

A running state is read from the stream (design section 3); the record keeps acceptance, attempts and the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from common.queue import byhand, keys, standing
from common.queue.byhand import Cancelled, Resolved
from common.queue.connection import REDIS_ERRORS, Connections, mapped, meaning
from common.queue.ends import Ends
from common.queue.keys import AccountKeys, Side
from common.queue.look import Depths, Look, look
from common.queue.replies import redis_ms
from common.queue.role import RECHECK_EACH_S
from common.queue.standing import Place, Standing
from common.settings import Settings

_TIMES: Final = ("accepted_at", "received_at", "created", "finished_at", "not_before", "expires_at")
# The text is kept for the console's search. Who asks over the API knows it, or reads it in the chat; and what the API
# answers is kept by others, n8n first.
_NOT_SHOWN: Final = ("status", "id", "fingerprint", "text")
_FLAGS: Final = ("reconciled", "resolved", "recovered")
_STALLED_S: Final = 30.0
# Longer than the slowest request; a process with many accounts looks at each less often.
_SILENT_S: Final = 90.0
_LOOK_EACH_S: Final = 1.0
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Record:
    """
    A status record as it is now; `ended` tells whether `status` is final.

    `timeline` lists acceptance, attempts and the end in order, each with `at` (ISO 8601, UTC) and `event`. `standing`
    is where its entry is, None when it has ended or that was not asked.
    """

    id: str
    status: str
    ended: bool
    fields: Mapping[str, str]
    timeline: list[dict[str, object]]
    standing: Standing | None = None

    def to_json(self) -> dict[str, object]:
        """
        Return what the API shows.
        """
        shown: dict[str, object] = {"id": self.id, "status": self.status}
        for name, value in self.fields.items():
            if name.startswith("attempt:") or name in _NOT_SHOWN:
                continue
            if name in _TIMES:
                shown[name] = iso(value)
            elif name == "response":
                shown[name] = json.loads(value)
            elif name in _FLAGS:
                shown[name] = True
            else:
                shown[name] = value
        shown["timeline"] = self.timeline
        return shown


CommandRecord = Record
EventRecord = Record


class Records:
    """
    Reads records and queues; `cancel` and `resolve` are its only changes.
    """

    def __init__(self, connections: Connections, settings: Settings) -> None:
        self._connections = connections
        self._settings = settings
        self._client: Redis = connections.commands
        self._ends = Ends(connections, settings.key_prefix)
        self._prefix = settings.key_prefix
        self._accounts = len(settings.accounts)
        self._keep_texts = settings.keep_texts

    def _keys(self, user_id: str) -> AccountKeys:
        return AccountKeys(self._prefix, user_id)

    async def command(self, user_id: str, command_id: str) -> CommandRecord | None:
        """
        Return a command's record with its state of this moment, or None.
        """
        return (await self.current(user_id, [("commands", command_id)]))[0]

    async def event(self, user_id: str, message_id: str) -> EventRecord | None:
        """
        Return an inbound event's record, or None.
        """
        return (await self.current(user_id, [("events", message_id)]))[0]

    async def many(self, user_id: str, side: Side, ids: Sequence[str]) -> list[Record | None]:
        """
        Return the records of many messages in shared round trips, None where there is none.

        The state of one that has not ended is the one last written, not where its entry stands now.
        """
        account = self._keys(user_id)
        key = account.command if side == "commands" else account.event
        records: list[Record | None] = []
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            with mapped():
                found = await self._hashes([key(one) for one in page])
            records += [_read(one, fields) for one, fields in zip(page, found, strict=True)]
        return records

    async def current(self, user_id: str, messages: Sequence[tuple[Side, str]]) -> list[Record | None]:
        """
        Return the records of many messages with their states of this moment, None where there is none; two round trips
        for all of them, and one more where some have ended in between.
        """
        account = self._keys(user_id)
        names = [account.command(own_id) if side == "commands" else account.event(own_id) for side, own_id in messages]
        with mapped():
            found = await self._hashes(names)
            running = [n for n, fields in enumerate(found) if fields.get("entry_id") and "finished_at" not in fields]
            places = [_place(found[n], account, messages[n][0]) for n in running]
            standings = dict(zip(running, await standing.look(self._client, account, places), strict=True))
            absent = [n for n in running if standings[n] is None]
            for n, fields in zip(absent, await self._hashes([names[n] for n in absent]), strict=True):
                # It ended between the two looks; if not, somebody deleted the entry by hand.
                found[n] = fields if "finished_at" in fields else {**found[n], "status": "cancelled"}
        return [
            _now(own_id, fields, standings.get(n), is_absent=n in absent)
            for n, ((_, own_id), fields) in enumerate(zip(messages, found, strict=True))
        ]

    async def _hashes(self, names: Sequence[str]) -> list[dict[str, str]]:
        if not names:
            return []
        pipe = self._client.pipeline(transaction=False)
        for name in names:
            pipe.hgetall(name)
        return list(await pipe.execute())

    async def wait(
        self, user_id: str, command_id: str, timeout_s: float, given_up: asyncio.Event | None = None
    ) -> CommandRecord | None:
        """
        Wait until the command has ended, at most `timeout_s`, and return its record.

        The end is published on `K:done`; a look every second makes up for a message lost in an outage. `given_up`
        ends it within that second: cancelled, it might go on, for a Redis call can swallow that (R5).
        """
        deadline_s = time.monotonic() + timeout_s
        async with self._ends.of(command_id) as ended:
            while True:
                record = await self.command(user_id, command_id)
                left_s = deadline_s - time.monotonic()
                if record is None or record.ended or left_s <= 0 or (given_up is not None and given_up.is_set()):
                    return record
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), min(left_s, _LOOK_EACH_S))

    async def cancel(self, user_id: str, command_id: str) -> Cancelled:
        """
        Take a command back, unless a worker is sending it or it has ended.
        """
        return await byhand.cancel(self._client, self._keys(user_id), command_id, keep_texts=self._keep_texts)

    async def resolve(
        self, user_id: str, command_id: str, outcome: Literal["sent", "not_sent"], message_id: str | None = None
    ) -> Resolved:
        """
        Say what became of a send whose outcome is unknown; `not_sent` sends it again, without a look.

        `message_id` is the message it became, where that is known: no look-up takes it for another command's then.
        """
        return await byhand.resolve(
            self._client, self._keys(user_id), command_id, outcome, message_id, keep_texts=self._keep_texts
        )

    async def depths(self, user_id: str) -> list[Depths]:
        """
        Return how long the account's three work streams are.
        """
        (found,) = await self.look([user_id])
        return found.queues

    async def look(self, user_ids: Sequence[str]) -> list[Look]:
        """
        Return the queues and gates of accounts as they are now, in one round trip.
        """
        return await look(self._connections, self._settings, user_ids)

    async def workers(self) -> int:
        """
        Return how many dispatchers and forwarders are alive.
        """
        living = keys.workers(self._prefix)
        with mapped():
            return int(await self._client.zcount(living, await redis_ms(self._client, living), "+inf"))

    async def stalled(self, user_id: str) -> dict[str, str]:
        """
        Return the streams in which entries wait for more than 30 s and are not read as they should, and what is wrong.

        Either no worker is alive, or one that is has not asked for work for 90 s. Asking shows as the idle time of its
        consumer, in the stream that comes first for its role.
        """
        with mapped():
            living = keys.workers(self._prefix)
            now_ms = await redis_ms(self._client, living)
            alive = set(await self._client.zrangebyscore(living, now_ms, "+inf"))
        account = self._keys(user_id)
        stalled: dict[str, str] = {}
        for depth, group in zip(await self.depths(user_id), ("dispatcher", "dispatcher", "forwarder"), strict=True):
            if depth.total == 0 or depth.oldest_ms < _STALLED_S * 1000:
                continue
            first = account.events if group == "forwarder" else account.commands
            try:
                consumers = await self._client.xinfo_consumers(first.stream, group)
            except ResponseError:
                consumers = []
            except REDIS_ERRORS as error:
                raise meaning(error) from error
            workers = {str(consumer["name"]): consumer["idle"] for consumer in consumers if consumer["name"] in alive}
            longest_ms = (_SILENT_S + RECHECK_EACH_S * self._accounts) * 1000
            silent = sorted(name for name, idle_ms in workers.items() if idle_ms >= longest_ms)
            if not workers:
                stalled[depth.stream] = f"Entries wait for more than {_STALLED_S:g} s and no worker is alive."
            elif silent:
                stalled[depth.stream] = f"Entries wait, and nothing is read by {', '.join(silent)}."
        return stalled


def _place(fields: Mapping[str, str], account: AccountKeys, side: Side) -> Place:
    stream = (account.commands if side == "commands" else account.events).stream
    return Place(fields.get("stream", stream), fields["entry_id"], int(fields.get("not_before", 0)))


def _now(own_id: str, fields: Mapping[str, str], found: Standing | None, *, is_absent: bool) -> Record | None:
    ended = is_absent or "finished_at" in fields
    if not ended and found is None:
        return None
    status = found.state if found is not None else fields.get("status", "queued")
    return Record(own_id, status, ended, fields, timeline(fields), found)


def _read(own_id: str, fields: Mapping[str, str]) -> Record | None:
    ended = "finished_at" in fields
    if not ended and not fields.get("entry_id"):
        return None
    return Record(own_id, fields.get("status", "queued"), ended, fields, timeline(fields))


def timeline(fields: Mapping[str, str]) -> list[dict[str, object]]:
    """
    Return what happened to a message in order.
    """
    begun = fields.get("accepted_at") or fields.get("received_at")
    steps: list[dict[str, object]] = [{"at": iso(begun), "event": "accepted"}] if begun else []
    attempts = sorted(
        (int(name.removeprefix("attempt:")), value) for name, value in fields.items() if name.startswith("attempt:")
    )
    steps += [{"at": iso(str(at_ms)), "event": "attempt", **json.loads(value)} for at_ms, value in attempts]
    if "finished_at" in fields:
        steps.append({"at": iso(fields["finished_at"]), "event": fields.get("status", "ended")})
    return steps


def iso(ms: str) -> str:
    """
    Return unix milliseconds as ISO 8601 in UTC; what is no number passes as it is.
    """
    try:
        return datetime.fromtimestamp(int(ms) / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return ms
