"""
The way of a webhook through everything that looks into it: the ingress reads it, the forwarder makes n8n's event of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from common.settings import Settings
from forwarder import filters, webhook
from forwarder.headers import Stamp, webhook_id
from forwarder.normalise import Surroundings, encode, normalise
from ingress.envelopes import Envelope, NotJsonError, Probe, read

FOLDER: Final = Path(__file__).parent
PAYLOADS: Final = FOLDER.parent / "payloads"
KEPT: Final = FOLDER / "kept"
"""
What was found, one file each: it stays tried in every run of the suite.
"""
USER_ID: Final = "100000001"
ENTRY_ID: Final = "1754916287000-0"
RECEIVED_MS: Final = 1_754_916_287_000
GOOD: Final = (
    b'{"payload":{"type":"message","value":{"id":"good","chat_id":"c","author_id":1,"content":{"text":"Hello!"}}}}'
)

_ZONE: Final = ZoneInfo("Europe/Moscow")
_STAMP: Final = Stamp(None, None)
_SETTINGS: Final = Settings()


def one(body: bytes) -> None:
    """
    Send one body through, and a good one behind it.
    """
    through(body)
    after = through(GOOD)
    assert after is not None
    assert "Hello!" == after["text"]


def through(body: bytes) -> dict[str, Any] | None:
    """
    Return what n8n would get for this body; None where the ingress answers 400, or there is nothing to deliver.
    """
    try:
        envelope = read(body)
    except NotJsonError:
        return None
    if isinstance(envelope, Probe):
        return None
    # Names of keys, fields of an entry, words of a log: all must be UTF-8.
    for part in (envelope.kind, envelope.user_id, envelope.message_id, envelope.chat_id, envelope.mark, envelope.body):
        part.encode()
    return _delivered(envelope)


def _delivered(envelope: Envelope) -> dict[str, Any] | None:
    message = webhook.read(envelope.body)
    if message is None:
        return None
    direction = filters.direction(message, USER_ID)
    filters.is_wanted(direction, _SETTINGS)
    around = Surroundings(
        user_id=USER_ID,
        sequence=ENTRY_ID,
        message_id=envelope.message_id,
        chat_id=envelope.chat_id,
        received_ms=RECEIVED_MS,
        zone=_ZONE,
        direction=direction,
    )
    written = encode(normalise(message, around))
    for value in _STAMP.headers(webhook_id(envelope.message_id, ENTRY_ID), 1, written).values():
        assert b"\r" not in value
        assert b"\n" not in value
    # n8n reads JSON as JavaScript does: no NaN.
    found: dict[str, Any] = json.loads(written.encode(), parse_constant=_no_number)
    assert isinstance(found["text"], str)
    return found


def _no_number(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def samples() -> Iterator[bytes]:
    """
    Yield the samples of Avito's webhooks and messages, one document each.
    """
    for path in sorted(PAYLOADS.glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        for document in found if isinstance(found, list) else [found]:
            yield json.dumps(document, ensure_ascii=False).encode()
            if isinstance(document, dict) and "content" in document:
                yield json.dumps({"payload": {"type": "message", "value": document}}).encode()


def kept() -> Iterator[bytes]:
    """
    Yield what was found before.
    """
    for path in sorted(KEPT.glob("[!.]*")):
        yield path.read_bytes()
