"""
Usage: what a gate holds at a moment, as `lua/shared/usage.lua` tells it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Hold:
    """
    Since when (unix ms) an operator holds the queue before a gate, by whom and why; the words are the operator's own.
    """

    since_ms: int
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Usage:
    """
    The gate as it is now; `limit` None means no rate, `hold` None that nobody holds it.
    """

    tokens_out: int
    limit: int | None
    slots_open: int
    max_connections: int
    paused_ms: int
    reason: str
    hold: Hold | None = None


def read_usage(reply: list[Any], limit: int | None, max_connections: int) -> Usage:
    """
    Read what `lua/shared/usage.lua` replies.
    """
    tokens_out, slots_open, paused_ms, reason, *held = reply
    return Usage(tokens_out, limit, slots_open, max_connections, paused_ms, reason, read_hold(held))


def read_hold(fields: Sequence[str | None]) -> Hold | None:
    """
    Read the fields `held_since`, `held_by`, `held_why` of a gate; None when nobody holds it.
    """
    since, by, why = fields
    return Hold(int(since), by or "", why or "") if since else None
