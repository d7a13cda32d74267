"""
What requests may contain. Types are strict: a number where a text belongs is an error, as is an unknown field.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from common.avito.calls import TEXT_CHARS
from common.avito.messages import link_text

SPLIT_CHARS: Final = 100_000
BULK_MESSAGES: Final = 10_000
URL_CHARS: Final = 2048
YEAR_S: Final = 366 * 24 * 3600.0
EARLIEST_S: Final = 946_684_800.0  # the year 2000: below, somebody sends something else than unix seconds
LATEST_S: Final = 32_503_680_000.0  # the year 3000: above, somebody sends milliseconds

Priority = Literal["interactive", "bulk"]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "This must not be blank.")
    return text


def _http_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or not text.isprintable() or " " in text:
        raise PydanticCustomError("url", "This must be an address that begins with http:// or https://.")
    return text


def unix_s(moment: object) -> float:
    """
    Read a moment as unix seconds: a number of them, or ISO 8601 text with an offset from UTC.
    """
    if isinstance(moment, bool) or not isinstance(moment, int | float | str):
        raise PydanticCustomError("moment", "This must be ISO 8601 with an offset, or unix seconds.")
    if isinstance(moment, str):
        try:
            parsed = datetime.fromisoformat(moment)
        except ValueError:
            raise PydanticCustomError("moment", "This must be ISO 8601 with an offset, or unix seconds.") from None
        if parsed.tzinfo is None:
            raise PydanticCustomError("moment", "This needs an offset from UTC, such as Z or +03:00.")
        seconds = parsed.timestamp()
    else:
        # A whole number of JSON may be too large for a float.
        seconds = float(moment) if abs(moment) < LATEST_S else math.inf
    if not EARLIEST_S <= seconds <= LATEST_S:
        raise PydanticCustomError("moment", "This is not a moment between the years 2000 and 3000; seconds are meant.")
    return seconds


def _moment(value: object) -> object:
    if value is not None:
        unix_s(value)
    return value


def _no_control(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("control", "This must not contain control characters.")
    return text


def _identifier(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text or text in (".", ".."):
        raise PydanticCustomError("identifier", "This must be an id as Avito gives it, without spaces.")
    return text


Identifier = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_identifier)]
Text = Annotated[str, Field(min_length=1, max_length=TEXT_CHARS), AfterValidator(_not_blank)]
HttpUrl = Annotated[str, Field(max_length=URL_CHARS), AfterValidator(_http_url)]
IdempotencyKey = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_no_control)]
# The validator runs before the type's own check, whose errors would name the members of the union.
Moment = Annotated[str | int | float, BeforeValidator(_moment)]


class Body(BaseModel):
    """
    Base of all request bodies.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Options(Body):
    """
    What every send may add.
    """

    priority: Annotated[
        Priority | None, Field(description="`bulk` waits for what interactive messages leave. Default: interactive.")
    ] = None
    send_at: Annotated[
        Moment | None, Field(description="Not before this moment: ISO 8601 with an offset, or unix seconds.")
    ] = None
    expires_in: Annotated[
        float | None,
        Field(gt=0, le=YEAR_S, description="Seconds after which it is not sent any more, from `send_at` or now on."),
    ] = None
    callback_url: Annotated[
        HttpUrl | None,
        Field(description="Where the outcome is posted. Allowed: n8n's own origin and the hosts in CALLBACK_HOSTS."),
    ] = None
    idempotency_key: Annotated[IdempotencyKey | None, Field(description="The same as the header Idempotency-Key.")] = (
        None
    )

    @field_validator("send_at")
    @classmethod
    def _is_near(cls, value: Moment | None) -> Moment | None:
        if value is not None and unix_s(value) > datetime.now().astimezone().timestamp() + YEAR_S:
            raise PydanticCustomError("moment", "This must be at most a year ahead.")
        return value


class SendText(Options):
    """
    A text message.
    """

    split: Annotated[
        bool, Field(description="Send a text of more than 1000 characters in parts, in order, instead of refusing it.")
    ] = False
    chat_id: Identifier
    text: Annotated[
        str,
        Field(min_length=1, max_length=SPLIT_CHARS, description="At most 1000 characters, unless `split` is true."),
        AfterValidator(_not_blank),
    ]

    @field_validator("text")
    @classmethod
    def _fits(cls, value: str, info: ValidationInfo) -> str:
        if len(value) > TEXT_CHARS and not info.data.get("split"):
            message = 'This has {length} characters; Avito takes {limit}. Send "split": true to send it in parts.'
            raise PydanticCustomError("text_too_long", message, {"length": len(value), "limit": TEXT_CHARS})
        return value


class SendLink(Options):
    """
    A text message with a link.
    """

    chat_id: Identifier
    url: HttpUrl
    text: Annotated[Text | None, Field(description="What stands before the link.")] = None

    @model_validator(mode="after")
    def _fits(self) -> SendLink:
        if len(link_text(self.url, self.text)) > TEXT_CHARS:
            message = "Text and link together have more than {limit} characters."
            field = "url" if self.text is None else "text"
            raise PydanticCustomError("text_too_long", message, {"limit": TEXT_CHARS, "field": field})
        return self


class Resolve(Body):
    """
    What became of a command of unknown outcome, as a person has seen it in Avito's app.
    """

    outcome: Annotated[
        Literal["sent", "not_sent"], Field(description="`sent`: it is in the chat. `not_sent`: send it again.")
    ]
    message_id: Annotated[Identifier | None, Field(description="The message in the chat, for `sent`.")] = None

    @model_validator(mode="after")
    def _names_what_is_there(self) -> Resolve:
        if self.message_id is not None and self.outcome != "sent":
            message = "Only what was sent has a message_id."
            raise PydanticCustomError("message_id", message, {"field": "message_id"})
        return self


class SendImage(Options):
    """
    An image, by its address or by an image id of Avito's.
    """

    chat_id: Identifier
    image_url: Annotated[HttpUrl | None, Field(description="Fetched by the gateway. JPEG, HEIC, GIF, BMP, PNG.")] = None
    image_id: Annotated[Identifier | None, Field(description="Of an image uploaded to Avito before.")] = None

    @model_validator(mode="after")
    def _has_one_source(self) -> SendImage:
        if (self.image_url is None) == (self.image_id is None):
            message = "Give exactly one of image_url, image_id, or a file as multipart/form-data."
            raise PydanticCustomError("image_source", message, {"field": "image_url"})
        return self


class SendFile(Options):
    """
    The fields of a form that come with an uploaded image.
    """

    chat_id: Identifier


class BulkMessage(Options):
    """
    One message of many.
    """

    chat_id: Identifier
    text: Text


class SendBulk(Options):
    """
    Up to 10 000 messages; the options stand for each message that does not say otherwise.
    """

    messages: Annotated[list[BulkMessage], Field(min_length=1, max_length=BULK_MESSAGES)]


class Subscribe(Body):
    """
    Where Avito shall send its webhooks.
    """

    url: Annotated[HttpUrl, Field(description="The gateway's public address with /webhook/avito.")]
    version: Annotated[str | int | None, Field(description="Avito knows only version 3 now.")] = None


class Unsubscribe(Body):
    """
    Which webhook address to remove.
    """

    url: Annotated[HttpUrl | None, Field(description="Without it all are removed.")] = None
