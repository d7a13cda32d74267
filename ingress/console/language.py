"""
Which language a page speaks: the one chosen by hand, else the browser's.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

Language = Literal["en", "ru"]

COOKIE: Final = "avito_console_language"
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)


def language(chosen: str | None, accepted: str) -> Language:
    """
    Choose a language from the cookie and the header Accept-Language; English when it names none that is here.
    """
    for known in LANGUAGES:
        if chosen == known:
            return known
    ranked = sorted((_weighed(part) for part in accepted.split(",")), key=lambda pair: -pair[1])
    for name, weight in ranked:
        for known in LANGUAGES:
            if weight > 0 and name.partition("-")[0] == known:
                return known
    return "en"


def _weighed(part: str) -> tuple[str, float]:
    name, _, rest = part.strip().lower().partition(";")
    try:
        weight = float(rest.strip().removeprefix("q=")) if rest else 1.0
    except ValueError:
        weight = 0.0
    return name.strip(), weight
