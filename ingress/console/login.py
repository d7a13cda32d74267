"""
Logging in with the API key, logging out, choosing the language.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER
from litestar_htmx import HTMXRequest

from common.log import logger
from ingress.catalogue import CATALOGUE
from ingress.console import language as languages
from ingress.console import navigation
from ingress.console.guard import check_origin
from ingress.console.page import bare_page, cookie
from ingress.console.session import COOKIE, LIFE_S, Sessions
from ingress.problems import ProblemError
from ingress.services import Services
from ingress.sparing import Sparing

WRONG_KEY_S: Final = 1.0
"""
How long a wrong key waits for its answer. The right one never waits, so nobody can lock the owner out.
"""
YEAR_S: Final = 365 * 24 * 3600

Next = Annotated[str | None, QueryParameter(name="next", description="The page to go on with.")]

_log = logger(__name__)
_sparing = Sparing()


@get("/login")
async def show_login(request: HTMXRequest, services: NamedDependency[Services], next_: Next = None) -> Response[Any]:
    """
    Ask for the key.
    """
    if Sessions(services.settings).is_open:
        return see_other(navigation.ROOT)
    return bare_page(request, services).render("login.html", {"next": navigation.own(next_), "wrong": False})


@post("/login")
async def log_in(request: HTMXRequest, services: NamedDependency[Services]) -> Response[Any]:
    """
    Begin a session for who knows the key.
    """
    check_origin(request)
    form = await request.form()
    back = navigation.own(str(form.get("next", "")))
    sessions, wanted = Sessions(services.settings), services.settings.api_key
    shown = str(form.get("api_key", "")).strip()
    if wanted is not None and not hmac.compare_digest(shown.encode(), wanted.get_secret_value().encode()):
        if (left_out := _sparing.due("wrong_key")) is not None:
            _log.warning("console.wrong_key", client=request.client.host if request.client else None, left_out=left_out)
        await asyncio.sleep(WRONG_KEY_S)
        return bare_page(request, services).render("login.html", {"next": back, "wrong": True}, status=401)
    _log.info("console.login", client=request.client.host if request.client else None)
    answer = see_other(back)
    answer.cookies.append(cookie(request, COOKIE, sessions.begin().cookie, life_s=LIFE_S))
    return answer


@post("/logout")
async def log_out(request: HTMXRequest) -> Response[Any]:
    """
    End the session in this browser.
    """
    answer = see_other(f"{navigation.ROOT}/login")
    answer.cookies.append(cookie(request, COOKIE, "", life_s=0))
    return answer


@get("/language/{code:str}")
async def choose_language(request: HTMXRequest, code: FromPath[str], next_: Next = None) -> Response[Any]:
    """
    Speak this language from now on.
    """
    if code not in languages.LANGUAGES:
        raise ProblemError("not_found", CATALOGUE["not_found"].meaning)
    answer = see_other(navigation.own(next_))
    answer.cookies.append(cookie(request, languages.COOKIE, code, life_s=YEAR_S))
    return answer


def see_other(path: str) -> Redirect:
    """
    Lead the browser to a page of this console.
    """
    return Redirect(path, status_code=HTTP_303_SEE_OTHER)


OUTSIDE: Final = [show_login, log_in, choose_language]
"""
What needs no session.
"""
INSIDE: Final = [log_out]
