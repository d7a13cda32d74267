"""
The event n8n receives (design section 7), made from Avito's webhook and what was looked up for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from common.avito.messages import image_sizes, largest, readable
from forwarder.chat import Chat
from forwarder.filters import Direction
from forwarder.webhook import Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """
    What the webhook does not say.

    `sequence` is the entry id, `chat_id` and `message_id` those of the entry, used where the webhook has none;
    `received_ms` serves as time where it has none either. `direction` None leaves `meta.direction` out.
    `recovered`: the message was found in the chat, no webhook came.
    """

    user_id: str
    sequence: str
    message_id: str
    chat_id: str
    received_ms: int
    zone: tzinfo
    chat: Chat | None = None
    voice_url: str | None = None
    direction: Direction | None = None
    recovered: bool = False


def normalise(webhook: Webhook, around: Surroundings) -> dict[str, object]:
    """
    Return n8n's event. Never raises, whatever the webhook looks like; unknown types keep their content in `meta.raw`.
    """
    chat = around.chat
    kind = webhook.kind
    created_s = webhook.created_s if webhook.created_s is not None else around.received_ms / 1000
    occurred_at = datetime.fromtimestamp(created_s, UTC)
    image = largest(image_sizes(webhook.value))
    chat_id = webhook.chat_id or around.chat_id or None
    meta: dict[str, object] = {
        "external_message_id": webhook.message_id or around.message_id,
        "ad_id": webhook.item_id,
        "original_media_type": kind,
        "ad_channel": "avito",
        "chat_type": webhook.chat_type,
        "user_id": around.user_id,
        "webhook_id": webhook.id,
        "webhook_timestamp": webhook.timestamp,
        "occurred_at": occurred_at.isoformat(timespec="seconds"),
        "sequence": around.sequence,
        "ad": None,
        "raw": webhook.raw,
    }
    if chat is not None and chat.ad is not None:
        meta["ad"] = {"title": chat.ad.title, "url": chat.ad.url, "price": chat.ad.price}
    if around.direction is not None:
        meta["direction"] = around.direction
    if around.recovered:
        meta["recovered"] = True
    return {
        "channel": "avito",
        "external_user_id": webhook.author_id,
        "external_chat_id": chat_id,
        "text": readable(webhook.content),
        "timestamp": occurred_at.astimezone(around.zone).replace(tzinfo=None).isoformat(timespec="seconds"),
        "client_name": chat.client_name(around.user_id, webhook.author_id) if chat is not None else None,
        "client_phone": None,
        "client_email": None,
        "user_id": around.user_id,
        "media": {
            "has_voice": kind == "voice",
            "voice_url": around.voice_url,
            "voice_transcribed_text": None,
            "has_images": image is not None,
            "images": [{"url": image}] if image is not None else [],
            "has_video": kind == "video",
            "videos": [],
            "has_document": kind == "file",
        },
        "meta": meta,
        "prefilled_data": {"model": None, "parts_owner": None},
    }


def encode(event: dict[str, object]) -> str:
    """
    Return the event as JSON that can be sent as UTF-8: half a surrogate pair, which Avito may send, is kept escaped.
    """
    written = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return written if written.isascii() or _is_utf8(written) else json.dumps(event, separators=(",", ":"))


def _is_utf8(written: str) -> bool:
    try:
        written.encode()
    except UnicodeEncodeError:
        return False
    return True
