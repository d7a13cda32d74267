"""
Response headers that tell a time, as both Avito and n8n send them.
"""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

RETRY_AFTER_MIN_S: Final = 1.0
RETRY_AFTER_MAX_S: Final = 900.0


def date_ms(header: str | None) -> int | None:
    """
    Read an HTTP date as unix ms; None when there is none or it cannot be read.
    """
    if not header:
        return None
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    return round((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * 1000)


def retry_after_s(header: str | None, now_ms: int) -> float | None:
    """
    Read Retry-After in either form, clamped to 1 s .. 15 min (R44).

    `now_ms` is what an HTTP date is compared with: the answer's own Date, so that no clock of ours takes part.
    """
    text = (header or "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        until_ms = date_ms(text)
        if until_ms is None:
            return None
        seconds = (until_ms - now_ms) / 1000
    if math.isnan(seconds):
        return None
    return min(max(seconds, RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)
