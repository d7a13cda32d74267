"""
Chats and messages as the console shows them, from what Avito gives.

Nothing here raises on odd data, and nothing but http and https becomes a link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from common.avito.messages import (
    Message,
    created_ms,
    image_sizes,
    is_own,
    is_system,
    largest,
    mapping,
    message_id,
)
from ingress.unread import is_unread

From = Literal["in", "out", "system"]

# What a message without words is called; the texts `message.<kind>`.
KINDS: Final = ("image", "voice", "video", "file", "call", "appCall", "location", "item", "link", "deleted")


@dataclass(frozen=True, slots=True)
class Line:
    """
    One message. `kind` names what it is where it is not made of words; `at_ms` None when Avito does not say.
    """

    id: str | None
    side: From
    text: str
    kind: str | None
    url: str | None
    at_ms: int | None
    is_read: bool
    is_unread: bool


@dataclass(frozen=True, slots=True)
class Chat:
    """
    One chat: with whom, about which ad, and its last message.
    """

    id: str
    name: str | None
    title: str | None
    price: str | None
    url: str | None
    updated_ms: int | None
    last: Line | None


def chat(body: Message, user_id: str) -> Chat:
    """
    Read one chat of the list, or the answer to a call for one.
    """
    ad = mapping(mapping(body.get("context")).get("value"))
    last = mapping(body.get("last_message"))
    updated = created_ms({"created": body.get("updated") or body.get("created")})
    return Chat(
        id=str(body.get("id", "")),
        name=_name(body, user_id),
        title=_text(ad.get("title")),
        price=_text(ad.get("price_string")),
        url=web_address(ad.get("url")),
        updated_ms=updated,
        last=line(last, user_id) if last else None,
    )


def unread_first(chats: Sequence[Chat]) -> list[Chat]:
    """
    Keep Avito's order, the latest first, but begin with what nobody has read.
    """
    return sorted(chats, key=lambda one: not (one.last is not None and one.last.is_unread))


def line(message: Message, user_id: str) -> Line:
    """
    Read one message.
    """
    content = mapping(message.get("content"))
    link, item, location = (mapping(content.get(part)) for part in ("link", "item", "location"))
    candidates = (content.get("text"), link.get("text"), item.get("title"), location.get("title"), location.get("text"))
    said = next(filter(None, map(_text, candidates)), "")
    kind = str(message.get("type", ""))
    url = (
        web_address(largest(image_sizes(message))) or web_address(link.get("url")) or web_address(item.get("item_url"))
    )
    own = is_own(message, user_id) or message.get("direction") == "out"
    unread = is_unread(message, user_id)
    return Line(
        id=message_id(message),
        side="system" if is_system(message) else "out" if own else "in",
        text=said,
        kind=None if kind in ("text", "system") or (said and kind == "link") else kind if kind in KINDS else "other",
        url=url,
        at_ms=created_ms(message),
        is_read=own and bool(message.get("isRead", message.get("is_read", False)) or message.get("read")),
        is_unread=unread and not is_system(message),
    )


def web_address(value: object) -> str | None:
    """
    Return an address that is safe to be a link.
    """
    if not isinstance(value, str) or not value.isprintable():
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    return value if parts.scheme in ("http", "https") and parts.netloc else None


def _name(body: Message, user_id: str) -> str | None:
    users = body.get("users")
    for user in users if isinstance(users, list) else []:
        one = mapping(user)
        if str(one.get("id", "")) != user_id and (name := _text(one.get("name"))):
            return name
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
