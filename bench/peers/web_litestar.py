"""
Litestar with one XADD a request, bodies read by msgspec: `python web_litestar.py PORT REDIS_URL STREAM`.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from litestar import Litestar, Request, get, post
from litestar.exceptions import NotAuthorizedException, NotFoundException
from litestar.params import Parameter
from msgspec import Meta, Struct
from web import API_KEY, KEPT_S, SECRET, Place, serve

place = Place()


class Value(Struct):
    """
    The message of a webhook.
    """

    id: str
    chat_id: str
    user_id: int
    author_id: int
    created: int
    type: str
    content: dict[str, object]


class Payload(Struct):
    """
    What a webhook is about.
    """

    type: str
    value: Value


class Envelope(Struct):
    """
    A webhook.
    """

    id: str
    version: str
    timestamp: int
    payload: Payload


class Send(Struct):
    """
    A text to send.
    """

    chat_id: Annotated[str, Meta(min_length=1, max_length=200)]
    text: Annotated[str, Meta(min_length=1, max_length=1000)]


class Bulk(Struct):
    """
    Many texts.
    """

    messages: Annotated[list[Send], Meta(min_length=1, max_length=10_000)]


@get("/health/live")
async def live() -> dict[str, bool]:
    """
    Answer once it runs.
    """
    return {"ok": True}


@post("/webhook/avito/{secret:str}", status_code=200)
async def webhook(secret: str, data: Envelope, request: Request[Any, Any, Any]) -> dict[str, bool]:
    """
    Store a webhook.
    """
    if secret != SECRET:
        raise NotFoundException
    value = data.payload.value
    body = await request.body()
    await place.redis.xadd(place.stream, {"id": value.id, "chat_id": value.chat_id, "body": body})
    return {"ok": True}


@post("/api/messages/send", status_code=202)
async def send(
    data: Send,
    api_key: Annotated[str, Parameter(header="X-API-Key")],
    idempotency_key: Annotated[str | None, Parameter(header="Idempotency-Key")] = None,
) -> dict[str, object]:
    """
    Store a text, once for each key.
    """
    if api_key != API_KEY:
        raise NotAuthorizedException
    command_id = str(uuid.uuid4())
    if idempotency_key is not None:
        key = f"idempotency:{idempotency_key}"
        if not await place.redis.set(key, command_id, nx=True, ex=KEPT_S):
            return {"success": True, "command_id": await place.redis.get(key)}
    await place.redis.xadd(place.stream, {"id": command_id, "chat_id": data.chat_id, "text": data.text})
    return {"success": True, "command_id": command_id}


@post("/api/messages/send/bulk", status_code=202)
async def bulk(data: Bulk, api_key: Annotated[str, Parameter(header="X-API-Key")]) -> dict[str, object]:
    """
    Store many texts through one pipeline.
    """
    if api_key != API_KEY:
        raise NotAuthorizedException
    pipe = place.redis.pipeline(transaction=False)
    ids = [str(uuid.uuid4()) for _ in data.messages]
    for command_id, message in zip(ids, data.messages, strict=True):
        pipe.xadd(place.stream, {"id": command_id, "chat_id": message.chat_id, "text": message.text})
    await pipe.execute()
    return {"success": True, "commands": ids}


if __name__ == "__main__":
    app = Litestar([live, webhook, send, bulk], openapi_config=None, request_max_body_size=24 * 1024 * 1024)
    serve(app, place)
