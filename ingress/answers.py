"""
The shapes of the answers that are not errors, each beginning with `success: true`, and how they are given.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from litestar import Response
from litestar.serialization import encode_json
from litestar.types import ASGIApp, Receive, Scope, Send

Shape = TypeVar("Shape")


class Answer(Response[Shape]):
    """
    An answer in JSON.

    It is written as it is: cookies, encoders and media types, which Litestar's own looks for in each layer, cost a
    tenth of a send.
    """

    def to_asgi_response(self, *_: object, **__: object) -> ASGIApp:  # type: ignore[override]
        """
        Return what answers a request.
        """
        body = encode_json(self.content)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        headers += [(name.encode(), value.encode()) for name, value in self.headers.items()]

        async def answer(_: Scope, __: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": self.status_code or 200, "headers": headers})
            await send({"type": "http.response.body", "body": body, "more_body": False})

        return answer


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where a command can be asked for (GET) and cancelled (DELETE).
    """

    self: str


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """
    A command is stored. It will be sent, or its failure recorded.
    """

    success: bool = True
    command_id: str
    status: str
    chat_id: str
    message: str
    eta_seconds: float | None
    links: Links


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """
    One of several commands made by one request.
    """

    command_id: str
    chat_id: str
    status: str
    links: Links


class AcceptedParts(msgspec.Struct, frozen=True, kw_only=True):
    """
    A long text is stored as several commands; the fields beside `commands` are those of the last one.
    """

    success: bool = True
    command_id: str
    status: str
    chat_id: str
    message: str
    eta_seconds: float | None
    links: Links
    batch_id: str
    commands: list[Part]


class AcceptedBulk(msgspec.Struct, frozen=True, kw_only=True):
    """
    All messages of a bulk request are stored: `accepted` by this request or, with its key, by an earlier one.
    """

    success: bool = True
    total: int
    accepted: int
    batch_id: str
    message: str
    eta_seconds: float | None
    commands: list[Part]


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """
    The request waited, and Avito has taken the command. `response` is Avito's answer.
    """

    success: bool = True
    command_id: str
    status: str
    chat_id: str
    message: str
    message_id: str | None
    response: object
    links: Links


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """
    The command was taken back before it was sent.
    """

    success: bool = True
    command_id: str
    status: str
    message: str


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """
    A command of unknown outcome was settled by hand, or is sent again.
    """

    success: bool = True
    command_id: str
    status: str
    message: str
    links: Links


def links(command_id: str) -> Links:
    """
    Return a command's addresses.
    """
    return Links(self=f"/api/commands/{command_id}")
