"""
Who may use the console, and from where a change may come.
"""

from __future__ import annotations

import hmac
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from ingress.console.session import COOKIE, Session, Sessions
from ingress.services import of_app

CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "x-csrf-token"

_READING: Final = ("GET", "HEAD", "OPTIONS")
_OURS: Final = ("same-origin", "none")
_SESSION: Final = "console_session"


class LoginNeededError(Exception):
    """
    Nobody is logged in here.
    """


class ForgedError(Exception):
    """
    The change does not come from a page of this console, or that page is from an earlier session.
    """


async def admit(connection: ASGIConnection[Any, Any, Any, Any], route_handler: BaseRouteHandler) -> None:
    """
    Let a request pass that has a session; one that changes something must come from a page of that session.

    Raises:

        LoginNeededError: there is no session.

        ForgedError: another site sent it, or the token is missing or wrong.

    """
    del route_handler
    sessions = Sessions(of_app(connection.app).settings)
    session = sessions.known(connection.cookies.get(COOKIE))
    if session is None and not sessions.is_open:
        raise LoginNeededError
    is_new = session is None
    session = session or sessions.begin()
    connection.scope["state"][_SESSION] = (session, is_new)
    if isinstance(connection, Request) and connection.method not in _READING:
        check_origin(connection)
        shown = connection.headers.get(CSRF_HEADER) or (await connection.form()).get(CSRF_FIELD, "")
        if not hmac.compare_digest(str(shown).encode(), session.csrf.encode()):
            raise ForgedError


def check_origin(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """
    Refuse what another site's page sends; browsers say so in Sec-Fetch-Site, older ones in Origin.

    Raises:

        ForgedError: it does.

    """
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    if site is not None and site not in _OURS:
        raise ForgedError
    # The scheme is not compared: a proxy before us may speak HTTPS.
    if origin is not None and urlsplit(origin).netloc != connection.headers.get("host"):
        raise ForgedError


def session_of(connection: ASGIConnection[Any, Any, Any, Any]) -> tuple[Session | None, bool]:
    """
    Return the session that `admit` found, and whether it is new, so that its cookie must be set.
    """
    found: tuple[Session | None, bool] = connection.scope["state"].get(_SESSION, (None, False))
    return found
