"""
Reading Avito's chats and messages, whatever their shape (facts, section 9).

Nothing here raises on odd data: what is missing is None or empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SYSTEM_AUTHORS: Final = (0, 1)
# Up to the year 9000, so that no time zone leads out of what `datetime` can say.
LAST_MOMENT_S: Final = 221_845_392_000

Message = Mapping[str, object]


def messages_of(body: object) -> list[Message]:
    """
    Return the messages of a list: an object with `messages`, as it is live, or the bare array of the specification.
    """
    return _listed(body, "messages")


def chats_of(body: object) -> list[Message]:
    """
    Return the chats of a list, in either shape.
    """
    return _listed(body, "chats")


def is_list(body: object, name: str) -> bool:
    """
    Say whether this is a list of `messages` or `chats` at all, in either shape. What is none says nothing of the chat.
    """
    return isinstance(mapping(body).get(name) if isinstance(body, Mapping) else body, list)


def has_more(body: object, *, limit: int | None = None) -> bool:
    """
    Say whether there is a next page; without `meta.has_more` a page of `limit` items has one.
    """
    told = mapping(mapping(body).get("meta")).get("has_more")
    if isinstance(told, bool):
        return told
    return limit is not None and max(len(messages_of(body)), len(chats_of(body))) >= limit


def is_own(message: Message, user_id: str) -> bool:
    """
    Say whether the account wrote it itself, by API, app or automatic answer.
    """
    author = message.get("author_id")
    return author is not None and str(author) == user_id


def is_system(message: Message) -> bool:
    """
    Say whether Avito wrote it.
    """
    return message.get("type") == "system" or message.get("author_id") in SYSTEM_AUTHORS


def message_id(body: object) -> str | None:
    """
    Return the id of a message or of the answer to a send.
    """
    value = mapping(body).get("id")
    return value if isinstance(value, str) and value else None


def created_ms(message: Message) -> int | None:
    """
    Return when it was created, unix ms by Avito's clock, which counts whole seconds; None for what is no time.
    """
    created = message.get("created")
    if isinstance(created, bool) or not isinstance(created, int | float):
        return None
    return round(created * 1000) if 0 < created < LAST_MOMENT_S else None


def texts_of(message: Message) -> tuple[str, ...]:
    """
    Return every text a sent text may have become: the text itself, or text and address of a link (sample 10).
    """
    content = mapping(message.get("content"))
    link = mapping(content.get("link"))
    found = (content.get("text"), link.get("text"), link.get("url"))
    return tuple(dict.fromkeys(text for text in found if isinstance(text, str) and text))


def readable(content: Message) -> str:
    """
    Return what a person would read in a message's content; an empty text where it is not made of words.

    A link is its text, else its address; an item its title, else its address; a location its description.
    """
    link, item, location = (mapping(content.get(part)) for part in ("link", "item", "location"))
    candidates = (
        content.get("text"),
        link.get("text"),
        link.get("url"),
        item.get("title"),
        item.get("item_url"),
        item.get("url"),
        location.get("text"),
        location.get("title"),
    )
    return next((text for text in candidates if isinstance(text, str) and text), "")


def image_sizes(message: Message) -> dict[str, str]:
    """
    Return an image's links by size, `{}` if it has none.
    """
    return sizes_of(mapping(mapping(message.get("content")).get("image")).get("sizes"))


def sizes_of(value: object) -> dict[str, str]:
    """
    Return the links by size as messages and the answer to an upload have them.
    """
    return {size: url for size, url in mapping(value).items() if isinstance(url, str)}


def largest(sizes: Mapping[str, str]) -> str | None:
    """
    Return the link of the largest size (`1280x960` before `140x105`).
    """
    return sizes[max(sizes, key=_area)] if sizes else None


def uploaded_image_id(body: object) -> str | None:
    """
    Return the image id of an upload's answer: its only key.
    """
    return next((key for key in mapping(body) if key), None)


def link_text(url: str, text: str | None) -> str:
    """
    Return the text message a link is sent as: Avito has no call for links.
    """
    return f"{text}\n{url}" if text else url


def mapping(value: object) -> Mapping[str, object]:
    """
    Return `value` if it is a JSON object, else an empty one.
    """
    return value if isinstance(value, Mapping) else {}


def _listed(body: object, name: str) -> list[Message]:
    found = mapping(body).get(name) if isinstance(body, Mapping) else body
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _area(size: str) -> int:
    width, _, height = size.partition("x")
    return int(width) * int(height) if width.isdecimal() and height.isdecimal() else 0
