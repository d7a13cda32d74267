"""
Errors of the console: a page, or for htmx the line that its notice shows.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from litestar import Request, Response
from litestar.types import ExceptionHandlersMap
from litestar_htmx import HTMXRequest

from common.log import logger
from ingress.console import navigation
from ingress.console.guard import ForgedError, LoginNeededError
from ingress.console.page import Page, bare_page
from ingress.console.texts import TEXTS
from ingress.problems import from_exception
from ingress.services import of_app
from ingress.sparing import Sparing

_log = logger(__name__)
_sparing = Sparing()


def answer(request: Request[Any, Any, Any], exception: Exception) -> Response[Any]:
    """
    The console's exception handler for everything.
    """
    # Litestar hands handlers of exceptions the plain request.
    page = bare_page(HTMXRequest(request.scope), of_app(request.app))
    match exception:
        case LoginNeededError():
            return login_needed(page)
        case ForgedError():
            return told(page, HTTPStatus.FORBIDDEN, "forged", "")
    problem = from_exception(exception)
    code, status = problem.kind.code, problem.kind.status
    if code == "internal_error":
        _log.error("console.failed", method=request.method, path=request.url.path, exc_info=exception)
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR and (left_out := _sparing.due(code)) is not None:
        _log.warning("console.refused", path=request.url.path, code=code, left_out=left_out, error=str(exception))
    return told(page, status, code, problem.detail)


def login_needed(page: Page) -> Response[Any]:
    """
    Show the login in place of the page; htmx is sent there.
    """
    if page.request.htmx:
        back = navigation.own(page.request.htmx.current_url_abs_path)
        return Response("", status_code=401, headers={"HX-Redirect": navigation.address(LOGIN, next=back)})
    back = page.here if page.request.method == "GET" else navigation.ROOT
    if page.request.method == "GET" and page.request.headers.get("sec-fetch-site") == "cross-site":
        # A link on another site led here: browsers send no cookie of ours with it, and do when asked from here.
        return page.render("again.html", {"here": navigation.own(back)}, status=401)
    return page.render("login.html", {"next": navigation.own(back), "wrong": False}, status=401)


def told(page: Page, status: int, code: str, detail: str) -> Response[Any]:
    """
    Say what is wrong: in the page's language where the catalogue of texts has it, else in the API's words.
    """
    known = f"error.{code}" in TEXTS
    context = {
        "status": int(status),
        "title": page.text(f"error.{code}") if known else page.text("error.other"),
        "detail": page.text(f"error.{code}.detail") if f"error.{code}.detail" in TEXTS else detail,
        "again": status == HTTPStatus.SERVICE_UNAVAILABLE and page.request.method == "GET",
    }
    template = "error_notice.html" if page.request.htmx else "error.html"
    return page.render(template, context, status=status)


LOGIN: Final = f"{navigation.ROOT}/login"
HANDLERS: Final[ExceptionHandlersMap] = {Exception: answer}
