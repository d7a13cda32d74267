"""
`python -m tests.fuzz [SECONDS]`: let atheris look for a webhook that the gateway's code does not survive.

What it finds is kept in `tests/fuzz/kept` and fails the suite from then on, until it is mended.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["common", "forwarder", "ingress"]):
    from tests.fuzz.webhooks import KEPT, kept, one, samples

WORDS = (
    *(
        "id",
        "version",
        "timestamp",
        "payload",
        "type",
        "message",
        "value",
        "chat_id",
        "user_id",
        "author_id",
        "created",
    ),
    *("published_at", "chat_type", "content", "text", "image", "sizes", "voice", "voice_id", "link", "url", "preview"),
    *("item", "title", "item_url", "price_string", "location", "lat", "lon", "call", "status", "flow_id", "item_id"),
    *(
        "deleted",
        "system",
        "appCall",
        "file",
        "video",
        "u2i",
        "u2u",
        "1280x960",
        "\\\\ud800",
        "\\\\u0000",
        "NaN",
        "1e999",
    ),
)
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**63, 10**400, 1.5, 1e308, float("nan"), float("inf")),
    *("", " ", "\x00", "\ud800", "\r\n", "ü" * 200, "1", [], {}, [[]], {"text": {}}),
)
BODY_BYTES = 65_536
ONE_S = 5


def mutated(body: bytes, most: int, seed: int) -> bytes:
    """
    Change a value, a name or an element of a document; what is no JSON, and a third of the rest, byte by byte.
    """
    chance = random.Random(seed)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    places = list(_places(document))
    if not places or chance.random() < 1 / 3:
        return bytes(atheris.Mutate(body, most))
    for _ in range(chance.randint(1, 3)):
        holder, key = chance.choice(places)
        donor, part = chance.choice(places)
        if chance.random() < 1 / 2:
            holder[key] = chance.choice(ODD)
        elif donor is not holder:
            # A copy, or a document could come to contain itself.
            holder[key] = json.loads(json.dumps(donor.get(part) if isinstance(donor, dict) else None))
        if isinstance(holder, dict):
            holder[chance.choice(WORDS)] = holder.get(key)
    return json.dumps(document).encode()[:most]


def _places(document: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    left = [document]
    while left and len(found) < 1000:
        holder = left.pop()
        keys = holder if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        found += [(holder, key) for key in keys]
        left += [holder[key] for key in keys]
    return found


def main() -> None:
    """
    Fuzz for the seconds that are asked for, 60 by default.
    """
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as folder:
        corpus, words = Path(folder) / "corpus", Path(folder) / "words"
        corpus.mkdir()
        for number, body in enumerate((*samples(), *kept())):
            (corpus / str(number)).write_bytes(body)
        words.write_text("".join(f'"{word}"\n' for word in WORDS), encoding="utf-8")
        options = [f"-max_total_time={seconds}", f"-max_len={BODY_BYTES}", f"-timeout={ONE_S}", "-rss_limit_mb=1024"]
        atheris.Setup(
            [sys.argv[0], *options, f"-dict={words}", f"-artifact_prefix={KEPT}/", "-print_final_stats=1", str(corpus)],
            one,
            custom_mutator=mutated,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
