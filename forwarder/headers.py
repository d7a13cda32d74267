"""
The headers of a delivery: Standard Webhooks, the attempt, and the receiver's own authorisation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from pydantic import SecretStr
from standardwebhooks import Webhook as Signer

_PLAIN: Final = re.compile(r"[!-~]{1,200}")

USER_AGENT: Final = b"avito-gateway"

Headers = dict[bytes, bytes]


class Stamp:
    """
    Makes the headers for one account's receiver.

    `now` returns the time of the signature: receivers refuse one that is 5 minutes off their own clock.
    """

    def __init__(
        self,
        secret: SecretStr | None,
        auth_header: SecretStr | None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._signer = Signer(secret.get_secret_value()) if secret is not None else None
        self._auth = _header(auth_header.get_secret_value()) if auth_header is not None else {}
        self._now = now

    def headers(self, message_id: str, attempt: int, body: str, *, authorised: bool = True) -> Headers:
        """
        Return the headers for `body`; `webhook-id` is the same on every attempt.

        `authorised` False leaves `N8N_AUTH_HEADER` out: it is n8n's, not everybody's.
        """
        now = self._now().replace(microsecond=0)
        found: Headers = {
            b"content-type": b"application/json",
            b"user-agent": USER_AGENT,
            # Read only where it is an error; then as it is.
            b"accept-encoding": b"identity",
            b"webhook-id": message_id.encode(),
            b"webhook-timestamp": str(int(now.timestamp())).encode(),
            b"webhook-attempt": str(attempt).encode(),
        }
        if self._signer is not None:
            found[b"webhook-signature"] = self._signer.sign(message_id, now, body).encode()
        return found | self._auth if authorised else found


def webhook_id(message_id: str, entry_id: str) -> str:
    """
    Return the message's id, or the entry's where that cannot stand in a header; both stay the same over attempts.
    """
    return message_id if _PLAIN.fullmatch(message_id) else entry_id


def _header(line: str) -> Headers:
    name, _, content = line.partition(":")
    return {name.strip().lower().encode(): content.strip().encode()}
