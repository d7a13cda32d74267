"""
Reading Avito's webhooks: what came, for which account, and under which id it is kept. Pure.

Nothing here raises on odd data: what Avito sends tomorrow must not be lost today (facts, section 6).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from common.avito.messages import created_ms, is_own, mapping
from common.queue.receipts import fingerprint

MESSAGE: Final = "message"

_ID_CHARS: Final = 128
_DECODE: Final = msgspec.json.Decoder().decode


class NotJsonError(ValueError):
    """
    The body is not a JSON object.
    """


class Envelope(msgspec.Struct, frozen=True):
    """
    A webhook as far as the gateway looks into it; `user_id` and `kind` are empty when it names none.
    """

    kind: str
    user_id: str
    message_id: str
    chat_id: str
    own: bool
    mark: str
    created_ms: int | None
    body: str


@dataclass(frozen=True, slots=True)
class Probe:
    """
    The empty object with which Avito tests an address.
    """


def read(raw: bytes) -> Envelope | Probe:
    """
    Read a webhook's body.

    A message without an id gets that of the envelope, else a hash of the body: repeated, it is still one message.

    Raises:

        NotJsonError: the body is not a JSON object.

    """
    document = _parse(raw)
    if not document:
        return Probe()
    payload = mapping(document.get("payload"))
    value = mapping(payload.get("value"))
    kind = payload.get("type")
    user_id = _writable(_text(value.get("user_id")))
    own = bool(user_id) and is_own(value, user_id)
    return Envelope(
        # Without a type it is a message if it looks like one.
        kind=_writable(kind) if isinstance(kind, str) else MESSAGE if "content" in value else "",
        user_id=user_id,
        message_id=_id(value.get("id")) or _id(document.get("id")) or hashlib.sha256(raw).hexdigest()[:32],
        chat_id=_id(value.get("chat_id")),
        own=own,
        mark=_mark(value) if own else "",
        created_ms=created_ms(value) if own else None,
        body=raw.decode(),
    )


def _parse(raw: bytes) -> dict[str, Any]:
    """
    Parse JSON quickly; what msgspec refuses gets a second chance: half of a surrogate pair, as of an emoji cut in two,
    is no reason to lose a message.
    """
    try:
        document = _DECODE(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Bytes that are no UTF-8 inside a text are not a DecodeError to msgspec.
        try:
            document = json.loads(raw.decode())
        except (ValueError, RecursionError) as error:
            raise NotJsonError("not JSON") from error
    if not isinstance(document, dict):
        raise NotJsonError("not a JSON object")
    return document


def _text(value: object) -> str:
    if isinstance(value, bool):
        return ""
    return str(value) if isinstance(value, int | str) else ""


def _id(value: object) -> str:
    """
    Return an id that can be part of a key's name, or nothing.
    """
    text = _text(value)
    plain = len(text) <= _ID_CHARS and text.isascii() and text.isprintable() and " " not in text
    return text if plain and text not in (".", "..") else ""


def _writable(text: str) -> str:
    """
    Return a text that a log or a key can take: half of a surrogate pair becomes a question mark.
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _mark(value: Any) -> str:
    try:
        return fingerprint(_text(value.get("type")), value.get("content"))
    except UnicodeEncodeError:
        # Half of a surrogate pair: no text of ours, which are checked when they are accepted.
        return ""
