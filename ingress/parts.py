"""
Cutting a long text into messages.
"""

from __future__ import annotations

from typing import Final

_BREAKS: Final = ("\n\n", "\n", ". ", " ")


def split(text: str, limit: int) -> list[str]:
    """
    Cut `text` into parts of 1 to `limit` characters, none blank, at the best break in the second half of each.

    White space at a cut goes with the cut; every other character is in exactly one part, in order.
    """
    parts = []
    rest = text.strip()
    while len(rest) > limit:
        cut = _cut(rest, limit)
        parts.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*parts, rest]


def _cut(text: str, limit: int) -> int:
    """
    Return where to cut: after a paragraph, a line, a sentence, a word, else in the middle of one.
    """
    # One more character than fits: a break right after the part costs nothing.
    window = text[: limit + 1]
    for mark in _BREAKS:
        at = window.rfind(mark, limit // 2)
        if at > 0:
            return at + (1 if mark == ". " else 0)
    return limit
