"""
What an address of the console asks for, read leniently.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from common.queue.keys import Side

_STREAM_ID: Final = re.compile(r"\d{1,19}-\d{1,19}")


def side_of(text: str | None) -> Side | None:
    """
    Return the side, None where it is none.
    """
    match text:
        case "commands" | "events":
            return text
        case _:
            return None


def stream_id(text: str | None) -> str | None:
    """
    Return an entry's id, None where it cannot be one.
    """
    return text if text and _STREAM_ID.fullmatch(text) else None


def moment_ms(text: str | None, timezone: str) -> int:
    """
    Return what a `datetime-local` field says as unix ms; 0 where it says no time.
    """
    try:
        found = datetime.fromisoformat(text or "")
        found = found if found.tzinfo else found.replace(tzinfo=ZoneInfo(timezone))
        return max(0, round(found.timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        return 0


def number(text: object, *, most: int) -> int:
    """
    Return a whole number from 0 to `most`; 0 where it is none.
    """
    return min(most, int(text)) if isinstance(text, str) and text.isdecimal() and len(text) <= 19 else 0
