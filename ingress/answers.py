"""
The shapes of the answers that are not errors; each begins with `success: true`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """
    Where a command can be asked for (GET) and cancelled (DELETE).
    """

    self: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """
    One of several commands made by one request.
    """

    command_id: str
    chat_id: str
    status: str
    links: Links


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedParts:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedBulk:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """
    The command was taken back before it was sent.
    """

    success: bool = True
    command_id: str
    status: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
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
