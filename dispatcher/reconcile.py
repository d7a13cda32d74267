"""
Looking up a send whose outcome is unknown: is the message in the chat?

Avito has no idempotency key, so only the chat tells. First what our own Redis knows, the echo webhook that Avito
sends for each message of the account; then the chat's messages, newest first.

A message can be ours if it says the same, was created since the attempt began, was not shown to us before that, and is
no other command's. What a person writes by hand in between can be all of that, and then it is taken for ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from common.avito import calls
from common.avito.answers import Ok, Unknown
from common.avito.client import Avito
from common.avito.messages import (
    Message,
    created_ms,
    has_more,
    image_sizes,
    is_list,
    is_own,
    largest,
    message_id,
    messages_of,
    texts_of,
)
from common.queue.entry import Entry
from common.queue.gate import Permit
from common.queue.receipts import Receipts, fingerprint, plain
from common.settings import Account
from dispatcher.commands import Send, SendText
from dispatcher.decide import Failure

# Avito counts whole seconds, in `created` and in Date alike.
SLACK_MS: Final = 2_000
# Replies take their time, so what this process takes for Redis' time lags a little. More than this is a step.
STEP_MS: Final = 100


@dataclass(frozen=True, slots=True)
class Found:
    """
    The message is in the chat.
    """

    message_id: str


@dataclass(frozen=True, slots=True)
class NotThere:
    """
    The chat was read back to the first attempt, and it is not in it.
    """


@dataclass(frozen=True, slots=True)
class OutOfReach:
    """
    Avito shows no more of the chat, and that does not go back to the first attempt.
    """


@dataclass(frozen=True, slots=True)
class Now:
    """
    What the clocks say: Redis', and the gate's, which no step of Redis' moves (R41).
    """

    redis_ms: int
    gate_ms: int


def unknown_since_ms(entry: Entry, now: Now) -> int:
    """
    Return when the first attempt of unknown outcome began, by Redis' clock; at the earliest when the entry came.

    Where that clock has been set back since, an echo that came after the attempt may have an earlier time than was
    noted at the attempt: then this is the attempt's time by the clock as it goes now.
    """
    noted_ms = entry.tries.unknown_since_ms
    if noted_ms is None:
        return int(entry.entry_id.partition("-")[0])
    if entry.tries.gate_since_ms is None:
        return noted_ms
    turned_ms = now.redis_ms - (now.gate_ms - entry.tries.gate_since_ms)
    return turned_ms if noted_ms - turned_ms > STEP_MS else noted_ms


def by_avitos_clock(entry: Entry, now: Now, *, avito_ms: int | None) -> int:
    """
    Return from when on a message counts, by Avito's clock: what was noted at the attempt, else what both sides say now
    less the time since the attempt. Avito's is rather too early (`Avito.now_ms`), and so is this.
    """
    tries = entry.tries
    if tries.theirs_since_ms is not None:
        return tries.theirs_since_ms - SLACK_MS
    if tries.gate_since_ms is not None:
        ago_ms = now.gate_ms - tries.gate_since_ms
    else:
        ago_ms = now.redis_ms - unknown_since_ms(entry, now)
    return (now.redis_ms if avito_ms is None else avito_ms) - ago_ms - SLACK_MS


def is_result(message: Message, command: Send, user_id: str) -> bool:
    """
    Say whether a message of the chat can be what the command sent.

    Of an image the chat shows no id, so any image of ours will do (but see `choose`).
    """
    if not is_own(message, user_id) or message.get("direction") not in (None, "out") or message_id(message) is None:
        return False
    if isinstance(command, SendText):
        return plain(command.text) in map(plain, texts_of(message))
    return message.get("type") == "image" or bool(image_sizes(message))


def candidates(messages: Iterable[Message], command: Send, user_id: str, since_ms: int) -> list[Message]:
    """
    Return what can be the command's result, in the order of `messages`.
    """
    return [
        message
        for message in messages
        if is_result(message, command, user_id) and (created_ms(message) or 0) >= since_ms
    ]


def trace(sizes: Mapping[str, str]) -> str | None:
    """
    Return what a picture is known by: the path of its largest link. Hosts vary, and a query may be a signature.
    """
    link = largest(sizes)
    return urlsplit(link).path if link else None


def choose(found: Sequence[Message], traces: Sequence[str]) -> Message:
    """
    Return the likeliest of several candidates, newest first: of those known by one of the traces, else of all, the
    oldest, since the commands of a chat are sent in order.

    That no trace fits says nothing: nobody promises that a picture's links stay what the upload said.
    """
    known = [message for message in found if trace(image_sizes(message)) in traces]
    return (known or found)[-1]


def reached(messages: Iterable[Message], since_ms: int) -> bool:
    """
    Say whether a page goes back to before `since_ms`.
    """
    return any(created is not None and created < since_ms for created in map(created_ms, messages))


class Lookup:
    """
    The look-up for one account.
    """

    def __init__(self, account: Account, avito: Avito, receipts: Receipts) -> None:
        self._account = account
        self._avito = avito
        self._receipts = receipts

    async def echo(self, entry: Entry, command: Send, permit: Permit) -> Found | None:
        """
        Return the message that Avito has already told us of; asks Redis alone.
        """
        content_type, content = ("text", {"text": command.text}) if isinstance(command, SendText) else ("image", {})
        now, avito_ms = _now(permit), self._avito.now_ms()
        is_dated = avito_ms is not None or entry.tries.theirs_since_ms is not None
        created_ms = by_avitos_clock(entry, now, avito_ms=avito_ms) if is_dated else None
        found = await self._receipts.echo(
            self._account.user_id,
            entry.chat_id,
            unknown_since_ms(entry, now),
            fingerprint(content_type, content),
            created_since_ms=created_ms,
        )
        return Found(found) if found else None

    async def find(self, entry: Entry, command: Send, permit: Permit) -> Found | NotThere | OutOfReach | Failure:
        """
        Read the chat back to the first attempt of unknown outcome, a token for each page.
        """
        user_id = self._account.user_id
        since_ms: int | None = None
        seen: list[Message] = []
        is_whole = False
        for offset in range(0, calls.MAX_OFFSET + 1, calls.PAGE):
            call = calls.messages(user_id, entry.chat_id, calls.PAGE, offset)
            answer = await self._avito.call(self._account, permit, call)
            if not isinstance(answer, Ok):
                return answer
            if not is_list(answer.body, "messages"):
                # An empty page would mean: not there, send again.
                return Unknown("the answer is no list of messages", answer.status)
            if since_ms is None:
                since_ms = by_avitos_clock(entry, _now(permit), avito_ms=answer.server_ms)
            page = messages_of(answer.body)
            seen += candidates(page, command, user_id, since_ms)
            is_whole = reached(page, since_ms) or not has_more(answer.body, limit=calls.PAGE)
            if is_whole:
                break
        ids = [str(message["id"]) for message in seen]
        begun_ms = unknown_since_ms(entry, _now(permit))
        others = await self._receipts.others(user_id, entry.chat_id, ids, begun_ms)
        free = [message for message in seen if message["id"] not in others]
        if free:
            return Found(str(choose(free, entry.tries.traces or ())["id"]))
        return NotThere() if is_whole else OutOfReach()


def _now(permit: Permit) -> Now:
    return Now(permit.redis_ms(), permit.gate_ms())
