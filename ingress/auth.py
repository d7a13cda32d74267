"""
The key of the REST API.
"""

from __future__ import annotations

import hmac
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from ingress.catalogue import CATALOGUE
from ingress.problems import ProblemError
from ingress.services import of_app


async def require_key(connection: ASGIConnection[Any, Any, Any, Any], route_handler: BaseRouteHandler) -> None:
    """
    Let a request pass that shows `API_KEY`; without that setting every request passes.

    It runs before the body is read, and is a coroutine: Litestar hands any other guard to a thread. The comparison
    takes the same time for every wrong key of the right length.

    Raises:

        ProblemError: `unauthorized`.

    """
    del route_handler
    wanted = of_app(connection.app).settings.api_key
    if wanted is None:
        return
    key = wanted.get_secret_value().encode()
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    shown = [connection.headers.get("x-api-key", "")]
    if scheme.lower() == "bearer":
        shown.append(token.strip())
    # Header values come as Latin-1: their bytes are what was sent.
    matches = [hmac.compare_digest(candidate.encode("latin-1"), key) for candidate in shown]
    if not any(matches):
        raise ProblemError(
            "unauthorized",
            CATALOGUE["unauthorized"].meaning,
            headers={"WWW-Authenticate": 'Bearer realm="avito-gateway"'},
        )
