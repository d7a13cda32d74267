"""
From a checked request to the commands it asks for.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Final

import msgspec

from common.queue.intake import NewCommand
from ingress.bodies import Options
from ingress.schedule import schedule

UNMARKED: Final = "-"
"""
Stands for the mark of a request without a key, which is never compared.
"""


class Draft(msgspec.Struct, frozen=True):
    """
    What is to be done in a chat; `body` is what the dispatcher gets.
    """

    kind: str
    chat_id: str
    body: Mapping[str, object]


def request_mark(kind: str, *parts: object) -> str:
    """
    Return a mark that is equal for requests that ask for the same: a hash of what they ask.

    Pydantic models count without their `idempotency_key`.
    """
    plain = [
        part.model_dump(mode="json", exclude={"idempotency_key"}) if isinstance(part, Options) else part
        for part in parts
    ]
    text = json.dumps([kind, *plain], sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def nth_key(key: str | None, index: int) -> str | None:
    """
    Return the key of the n-th command of a request.

    The first has the request's own key, so the same key on another kind of request is noticed, too.
    """
    return key if key is None or index == 0 else f"{key}:{index}"


def batch_of(user_id: str, key: str) -> str:
    """
    Return the batch id that goes with a key: a repeated request gets the same.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{user_id}:{key}"))


def command(
    draft: Draft,
    options: Options | None,
    *,
    now_ms: int,
    key: str | None,
    mark: str,
    batch_id: str | None = None,
    goes_on: bool = False,
) -> NewCommand:
    """
    Return the command to store, under a new id. One that `goes_on` in the next is no end to tell of unless it fails.
    """
    options = options or Options()
    times = schedule(options, now_ms)
    return NewCommand(
        id=str(uuid.uuid4()),
        kind=draft.kind,
        chat_id=draft.chat_id,
        body=draft.body,
        priority=options.priority or "interactive",
        not_before_ms=times.not_before_ms,
        expires_at_ms=times.expires_at_ms,
        callback_url=options.callback_url,
        callback_on="failed" if goes_on and options.callback_url else None,
        idempotency_key=key,
        fingerprint=mark,
        batch_id=batch_id,
    )
