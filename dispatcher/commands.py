"""
What an entry asks for, as a value; entries may have been added by hand, so nothing is taken for granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from common.avito.messages import link_text


@dataclass(frozen=True, slots=True)
class SendText:
    """
    Send a text; a link is a text, too.
    """

    chat_id: str
    text: str


@dataclass(frozen=True, slots=True)
class SendImage:
    """
    Send an image: one that Avito has already (`image_id`), or one to be fetched and uploaded (`image_url`).
    """

    chat_id: str
    image_id: str | None = None
    image_url: str | None = None


@dataclass(frozen=True, slots=True)
class MarkRead:
    """
    Mark a chat as read.
    """

    chat_id: str


@dataclass(frozen=True, slots=True)
class DeleteMessage:
    """
    Delete one of our messages.
    """

    chat_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """
    Not a command: which field, and what is wrong with it.
    """

    field: str
    problem: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


Send = SendText | SendImage
Command = Send | MarkRead | DeleteMessage


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _TextBody(_Body):
    text: str = Field(min_length=1)


class _LinkBody(_Body):
    url: str = Field(min_length=1)
    text: str | None = None


class _ImageBody(_Body):
    image_id: str | None = Field(default=None, min_length=1)
    image_url: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _has_one(self) -> _ImageBody:
        if (self.image_id is None) == (self.image_url is None):
            raise ValueError("needed is one of image_id and image_url")
        return self


class _DeleteBody(_Body):
    message_id: str = Field(min_length=1)


KINDS: Final[Mapping[str, type[_Body]]] = {
    "text": _TextBody,
    "link": _LinkBody,
    "image": _ImageBody,
    "read": _Body,
    "delete": _DeleteBody,
}


def parse(kind: str, chat_id: str, body: str) -> Command | Malformed:
    """
    Read a command from an entry's fields.
    """
    model = KINDS.get(kind)
    if model is None:
        return Malformed("kind", f"{kind!r} is none of {', '.join(KINDS)}")
    if not chat_id:
        return Malformed("chat_id", "is missing")
    try:
        found = model.model_validate_json(body or "{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return Malformed(".".join(("body", *map(str, first["loc"]))), first["msg"])
    match found:
        case _TextBody(text=text):
            return SendText(chat_id, text)
        case _LinkBody(url=url, text=text):
            return SendText(chat_id, link_text(url, text))
        case _ImageBody(image_id=image_id, image_url=image_url):
            return SendImage(chat_id, image_id, image_url)
        case _DeleteBody(message_id=message_id):
            return DeleteMessage(chat_id, message_id)
        case _:
            return MarkRead(chat_id)
