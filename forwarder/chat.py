"""
What an event needs of a chat: who the customer is, and which ad it is about (facts, section 9).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from common.avito.messages import mapping
from forwarder.webhook import id_of, text_of


@dataclass(frozen=True, slots=True)
class Ad:
    """
    The ad a chat is about. `price` is Avito's text, with its no-break spaces.
    """

    title: str | None
    url: str | None
    price: str | None


@dataclass(frozen=True, slots=True)
class Chat:
    """
    The people of a chat (id -> name) and its ad, if it has one.
    """

    names: Mapping[str, str]
    ad: Ad | None = None

    def client_name(self, user_id: str, author_id: str | None) -> str | None:
        """
        Return the customer's name: the author's unless that is the account `user_id` itself, else the first other's.
        """
        if author_id is not None and author_id != user_id and author_id in self.names:
            return self.names[author_id]
        return next((name for person, name in self.names.items() if person != user_id), None)


def of(chat: Mapping[str, object]) -> Chat:
    """
    Read a chat as Avito gives it, or as `to_json` keeps it. Never raises: everything in a chat may be missing.
    """
    users = chat.get("users")
    names: dict[str, str] = {}
    for user in users if isinstance(users, list) else ():
        person, name = id_of(mapping(user).get("id")), text_of(mapping(user).get("name"))
        if person and name:
            names[person] = name
    return Chat(names=names, ad=_ad(mapping(chat.get("context"))))


def to_json(chat: Chat) -> str:
    """
    Return the part of Avito's chat that is kept in Redis, in Avito's shape.
    """
    kept: dict[str, object] = {"users": [{"id": person, "name": name} for person, name in chat.names.items()]}
    if chat.ad is not None:
        value = {"title": chat.ad.title, "url": chat.ad.url, "price_string": chat.ad.price}
        kept["context"] = {"type": "item", "value": value}
    return json.dumps(kept)


def from_json(text: str) -> Chat | None:
    """
    Read what `to_json` wrote; None when somebody else wrote it.
    """
    try:
        kept = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return of(kept) if isinstance(kept, dict) else None


def _ad(context: Mapping[str, object]) -> Ad | None:
    # Only chats by an ad have one; elsewhere the context is missing, empty or about something else.
    if context.get("type", "item") != "item":
        return None
    value = mapping(context.get("value"))
    ad = Ad(title=text_of(value.get("title")), url=text_of(value.get("url")), price=text_of(value.get("price_string")))
    return ad if ad.title or ad.url or ad.price else None
