"""
What came back from an attempt to deliver: seen on the wire, not yet judged.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from common.http.headers import date_ms, retry_after_s

_SAID_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Answered:
    """
    A status came. `said` is the receiver's own error message, shortened: for dead letters, never for logs.
    """

    status: int
    retry_after_s: float | None = None
    not_registered: bool = False
    said: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Unsent:
    """
    No connection, so nothing went out.
    """

    error: str


@dataclass(frozen=True, slots=True)
class Late:
    """
    Our deadline passed before a status came; the request may have arrived.
    """

    timeout_s: float


@dataclass(frozen=True, slots=True)
class CutOff:
    """
    The connection was lost after the request went out, at least in part, and before a status came.
    """

    error: str


@dataclass(frozen=True, slots=True)
class Forbidden:
    """
    The address is not one that we may call.
    """

    error: str


Reply = Answered | Unsent | Late | CutOff | Forbidden


def short(reply: Reply) -> str:
    """
    Name a reply: the class of its status (`2xx`), or what came instead.
    """
    match reply:
        case Answered(status=status):
            return f"{status // 100}xx"
        case Unsent():
            return "no_connection"
        case Late():
            return "timeout"
        case CutOff():
            return "cut_off"
        case Forbidden():
            return "forbidden"


def read_answer(status: int, headers: Mapping[str, str], beginning: bytes) -> Answered:
    """
    Take what matters from an answer; `beginning` is the first part of its body, which success does not need.
    """
    if 200 <= status < 300:
        return Answered(status)
    body = beginning.decode(errors="replace")
    answered_ms = date_ms(headers.get("date")) or round(time.time() * 1000)
    return Answered(
        status,
        retry_after_s=retry_after_s(headers.get("retry-after"), answered_ms),
        not_registered="not registered" in body.lower(),
        said=_message(body),
    )


def _message(body: str) -> str:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    message = found.get("message") if isinstance(found, dict) else None
    return " ".join(message.split())[:_SAID_CHARS] if isinstance(message, str) else ""
