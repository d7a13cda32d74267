"""
How long a caller is willing to wait for the end of its command.
"""

from __future__ import annotations

import re
from typing import Final

MAX_WAIT_S: Final = 25.0

_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)


def wait_s(prefer: str | None, query: float | None) -> float:
    """
    Return the seconds to wait: `?wait=`, else `Prefer: wait=` (RFC 7240), at most 25, else 0.

    A `Prefer` header that cannot be read is no preference, as the RFC wants it.
    """
    asked = query
    if asked is None:
        found = _WAIT.search(prefer or "")
        asked = float(found[1]) if found else 0.0
    return min(asked, MAX_WAIT_S)
