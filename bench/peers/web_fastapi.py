"""
FastAPI with one XADD a request: `python web_fastapi.py PORT REDIS_URL STREAM`.
"""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, Field
from web import API_KEY, KEPT_S, SECRET, Place, serve

place = Place()
app = FastAPI()


class Value(BaseModel):
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


class Payload(BaseModel):
    """
    What a webhook is about.
    """

    type: str
    value: Value


class Envelope(BaseModel):
    """
    A webhook.
    """

    id: str
    version: str
    timestamp: int
    payload: Payload


class Send(BaseModel):
    """
    A text to send.
    """

    chat_id: Annotated[str, Field(min_length=1, max_length=200)]
    text: Annotated[str, Field(min_length=1, max_length=1000)]


class Bulk(BaseModel):
    """
    Many texts.
    """

    messages: Annotated[list[Send], Field(min_length=1, max_length=10_000)]


@app.get("/health/live")
async def live() -> dict[str, bool]:
    """
    Answer once it runs.
    """
    return {"ok": True}


@app.post("/webhook/avito/{secret}")
async def webhook(secret: str, envelope: Envelope) -> dict[str, bool]:
    """
    Store a webhook.
    """
    if secret != SECRET:
        raise HTTPException(404)
    value = envelope.payload.value
    fields = {"id": value.id, "chat_id": value.chat_id, "body": envelope.model_dump_json()}
    await place.redis.xadd(place.stream, fields)
    return {"ok": True}


@app.post("/api/messages/send", status_code=202)
async def send(
    message: Send,
    x_api_key: Annotated[str, Header()],
    idempotency_key: Annotated[str | None, Header()] = None,
) -> dict[str, object]:
    """
    Store a text, once for each key.
    """
    if x_api_key != API_KEY:
        raise HTTPException(401)
    command_id = str(uuid.uuid4())
    if idempotency_key is not None:
        key = f"idempotency:{idempotency_key}"
        if not await place.redis.set(key, command_id, nx=True, ex=KEPT_S):
            return {"success": True, "command_id": await place.redis.get(key)}
    await place.redis.xadd(place.stream, {"id": command_id, "chat_id": message.chat_id, "text": message.text})
    return {"success": True, "command_id": command_id}


@app.post("/api/messages/send/bulk", status_code=202)
async def bulk(body: Bulk, x_api_key: Annotated[str, Header()]) -> dict[str, object]:
    """
    Store many texts through one pipeline.
    """
    if x_api_key != API_KEY:
        raise HTTPException(401)
    pipe = place.redis.pipeline(transaction=False)
    ids = [str(uuid.uuid4()) for _ in body.messages]
    for command_id, message in zip(ids, body.messages, strict=True):
        pipe.xadd(place.stream, {"id": command_id, "chat_id": message.chat_id, "text": message.text})
    await pipe.execute()
    return {"success": True, "commands": ids}


if __name__ == "__main__":
    serve(app, place)
