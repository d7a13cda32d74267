"""
Sessions of the console: a signed name in a cookie, nothing on the server.

The signing key comes from `API_KEY`, so all replicas agree on it, and a new key ends every session.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from itsdangerous import BadSignature, TimestampSigner

from common.settings import Settings

COOKIE: Final = "avito_console"
LIFE_S: Final = 12 * 3600
"""
After this a session ends, whatever was done in it.
"""


@dataclass(frozen=True, slots=True)
class Session:
    """
    Somebody's session: the value of its cookie, and the token that its forms carry.
    """

    cookie: str
    csrf: str


class Sessions:
    """
    Begins sessions, and knows them again for `LIFE_S`.

    `is_open`: there is no `API_KEY`. Then everybody gets a session unasked, only for its CSRF token's sake.
    """

    def __init__(self, settings: Settings) -> None:
        self.is_open = settings.api_key is None
        # Without API_KEY replicas still must agree; what is signed then is no proof of anything.
        secret = settings.api_key or settings.avito_client_secret
        self._key = hashlib.sha256(b"console\0" + (secret.get_secret_value().encode() if secret else b"")).digest()
        self._signer = TimestampSigner(self._key, salt="session", key_derivation="hmac", digest_method=hashlib.sha256)

    def begin(self) -> Session:
        """
        Return a new session.
        """
        name = secrets.token_urlsafe(18)
        return self._session(name, self._signer.sign(name).decode())

    def known(self, cookie: str | None) -> Session | None:
        """
        Return the session of a cookie; None when it is missing, forged or too old.
        """
        try:
            name = self._signer.unsign(cookie or "", max_age=LIFE_S).decode()
        except (BadSignature, UnicodeError):
            return None
        return self._session(name, cookie or "")

    def _session(self, name: str, cookie: str) -> Session:
        return Session(cookie, hmac.new(self._key, b"csrf\0" + name.encode(), hashlib.sha256).hexdigest())
