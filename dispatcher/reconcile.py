"""
Looking up a send whose outcome is unknown: is the message in the chat?

Avito has no idempotency key, so only the chat tells. First what our own Redis knows, the echo webhook that Avito
sends for each message of the account; then the chat's messages, newest first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from common.avito import calls
from common.avito.answers import Ok
from common.avito.client import Avito
from common.avito.messages import (
    Message,
    created_ms,
    has_more,
    image_sizes,
    is_own,
    message_id,
    messages_of,
    texts_of,
)
from common.queue.entry import Entry
from common.queue.gate import Permit
from common.queue.receipts import Receipts, fingerprint
from common.settings import Account
from dispatcher.commands import Send, SendText
from dispatcher.decide import Failure

# Avito counts whole seconds, in `created` and in Date alike.
SLACK_MS: Final = 2_000


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


def unknown_since_ms(entry: Entry) -> int:
    """
    Return when the first attempt of unknown outcome began, by Redis' clock; at the earliest when the entry came.
    """
    if entry.tries.unknown_since_ms is not None:
        return entry.tries.unknown_since_ms
    return int(entry.entry_id.partition("-")[0])


def by_avitos_clock(since_ms: int, *, server_ms: int | None, redis_ms: int) -> int:
    """
    Turn a time by Redis' clock into one by Avito's, as the Date of an answer that has just come tells it.

    Date is cut to the second and older than its arrival, so the result is rather too early than too late.
    """
    ahead_ms = 0 if server_ms is None else server_ms - redis_ms
    return since_ms + ahead_ms - SLACK_MS


def is_result(message: Message, command: Send, user_id: str) -> bool:
    """
    Say whether a message of the chat can be what the command sent.

    Of an image the chat shows no id, so any image of ours will do.
    """
    if not is_own(message, user_id) or message.get("direction") not in (None, "out") or message_id(message) is None:
        return False
    if isinstance(command, SendText):
        return _plain(command.text) in map(_plain, texts_of(message))
    return message.get("type") == "image" or bool(image_sizes(message))


def _plain(text: str) -> str:
    """
    Leave out what a chat may change about white space.
    """
    return " ".join(text.split())


def candidates(messages: Iterable[Message], command: Send, user_id: str, since_ms: int) -> list[str]:
    """
    Return the ids of what can be the command's result, in the order of `messages`.
    """
    return [
        str(message["id"])
        for message in messages
        if is_result(message, command, user_id) and (created_ms(message) or 0) >= since_ms
    ]


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

    async def echo(self, entry: Entry, command: Send) -> Found | None:
        """
        Return the message that Avito has already told us of; asks Redis alone.
        """
        content_type, content = ("text", {"text": command.text}) if isinstance(command, SendText) else ("image", {})
        found = await self._receipts.echo(
            self._account.user_id, entry.chat_id, unknown_since_ms(entry), fingerprint(content_type, content)
        )
        return Found(found) if found else None

    async def find(self, entry: Entry, command: Send, permit: Permit) -> Found | NotThere | Failure:
        """
        Read the chat back to the first attempt of unknown outcome, a token for each page.

        Of several messages that fit, the oldest is taken: commands of a chat are sent in order. One that is already
        another command's result is left out. Somebody who types the same text by hand in that time is taken for us.
        """
        user_id = self._account.user_id
        since_ms: int | None = None
        seen: list[str] = []
        for offset in range(0, calls.MAX_OFFSET + 1, calls.PAGE):
            call = calls.messages(user_id, entry.chat_id, calls.PAGE, offset)
            answer = await self._avito.call(self._account, permit, call)
            if not isinstance(answer, Ok):
                return answer
            if since_ms is None:
                since_ms = by_avitos_clock(
                    unknown_since_ms(entry), server_ms=answer.server_ms, redis_ms=permit.redis_ms()
                )
            page = messages_of(answer.body)
            seen += candidates(page, command, user_id, since_ms)
            if reached(page, since_ms) or not has_more(answer.body, limit=calls.PAGE):
                break
        if not seen:
            return NotThere()
        claimed = await self._receipts.claimed(user_id, seen)
        free = [found for found in seen if found not in claimed]
        return Found(free[-1]) if free else NotThere()
