"""
Settling: what handlers decided, written back in batches, each item for itself (design section 3, settle).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from common import log
from common.errors import GatewayError
from common.queue import scripts
from common.queue.connection import Connections
from common.queue.entry import Entry, Tries
from common.queue.gate import Gate, Permit
from common.queue.keys import AccountKeys, StreamKeys
from common.queue.lease import Lease
from common.queue.outcomes import Dead, Done, Outcome, Release, Retry
from common.queue.scripts import flat
from common.queue.tally import Tally
from common.queue.texts import message_text

RECORD_LIFE_S: Final = 72 * 3600
# While the server settles so many, the next are made ready here and free slots are filled. With larger batches the two
# would take turns.
_BATCH: Final = 32
# What waits goes on within 2 s of Redis being back (design section 1), and this wait is the better part of it.
_BACKOFF_MAX_S: Final = 1.0
_JSON: Final = msgspec.json.Encoder()
_ORDER: Final = {"done": 0, "retry": 1, "dead": 2}


@dataclass(frozen=True, slots=True)
class Finished:
    """
    An entry, the worker name it was taken under, and what became of it.
    """

    entry: Entry
    stream_number: int
    worker: str
    permit: Permit
    outcome: Outcome


def tries_after(tries: Tries, outcome: Retry, taken_ms: int) -> Tries:
    """
    Return what is remembered once an attempt has ended in a retry.

    An unknown outcome keeps the time of the first attempt that may have taken effect.
    """
    since_ms, gate_ms, theirs_ms = outcome.since_ms or taken_ms, outcome.gate_since_ms, outcome.theirs_since_ms
    if tries.outcome_unknown and tries.unknown_since_ms:
        since_ms, gate_ms, theirs_ms = tries.unknown_since_ms, tries.gate_since_ms, tries.theirs_since_ms
    traces = (tries.traces or ()) + ((outcome.trace,) if outcome.trace else ())
    return Tries(
        attempts=tries.attempts + (1 if outcome.counted else 0),
        crashes=tries.crashes,
        first_at=tries.first_at or taken_ms,
        last_error=outcome.error,
        outcome_unknown=outcome.unknown,
        unknown_since_ms=since_ms if outcome.unknown else None,
        gate_since_ms=gate_ms if outcome.unknown else None,
        theirs_since_ms=theirs_ms if outcome.unknown else None,
        traces=traces or None if outcome.unknown else None,
    )


def dead_letter(entry: Entry, outcome: Dead, died_ms: int) -> dict[str, str]:
    """
    Return the fields of a dead letter: the entry's own, and why it died (R34).

    Where it may have been sent, `doubt` is what the look-up needs should it be put back.
    """
    tries = entry.tries
    letter = entry.fields | {
        "source": entry.stream,
        "source_id": entry.entry_id,
        "reason": outcome.reason,
        "detail": outcome.detail,
        "attempts": str(tries.attempts + (1 if outcome.attempt is not None else 0)),
        "crashes": str(tries.crashes),
        "first_at": str(tries.first_at or entry.taken_ms),
        "died_at": str(died_ms),
    }
    if tries.outcome_unknown or outcome.reason == "unknown":
        doubt = Tries(
            outcome_unknown=True,
            unknown_since_ms=tries.unknown_since_ms or entry.taken_ms,
            gate_since_ms=tries.gate_since_ms,
            theirs_since_ms=tries.theirs_since_ms,
            traces=tries.traces,
            redriven=True,
        )
        letter["unknown_since"] = str(doubt.unknown_since_ms)
        letter["doubt"] = doubt.model_dump_json(exclude_defaults=True)
    return letter


def callback(
    fields: dict[str, str], command_id: str, status: str, message_id: str | None, problem: str | None, now_ms: int
) -> dict[str, str]:
    """
    Return the event that tells `callback_url` how a command ended; empty when nobody asked for it.
    """
    url = fields.get("callback_url")
    end: Literal["sent", "failed"] = "sent" if status == "sent" else "failed"
    if not url or fields.get("callback_on", end) != end:
        return {}
    chat_id = fields.get("chat_id", "")
    trace = {"traceparent": fields["traceparent"]} if "traceparent" in fields else {}
    body = {
        "event": f"command.{end}",
        "command_id": command_id,
        "status": status,
        "chat_id": chat_id,
        "message_id": message_id,
        "problem": problem,
    }
    return {
        "id": f"{command_id}.{end}",
        "kind": "callback",
        "chat_id": chat_id,
        "lane": f"callback:{command_id}",
        "callback_url": url,
        "body": json.dumps(body, ensure_ascii=False),
        "received_at": str(now_ms),
        **trace,
    }


def _json(value: object) -> str:
    """
    Write JSON that Redis takes: half a surrogate pair, as in an answer of Avito's, becomes a question mark.
    """
    try:
        return _JSON.encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()


class Settler:
    """
    Collects what is finished: one script call is in flight, what arrives meanwhile is the next batch.

    A result is kept until Redis has it. Repeating is safe: an item that was settled before is `lost` (R21).
    """

    def __init__(
        self,
        *,
        connections: Connections,
        keys: AccountKeys,
        streams: Sequence[StreamKeys],
        group: str,
        gate: Gate,
        lease: Lease,
        keep_texts: bool = True,
    ) -> None:
        self._connections = connections
        self._keys = keys
        self._commands = group == "dispatcher"
        self._group = group
        self._streams = len(streams)
        self._gate = gate
        self._lease = lease
        self._keep_texts = keep_texts
        self._base_keys = [key for stream in streams for key in stream.indexes]
        self._base_keys += [*gate.keys, streams[0].dead, keys.events.stream, keys.messages]
        self._waiting: list[tuple[Finished, asyncio.Future[str]]] = []
        self._flushing: asyncio.Task[None] | None = None
        # How many entries the streams held after the last settlement; -1 where nobody knows.
        self.left = -1
        self._tally = Tally(keys.user_id, "commands" if self._commands else "events")
        self._log = log.logger(__name__).bind(account=keys.user_id)

    async def settle(self, finished: Finished) -> str:
        """
        Write one result back and return `ok`, or `lost` when the entry is somebody else's by now.
        """
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush(), name="settle")
        # Asked of the task: `get_running_loop` is a system call in Python 3.11.
        future: asyncio.Future[str] = self._flushing.get_loop().create_future()
        self._waiting.append((finished, future))
        return await future

    async def drain(self) -> None:
        """
        Wait until everything handed in is settled.
        """
        while self._flushing is not None and not self._flushing.done():
            await asyncio.wait([self._flushing])

    async def _flush(self) -> None:
        failures = 0
        while self._waiting:
            # What ended in the same turn of the loop goes together.
            await asyncio.sleep(0)
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            refused = await self._write(batch)
            if refused:
                failures += 1
                self._waiting = refused + self._waiting
                await asyncio.sleep(min(_BACKOFF_MAX_S, 0.05 * 2 ** min(failures, 8)))
            else:
                failures = 0

    async def _write(
        self, batch: list[tuple[Finished, asyncio.Future[str]]]
    ) -> list[tuple[Finished, asyncio.Future[str]]]:
        """
        Settle a batch; return what Redis did not take.

        A result is settled under the name that took the entry, also when that name is lost: the owner check tells
        whether somebody else has it by now (R21). After a FLUSHALL nobody has.
        """
        refused = []
        for worker in dict.fromkeys(finished.worker for finished, _ in batch):
            refused += await self._write_as(worker, [pair for pair in batch if pair[0].worker == worker])
        return refused

    async def _write_as(
        self, worker: str, batch: list[tuple[Finished, asyncio.Future[str]]]
    ) -> list[tuple[Finished, asyncio.Future[str]]]:
        keys = list(self._base_keys)
        items = [(pair, self._item(pair[0], keys)) for pair in batch]
        items.sort(key=lambda item: _ORDER[item[1]["action"]])
        channel = self._keys.done if self._commands else ""
        try:
            replies, self.left = await scripts.SETTLE(
                self._connections.commands,
                keys,
                [
                    self._streams,
                    self._group,
                    worker,
                    channel,
                    *self._gate.arguments,
                    RECORD_LIFE_S * 1000,
                    _json([item for _, item in items]),
                ],
            )
        except GatewayError as error:
            self._log.warning("settlement.failed", entries=len(batch), error=str(error))
            return batch
        refused = []
        for ((finished, future), item), reply in zip(items, replies, strict=True):
            if reply.startswith("refused"):
                self._log.warning(
                    "settlement.refused", entry_id=finished.entry.entry_id, action=item["action"], error=reply
                )
                refused.append((finished, future))
                continue
            if reply == "lost":
                self._log.info("settlement.lost", entry_id=finished.entry.entry_id)
                self._tally.lost()
            else:
                self._tally.settled(
                    finished.entry, finished.outcome, self._gate.redis_ms(), has_callback="callback" in item
                )
                if isinstance(finished.outcome, Dead):
                    self._tell_dead(finished.entry, finished.outcome)
            _resolve(future, reply)
        return refused

    def _tell_dead(self, entry: Entry, outcome: Dead) -> None:
        """
        Log that somebody has to look at an entry. Its detail may quote the other side, and stays in the dead letter.
        """
        if self._commands:
            self._log.warning(
                "command.dead", command_id=entry.id, chat_id=entry.chat_id, kind=entry.kind, reason=outcome.reason
            )
        else:
            self._log.warning(
                "event.dead", message_id=entry.id, chat_id=entry.chat_id, kind=entry.kind, reason=outcome.reason
            )

    def _item(self, finished: Finished, keys: list[str]) -> dict[str, Any]:
        """
        Return what `settle.lua` is told of one result; keys it needs are appended to `keys`.
        """
        entry, permit, outcome = finished.entry, finished.permit, finished.outcome
        now_ms = permit.redis_ms()
        keys.append(self._keys.command(entry.id) if self._commands else self._keys.event(entry.id))
        item: dict[str, Any] = {
            "stream": finished.stream_number,
            "id": entry.entry_id,
            "lane": entry.fields.get("lane") or entry.chat_id,
            "permit": permit.name or entry.permit,
            "token": permit.current,
            "how": "unused" if permit.how == "open" else permit.how,
            "action": "done",
            "record": len(keys),
        }
        if permit.passed:
            item["passed"] = True
        fields: dict[str, str] = {}
        if not isinstance(outcome, Release) and outcome.attempt is not None:
            fields[f"attempt:{entry.taken_ms}"] = _json(dict(outcome.attempt))
        if isinstance(outcome, Release):
            item |= {"action": "retry", "after_ms": 0}
        elif isinstance(outcome, Retry):
            item["action"] = "retry"
            item["after_ms"] = round(outcome.after_s * 1000)
            item["tries"] = tries_after(entry.tries, outcome, entry.taken_ms).model_dump_json(exclude_none=True)
        else:
            self._end(item, fields, entry, outcome, now_ms, keys)
        if fields:
            item["fields"] = flat(fields)
        return item

    def _end(
        self,
        item: dict[str, Any],
        fields: dict[str, str],
        entry: Entry,
        outcome: Done | Dead,
        now_ms: int,
        keys: list[str],
    ) -> None:
        item["ended"] = entry.id
        message_id: str | None = None
        problem: str | None = None
        if isinstance(outcome, Done):
            status = outcome.status
            message_id = outcome.message_id
            problem = "expired before it could be sent" if status == "expired" else None
        else:
            status = "failed"
            problem = f"{outcome.reason}: {outcome.detail}"
            item["action"] = "dead"
            item["dead"] = flat(dead_letter(entry, outcome, now_ms))
            fields |= {"reason": outcome.reason, "detail": outcome.detail}
        if "id" not in entry.fields:
            # Added by hand: it has no record yet, and no place in the index.
            item["listed"] = ["c" if self._commands else "e", entry.id, entry.chat_id]
            fields |= {"id": entry.id, "kind": entry.kind, "chat_id": entry.chat_id, "entry_id": entry.entry_id}
        if self._keep_texts and (text := message_text(entry.fields)):
            fields["text"] = text
        fields |= dict(outcome.record) | {"status": status, "finished_at": str(now_ms)}
        if message_id and self._commands:
            fields["message_id"] = message_id
            keys += [self._keys.sent(entry.chat_id), self._keys.event(message_id)]
            item["message"] = message_id
            item["sent"] = len(keys) - 1
        if self._commands and (told := callback(entry.fields, entry.id, status, message_id, problem, now_ms)):
            item["callback"] = flat(told)


def _resolve(future: asyncio.Future[str], reply: str) -> None:
    # The one who waited may have been cancelled in the meantime.
    if not future.done():
        future.set_result(reply)
