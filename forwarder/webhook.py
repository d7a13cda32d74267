"""
Avito's webhook, read leniently (facts, section 6).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from common.avito.messages import LAST_MOMENT_S, mapping


@dataclass(frozen=True, slots=True)
class Webhook:
    """
    What a webhook says; what is missing or of an odd type is None or empty.

    `value` is the message, `raw` the same as it came: `payload.value`, or the whole webhook if it has none.
    `created_s` is when the message was written, else when the webhook was made; unix seconds.
    """

    id: str | None
    timestamp: int | float | None
    value: Mapping[str, object]
    raw: object
    message_id: str | None
    chat_id: str | None
    author_id: str | None
    item_id: str | None
    kind: str
    chat_type: str | None
    content: Mapping[str, object]
    created_s: int | float | None

    @property
    def voice_id(self) -> str | None:
        """
        The id of the voice message in it.
        """
        return text_of(mapping(self.content.get("voice")).get("voice_id"))


def read(body: str) -> Webhook | None:
    """
    Read a webhook's JSON; None when it is not a JSON object. Nothing else is refused.

    Numbers that JSON cannot carry on (NaN, beyond the range of a double) are read as null.
    """
    try:
        found = json.loads(body, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return of(found) if isinstance(found, dict) else None


def of(webhook: Mapping[str, object]) -> Webhook:
    """
    Take what is needed from a webhook.
    """
    payload = mapping(webhook.get("payload"))
    value = mapping(payload.get("value"))
    timestamp = webhook.get("timestamp")
    timestamp = timestamp if isinstance(timestamp, int | float) and not isinstance(timestamp, bool) else None
    created_s = _moment(value.get("created"))
    return Webhook(
        id=id_of(webhook.get("id")),
        timestamp=timestamp,
        value=value,
        raw=payload.get("value", webhook) if payload else webhook,
        message_id=id_of(value.get("id")),
        chat_id=id_of(value.get("chat_id")),
        author_id=id_of(value.get("author_id")),
        item_id=id_of(value.get("item_id")),
        kind=text_of(value.get("type")) or _other_than_message(payload) or "unknown",
        chat_type=text_of(value.get("chat_type")),
        content=mapping(value.get("content")),
        created_s=_moment(timestamp) if created_s is None else created_s,
    )


def id_of(value: object) -> str | None:
    """
    Return an id, which may be a text or a number, as text.
    """
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    return str(value) if isinstance(value, int) else None


def text_of(value: object) -> str | None:
    """
    Return a text that is not empty.
    """
    return value if isinstance(value, str) and value else None


def _other_than_message(payload: Mapping[str, object]) -> str | None:
    """
    Return the payload's own type, if Avito comes to send other things than messages.
    """
    kind = text_of(payload.get("type"))
    return kind if kind != "message" else None


def _moment(value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 < value < LAST_MOMENT_S else None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _no_number(_name: str) -> None:
    return None
