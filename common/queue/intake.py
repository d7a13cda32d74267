"""
The intake: accepts commands and events into their streams, once (design section 3, accept).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from common import metrics
from common.queue import scripts
from common.queue.commit import GroupCommit
from common.queue.connection import Connections
from common.queue.keys import AccountKeys
from common.queue.receipts import KEPT_S
from common.queue.settlement import RECORD_LIFE_S
from common.settings import Settings
from common.tracing import current

IDEMPOTENCY_LIFE_S: Final = 72 * 3600

_JSON: Final = msgspec.json.Encoder()

Priority = Literal["interactive", "bulk"]


class NewCommand(msgspec.Struct, frozen=True, kw_only=True):
    """
    A command to accept. `fingerprint` marks the request's body: the same key with another one is a conflict.

    `lane` is what is kept in order; the chat when None. `callback_on` "failed" tells `callback_url` of a failure alone.
    """

    id: str
    kind: str
    chat_id: str
    body: Mapping[str, object]
    priority: Priority = "interactive"
    not_before_ms: int | None = None
    expires_at_ms: int | None = None
    callback_url: str | None = None
    callback_on: Literal["failed"] | None = None
    lane: str | None = None
    idempotency_key: str | None = None
    fingerprint: str = "-"
    batch_id: str | None = None


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """
    An inbound event to accept; `body` is the webhook's JSON as it came.

    `own` marks an echo of our own message: a receipt, found again by the `fingerprint` of its content and dated by
    `created_ms`, Avito's clock. `recovered`: its webhook never came, `body` is what it would have said.
    """

    id: str
    chat_id: str
    body: str
    kind: str = "message"
    own: bool = False
    fingerprint: str = ""
    created_ms: int | None = None
    recovered: bool = False


class Accepted(msgspec.Struct, frozen=True):
    """
    Stored now; `ahead` entries of its stream wait before it.
    """

    command_id: str
    entry_id: str
    ahead: int


class Duplicate(msgspec.Struct, frozen=True):
    """
    Known already: the id and entry of the first.
    """

    command_id: str
    entry_id: str


class Conflict(msgspec.Struct, frozen=True):
    """
    The idempotency key was used with another body.
    """


class Full(msgspec.Struct, frozen=True):
    """
    The command would wait longer than `MAX_QUEUE_WAIT`.
    """

    retry_after_s: float


CommandReply = Accepted | Duplicate | Conflict | Full


@dataclass(frozen=True, slots=True)
class _Account:
    """
    An account's keys, and the commit of those accounts that share a server for certain: one that hangs must not hold up
    others.
    """

    keys: AccountKeys
    commit: GroupCommit


class Intake:
    """
    Accepts through group commits, one for each place where accounts lie; what is not certain to be stored raises (R2).
    """

    def __init__(self, connections: Connections, settings: Settings) -> None:
        self._connections = connections
        self._commits: dict[int, GroupCommit] = {}
        self._accounts: dict[str, _Account] = {}
        self._prefix = settings.key_prefix
        self._pace_s = settings.rate_limit_window / settings.rate_limit_requests
        self._longest = max(1, int(settings.max_queue_wait / self._pace_s))

    async def command(self, user_id: str, command: NewCommand) -> CommandReply:
        """
        Store one command, unless its idempotency key is known or the queue too long.

        Raises:

            Outage: Redis is away, refuses or takes longer than 1.5 s; the command may be stored after `RedisAway`, and
                repeating it with its idempotency key is safe.

        """
        reply = self._command_reply(user_id, command, await self._submitted(user_id, command))
        if (span := current()).traceparent:
            stored = reply if isinstance(reply, Accepted | Duplicate) else None
            span.note(account=user_id, chat_id=command.chat_id, command_id=stored.command_id if stored else None)
            span.note(duplicate=isinstance(reply, Duplicate) or None)
        return reply

    def _submitted(self, user_id: str, command: NewCommand) -> asyncio.Future[Any]:
        account = self._account(user_id)
        keys = account.keys
        names = (keys.bulk if command.priority == "bulk" else keys.commands).indexes
        return account.commit(
            scripts.ACCEPT_COMMAND,
            (
                names[0],
                names[4],
                keys.command(command.id),
                keys.idempotency(command.idempotency_key or "-"),
                keys.messages,
            ),
            [
                "1" if command.idempotency_key else "0",
                command.fingerprint,
                # A send for a given time waits by request.
                0 if command.not_before_ms else self._longest,
                IDEMPOTENCY_LIFE_S * 1000,
                command.id,
                command.kind,
                command.chat_id,
                _JSON.encode(command.body),
                _now_ms(),
                command.priority,
                command.batch_id or "",
                current().traceparent,
                *_given(command),
            ],
        )

    async def commands(self, user_id: str, commands: Sequence[NewCommand]) -> list[CommandReply]:
        """
        Store many commands in their order, in shared round trips.

        Raises `Outage` when one could not be stored; those before it may be. Repeated with their keys they complete.
        """
        submitted = [self._submitted(user_id, command) for command in commands]
        accepted: list[CommandReply] = []
        try:
            # They come in this order. A gather would look at each on its own.
            for command, reply in zip(commands, submitted, strict=True):
                accepted.append(self._command_reply(user_id, command, await reply))
        finally:
            for reply in submitted:
                # Behind one that failed nobody asks for the others.
                if not reply.cancel() and not reply.cancelled():
                    reply.exception()
        if (span := current()).traceparent:
            span.note(account=user_id, commands=len(commands))
        return accepted

    async def event(self, user_id: str, event: NewEvent) -> Accepted | Duplicate:
        """
        Store one inbound event, unless its message id is known.

        Raises:

            Outage: Redis is away, refuses or takes longer than 1.5 s; Avito repeats, and the dedupe absorbs a copy.

        """
        account = self._account(user_id)
        keys = account.keys
        span = current()
        if traceparent := span.traceparent:
            span.note(account=user_id, chat_id=event.chat_id, message_id=event.id)
        reply = await account.commit(
            scripts.ACCEPT_EVENT,
            (keys.events.stream, keys.event(event.id), keys.sent(event.chat_id), keys.messages),
            [
                event.id,
                event.kind,
                event.chat_id,
                event.body,
                _now_ms(),
                RECORD_LIFE_S * 1000,
                (event.fingerprint or "-") if event.own else "",
                KEPT_S * 1000,
                "1" if event.recovered else "",
                event.created_ms or "",
                traceparent,
            ],
        )
        if reply[0] == "duplicate":
            metrics.EVENTS_DUPLICATE[user_id].inc()
            span.note(duplicate=True)
            return Duplicate(event.id, reply[2])
        metrics.EVENTS_ACCEPTED[user_id, "recovered" if event.recovered else event.kind].inc()
        return Accepted(event.id, reply[1], 0)

    async def stop(self) -> None:
        """
        Wait until everything handed in has its reply.
        """
        await asyncio.gather(*(commit.stop() for commit in self._commits.values()))

    def _account(self, user_id: str) -> _Account:
        account = self._accounts.get(user_id)
        if account is None:
            keys = AccountKeys(self._prefix, user_id)
            place = self._connections.place(keys.events.stream)
            commit = self._commits.setdefault(place, GroupCommit(self._connections))
            account = self._accounts[user_id] = _Account(keys, commit)
        return account

    def _command_reply(self, user_id: str, command: NewCommand, reply: list[Any]) -> CommandReply:
        match reply:
            case ["accepted", entry_id, ahead]:
                metrics.COMMANDS_ACCEPTED[user_id, command.kind, command.priority].inc()
                return Accepted(command.id, entry_id, ahead)
            case ["duplicate", command_id, entry_id]:
                metrics.COMMANDS_REPLAYED[user_id].inc()
                return Duplicate(command_id, entry_id)
            case ["full", ahead]:
                # As long as it takes until the queue is one tenth shorter.
                return Full(max(1.0, (ahead - self._longest * 0.9) * self._pace_s))
            case _:
                return Conflict()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _given(command: NewCommand) -> list[str]:
    """
    Return names and values of what a command may have and most do not; its entry and its record have them both.
    """
    optional = (
        ("not_before", command.not_before_ms),
        ("expires_at", command.expires_at_ms),
        ("callback_url", command.callback_url),
        ("callback_on", command.callback_on),
        ("lane", command.lane),
    )
    return [text for name, value in optional if value is not None for text in (name, str(value))]
