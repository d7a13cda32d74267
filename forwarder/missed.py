"""
Which messages the gateway was never told of: Avito's chats compared with what was accepted (design section 10). Pure.

All times are unix ms by Avito's clock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from common.avito.messages import Message, created_ms, is_own, is_system, mapping
from common.queue.settlement import RECORD_LIFE_S
from common.queue.usage import Usage
from forwarder.webhook import id_of

FIRST_LOOK_BACK_S: Final = 180.0
GRACE_S: Final = 5.0
CHAT_TYPES: Final = ("u2i", "u2u", "a2u")
# What was accepted is remembered so long; an hour less, since our clock is not Avito's.
_REMEMBERED_S: Final = RECORD_LIFE_S - 3600.0
_PACES: Final = 10


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    How old a message may be that is looked for.

    `since_ms` is when the very first search began, less a few minutes: older ones count only behind a message of their
    chat that is known. None counts before `oldest_ms`. After `latest_ms` the webhook may still be on its way.
    """

    since_ms: int
    oldest_ms: int
    latest_ms: int

    def at(self, now_ms: int) -> Bounds:
        """
        Return the bounds for a chat that is read later than the list.
        """
        return replace(self, latest_ms=now_ms - round(GRACE_S * 1000))

    def is_early(self, at_ms: int) -> bool:
        """
        Say whether a message of that time may still get its webhook; not if only the clocks disagree.
        """
        return self.latest_ms < at_ms <= self.latest_ms + round(2 * GRACE_S * 1000)

    @property
    def floor_ms(self) -> int:
        """
        The age at which a chat is not worth a look any more.
        """
        return max(self.since_ms, self.oldest_ms)


@dataclass(frozen=True, slots=True)
class Unread:
    """
    An unread chat as the list shows it, with its last message.
    """

    chat_id: str
    chat_type: str | None
    item_id: object
    last_id: str
    last_ms: int


@dataclass(frozen=True, slots=True)
class Compared:
    """
    What a chat's messages show: those that are `missing`, oldest first.

    Nothing is missing up to `mark`, once these are accepted. `is_early`: behind it stands one that is too young to say.
    """

    missing: list[Message]
    mark: str | None
    is_early: bool = False


def bounds(since_ms: int, now_ms: int, max_age_s: float) -> Bounds:
    """
    Return the bounds of a search; `max_age_s` is `EVENT_MAX_AGE`.
    """
    age_s = min(max_age_s, _REMEMBERED_S)
    return Bounds(since_ms, now_ms - round(age_s * 1000), now_ms - round(GRACE_S * 1000))


def unread(chat: Message) -> Unread | None:
    """
    Read one chat of the list; None if it cannot be compared, such as one without a message.
    """
    chat_id = id_of(chat.get("id"))
    last = mapping(chat.get("last_message"))
    last_id, last_ms = id_of(last.get("id")), created_ms(last)
    if chat_id is None or last_id is None or last_ms is None:
        return None
    context = mapping(chat.get("context"))
    item_id = mapping(context.get("value")).get("id") if context.get("type") == "item" else None
    kind = chat_id.partition("-")[0]
    chat_type = kind if kind in CHAT_TYPES else "u2i" if item_id is not None else None
    return Unread(chat_id, chat_type, item_id, last_id, last_ms)


def is_worth_a_look(chat: Unread, mark: str | None, limits: Bounds) -> bool:
    """
    Say whether a chat may lack something: it has a message that is not too old, and more of them than at the last look.
    """
    return chat.last_id != mark and chat.last_ms >= limits.floor_ms


def is_last_page(chats: Sequence[Unread], limits: Bounds) -> bool:
    """
    Say whether only older chats can follow. That the latest come first is assumed, not known: the page must show it.
    """
    times = [chat.last_ms for chat in chats]
    return bool(times) and times[-1] < limits.floor_ms and times == sorted(times, reverse=True)


def compare(
    messages: Sequence[Message], known: Collection[str], user_id: str, limits: Bounds, *, with_system: bool
) -> Compared:
    """
    Find what is missing among a chat's messages, given newest first. Own and deleted ones never are.
    """
    dated = [(at_ms, message) for message in reversed(messages) if (at_ms := created_ms(message)) is not None]
    missing: list[Message] = []
    mark: str | None = None
    is_seen = False
    # Avito counts whole seconds: the sort keeps the order of those that are equal.
    for at_ms, message in sorted(dated, key=lambda pair: pair[0]):
        message_id = id_of(message.get("id"))
        if message_id is None:
            continue
        if message_id in known:
            is_seen = True
        elif (
            _is_incoming(message, user_id, with_system=with_system)
            and at_ms >= limits.oldest_ms
            and (is_seen or at_ms >= limits.since_ms)
        ):
            if limits.is_early(at_ms):
                return Compared(missing, mark, is_early=True)
            missing.append(message)
        mark = message_id
    return Compared(missing, mark)


def webhook_of(chat: Unread, message: Message, user_id: str) -> dict[str, object]:
    """
    Return the webhook that should have come. It has no id and no time of its own, for there was none.
    """
    created_s = (created_ms(message) or 0) // 1000
    value: dict[str, object] = {
        "id": message.get("id"),
        "chat_id": chat.chat_id,
        "user_id": int(user_id),
        "author_id": message.get("author_id"),
        "created": message.get("created"),
        "type": message.get("type"),
        "chat_type": chat.chat_type,
        "content": message.get("content"),
        "item_id": chat.item_id,
        "published_at": datetime.fromtimestamp(created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return {"id": None, "version": "v3.0.0", "timestamp": None, "payload": {"type": "message", "value": value}}


def pause_s(usage: Usage, window_s: float) -> float:
    """
    Return how long to wait before the next question to Avito: none while half of the limit is free, else ten paces, so
    that nine requests in ten are left to others.
    """
    if usage.limit is None or usage.tokens_out * 2 < usage.limit:
        return 0.0
    return _PACES * window_s / usage.limit


def _is_incoming(message: Message, user_id: str, *, with_system: bool) -> bool:
    if message.get("type") == "deleted" or is_own(message, user_id):
        return False
    return with_system or not is_system(message)
