"""
What a person would read in a message, from the fields of its entry or dead letter: for searches, never for logs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import msgspec

from common.avito.messages import link_text, mapping, readable

# As much as a message of ours may have.
KEPT_CHARS: Final = 1000

_JSON: Final = msgspec.json.Decoder()


def message_text(fields: Mapping[str, str]) -> str:
    """
    Return up to 1000 characters; an empty text where it is not made of words or cannot be read.
    """
    kind, body = fields.get("kind"), mapping(_read(fields.get("body", "")))
    match kind:
        case "text":
            text = body.get("text")
        case "link":
            url, said = body.get("url"), body.get("text")
            text = link_text(str(url or ""), said if isinstance(said, str) else None)
        case "image":
            text = body.get("image_url")
        case "message" | "unknown_account":
            text = readable(mapping(mapping(mapping(body.get("payload")).get("value")).get("content")))
        case _:
            text = None
    # Half a surrogate pair, which Avito may send, is no text that Redis takes.
    return text[:KEPT_CHARS].encode(errors="replace").decode() if isinstance(text, str) else ""


def _read(body: str) -> object:
    try:
        return _JSON.decode(body)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def laid_out(text: str) -> str:
    """
    Return JSON on lines of its own for a person to read; what is no JSON as it is.
    """
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except ValueError:
        return text
