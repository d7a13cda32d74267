"""
The requests that the load sends: whole HTTP/1.1 requests, made before the clock runs. Pure.
"""

from __future__ import annotations

import json
from typing import Final, Literal

CHATS: Final = 500
BULK: Final = 10_000
USER_ID: Final = "100000001"
SECRET: Final = "bench-webhook-secret"
API_KEY: Final = "bench-api-key"

Kind = Literal["webhook", "send", "send with a key", "bulk"]

# The text of the address that follows the host, and the headers of its own.
_WHERE: Final[dict[Kind, tuple[str, str]]] = {
    "webhook": (f"/webhook/avito/{SECRET}", ""),
    "send": ("/api/messages/send", f"X-API-Key: {API_KEY}\r\n"),
    "send with a key": ("/api/messages/send", f"X-API-Key: {API_KEY}\r\nIdempotency-Key: {{tag}}-{{number}}\r\n"),
    "bulk": ("/api/messages/send/bulk", f"X-API-Key: {API_KEY}\r\n"),
}


def chat(number: int) -> str:
    """
    Return the chat of the n-th message: one after the other, round and round.
    """
    return f"u2i-bench{number % CHATS:04}AbCdEfGhIjKl"


def webhook_body(tag: str, number: int) -> bytes:
    """
    Return a webhook as Avito sends it, with a message id that no other number or tag has.
    """
    value = {
        "id": f"{tag}{number:016x}",
        "chat_id": chat(number),
        "user_id": int(USER_ID),
        "author_id": 121000002,
        "created": 1754916284,
        "type": "text",
        "chat_type": "u2i",
        "content": {"text": f"Good day, is it still for sale? ({number})"},
        "item_id": 7463700001,
        "published_at": "2025-08-11T12:44:44Z",
    }
    envelope = {
        "id": f"{tag}-{number:08x}-envelope",
        "version": "v3.0.0",
        "timestamp": 1754916287,
        "payload": {"type": "message", "value": value},
    }
    return json.dumps(envelope).encode()


def send_body(number: int) -> bytes:
    """
    Return the body of one text to send.
    """
    return json.dumps(_send(number)).encode()


def bulk_body(number: int) -> bytes:
    """
    Return the body of one bulk request.
    """
    first = number * BULK
    return json.dumps({"messages": [_send(message) for message in range(first, first + BULK)]}).encode()


def _send(number: int) -> dict[str, str]:
    return {"chat_id": chat(number), "text": f"Yes, come and see it. ({number})"}


def request(kind: Kind, host: str, tag: str, number: int) -> bytes:
    """
    Return the n-th request of a run, ready for the socket.
    """
    path, own = _WHERE[kind]
    match kind:
        case "webhook":
            body = webhook_body(tag, number)
        case "send" | "send with a key":
            body = send_body(number)
        case "bulk":
            body = bulk_body(number)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{own.format(tag=tag, number=number)}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
