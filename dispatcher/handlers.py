"""
Carrying out one command: the calls of each kind, in one slot, one after the other.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from common import log, metrics
from common.avito import calls
from common.avito.answers import Meaning, Ok, Refused, Unknown, Unsent
from common.avito.calls import Call
from common.avito.client import Avito
from common.avito.messages import mapping, sizes_of, uploaded_image_id
from common.queue.entry import Entry
from common.queue.gate import Permit
from common.queue.outcomes import Dead, Done, Outcome, Retry
from common.settings import Account
from dispatcher.commands import (
    Command,
    DeleteMessage,
    Malformed,
    MarkRead,
    Send,
    SendImage,
    SendText,
    parse,
)
from dispatcher.decide import (
    Attempt,
    Policy,
    after_failure,
    after_lookup_failure,
    again,
    done,
    exhausted,
    held,
    is_held,
    not_there,
    out_of_reach,
    reconciled,
    under_way,
)
from dispatcher.images import Images, NotFetched
from dispatcher.reconcile import Found, Lookup, NotThere, OutOfReach, trace


@dataclass(frozen=True, slots=True)
class _Clock:
    """
    When an attempt began, for its line in the timeline.
    """

    at_ms: int
    begun_s: float = field(default_factory=time.monotonic)

    def line(self, step: str, outcome: str, *, status: int | None = None, error: str | None = None) -> Attempt:
        """
        Return the line. It holds no message text.
        """
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(self.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
            "step": step,
            "outcome": outcome,
            "ms": round((time.monotonic() - self.begun_s) * 1000),
        }
        if status is not None:
            line["status"] = status
        if error is not None:
            line["error"] = error
        return line

    def of(self, step: str, found: Meaning) -> Attempt:
        """
        Return the line of a call.
        """
        error = getattr(found, "error", None) or getattr(found, "message", None)
        outcome = "ok" if isinstance(found, Ok) else type(found).__name__.lower()
        return self.line(step, outcome, status=getattr(found, "status", None), error=error)


@dataclass(frozen=True, slots=True)
class _Picture:
    """
    A picture that Avito has, and what it would be known by in a chat, if that was said.
    """

    image_id: str
    trace: str | None = None


class Sender:
    """
    The handler of one account.
    """

    def __init__(self, account: Account, avito: Avito, lookup: Lookup, images: Images, policy: Policy) -> None:
        self._account = account
        self._avito = avito
        self._lookup = lookup
        self._images = images
        self._policy = policy
        self._log = log.logger(__name__).bind(account=account.user_id)

    async def __call__(self, entry: Entry, permit: Permit) -> Outcome:
        """
        Carry out one entry and say what becomes of it.

        Exceptions are outages and a closed gate: nothing went out then that is not known already.
        """
        command = parse(entry.kind, entry.chat_id, entry.fields.get("body", ""))
        if entry.verdict != "run":
            return await self._ended(entry, command, permit)
        match command:
            case Malformed():
                return Dead("malformed", str(command))
            case SendText() | SendImage():
                return await self._send(entry, command, permit)
            case MarkRead(chat_id=chat_id):
                return await self._repeat(entry, calls.read(self._account.user_id, chat_id), permit)
            case DeleteMessage(chat_id=chat_id, message_id=message_id):
                return await self._repeat(entry, calls.delete(self._account.user_id, chat_id, message_id), permit)

    async def _ended(self, entry: Entry, command: Command | Malformed, permit: Permit) -> Outcome:
        """
        Settle what is not tried any more. Before that look whether an attempt of unknown outcome has sent it after all.
        """
        doubtful = command if isinstance(command, Send) and entry.tries.outcome_unknown else None
        if entry.verdict == "expired":
            outcome = await self._looked_up(entry, doubtful, permit) if doubtful else None
            return outcome or Done(status="expired")
        echo = await self._lookup.echo(entry, doubtful, permit) if doubtful else None
        if echo is not None:
            self._looked("found")
            return reconciled(echo.message_id, _clock(permit, entry).line("look-up", "found"))
        return Dead("crashed", f"{entry.tries.crashes} workers ended while they handled it")

    async def _send(self, entry: Entry, command: Send, permit: Permit) -> Outcome:
        if entry.tries.outcome_unknown:
            outcome = await self._looked_up(entry, command, permit)
            if outcome is not None:
                return outcome
        if isinstance(command, SendText):
            call = calls.send_text(self._account.user_id, command.chat_id, command.text)
            return await self._sent(entry, call, permit)
        picture = _Picture(command.image_id) if command.image_id else await self._uploaded(entry, command, permit)
        if not isinstance(picture, _Picture):
            return picture
        call = calls.send_image(self._account.user_id, command.chat_id, picture.image_id)
        return await self._sent(entry, call, permit, picture)

    async def _looked_up(self, entry: Entry, command: Send, permit: Permit) -> Outcome | None:
        """
        Decide about a send of unknown outcome before it is sent again; None: send it again.
        """
        tries, policy = entry.tries, self._policy
        clock = _clock(permit, entry)
        # Of pictures an echo tells less than the chat: it may be of another one.
        is_enough = isinstance(command, SendText) or policy.ambiguous != "reconcile"
        echo = await self._lookup.echo(entry, command, permit) if is_enough else None
        if echo is not None:
            self._looked("found")
            return reconciled(echo.message_id, clock.line("look-up", "found"))
        if await permit.has_rival(entry.entry_id):
            return under_way(tries)
        if policy.ambiguous == "hold":
            if not is_held(tries):
                self._log.warning("command.held", command_id=entry.id, chat_id=entry.chat_id, error=tries.last_error)
            return held(tries)
        if policy.ambiguous == "resend":
            return None
        found = await self._lookup.find(entry, command, permit)
        match found:
            case Found(message_id=message_id):
                self._looked("found")
                return reconciled(message_id, clock.line("look-up", "found"))
            case NotThere():
                self._looked("not_found")
                return not_there(tries) if exhausted(tries, policy) else None
            case OutOfReach():
                self._looked("out_of_reach")
                return out_of_reach()
            case _:
                self._looked("failed")
                return after_lookup_failure(found, tries, policy, clock.of("look-up", found))

    def _looked(self, result: str) -> None:
        metrics.RECONCILIATIONS[self._account.user_id, result].inc()

    async def _uploaded(self, entry: Entry, command: SendImage, permit: Permit) -> _Picture | Outcome:
        """
        Fetch and upload an image; return it, or what becomes of the command without it.
        """
        clock = _clock(permit, entry)
        image = await self._images.fetch(command.image_url or "")
        if isinstance(image, NotFetched):
            attempt = clock.line("fetch", "failed", error=image.error)
            if image.final:
                return Dead("rejected", image.error, attempt=attempt)
            return again(image.error, entry.tries, self._policy, attempt)
        clock = _clock(permit, entry)
        call = calls.upload_image(self._account.user_id, image.filename, image.content, image.content_type)
        found = await self._avito.call(self._account, permit, call)
        if isinstance(found, Ok):
            image_id = uploaded_image_id(found.body)
            if image_id is not None:
                return _Picture(image_id, trace(sizes_of(mapping(found.body).get(image_id))))
            found = Unsent("Avito's answer to the upload names no image id")
        return after_failure(found, entry.tries, self._policy, clock.of("upload", found), takes_effect=False)

    async def _sent(self, entry: Entry, call: Call, permit: Permit, picture: _Picture | None = None) -> Outcome:
        clock, gate_ms, theirs_ms = _clock(permit, entry), permit.gate_ms(), self._avito.now_ms()
        found = await self._avito.call(self._account, permit, call)
        attempt = clock.of("send", found)
        if entry.tries.outcome_unknown and self._policy.ambiguous == "reconcile":
            attempt = {**attempt, "look_up": "not there"}
        if isinstance(found, Ok):
            return done(found, attempt)
        outcome = after_failure(found, entry.tries, self._policy, attempt, takes_effect=True)
        if isinstance(found, Unknown) and isinstance(outcome, Retry):
            known_by = picture.trace if picture else None
            return replace(
                outcome,
                since_ms=clock.at_ms,
                gate_since_ms=gate_ms,
                theirs_since_ms=theirs_ms,
                trace=known_by,
            )
        return outcome

    async def _repeat(self, entry: Entry, call: Call, permit: Permit) -> Outcome:
        """
        Make a call that may simply be repeated.
        """
        clock = _clock(permit, entry)
        found = await self._avito.call(self._account, permit, call)
        attempt = clock.of(call.name, found)
        if isinstance(found, Ok):
            return done(found, attempt)
        if call.name == "delete" and isinstance(found, Refused) and found.status == 404 and entry.tries.outcome_unknown:
            # An earlier attempt has deleted it; there is nothing left to delete.
            return Done(status="sent", record={"reconciled": "true"}, attempt=attempt)
        outcome = after_failure(found, entry.tries, self._policy, attempt, takes_effect=False)
        if isinstance(found, Unknown) and isinstance(outcome, Retry):
            return replace(outcome, unknown=True)
        return outcome


def _clock(permit: Permit, entry: Entry) -> _Clock:
    return _Clock(permit.redis_ms() or entry.taken_ms)
