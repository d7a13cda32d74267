"""
The key of the REST API.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable

from litestar.types import ASGIApp, Receive, Scope, Send

from common.settings import Settings
from ingress.catalogue import CATALOGUE
from ingress.problems import ProblemError


def keyed(settings: Settings) -> Callable[[ASGIApp], ASGIApp]:
    """
    Return a middleware that lets a request pass that shows `API_KEY`; without that setting every request passes.

    It runs before the body is read; others raise `ProblemError`, `unauthorized`. It is no guard: for each guard of a
    request Litestar copies the route's handler, which costs a sixth of a send.
    """
    wanted = settings.api_key
    if wanted is None:
        return lambda app: app
    key = wanted.get_secret_value().encode()

    def wrapped(app: ASGIApp) -> ASGIApp:
        async def checked(scope: Scope, receive: Receive, send: Send) -> None:
            if not _shows(scope["headers"], key):
                raise ProblemError(
                    "unauthorized",
                    CATALOGUE["unauthorized"].meaning,
                    headers={"WWW-Authenticate": 'Bearer realm="avito-gateway"'},
                )
            await app(scope, receive, send)

        return checked

    return wrapped


def _shows(headers: Iterable[tuple[bytes, bytes]], key: bytes) -> bool:
    """
    Say whether one of the headers shows the key. It takes the same time for every wrong key of the right length.
    """
    for name, value in headers:
        shown = None
        if name == b"x-api-key":
            shown = value
        elif name == b"authorization":
            scheme, _, token = value.partition(b" ")
            shown = token.strip() if scheme.lower() == b"bearer" else None
        if shown is not None and hmac.compare_digest(shown, key):
            return True
    return False
