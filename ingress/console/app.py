"""
All addresses of the console put together.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from litestar import Router, get
from litestar.datastructures import CacheControlHeader
from litestar.di import Provide
from litestar.params import FromPath
from litestar.static_files import create_static_files_router
from litestar_htmx import HTMXRequest

from ingress.catalogue import CATALOGUE
from ingress.console import chats, dead, errors, login, messages, navigation, overview
from ingress.console.guard import admit
from ingress.console.headers import secured
from ingress.console.page import provide_page
from ingress.problems import ProblemError

# Addresses of assets change with their content.
_ASSETS_S: Final = 7 * 24 * 3600


@get("/{path:path}")
async def no_such_page(path: FromPath[str]) -> None:
    """
    Answer with the console's own page, not with the API's problem.
    """
    del path
    raise ProblemError("not_found", CATALOGUE["not_found"].meaning)


def console() -> Router:
    """
    Return the console.
    """
    assets = create_static_files_router(
        path="/assets",
        directories=[str(files("ingress.console") / "assets")],
        cache_control=CacheControlHeader(max_age=_ASSETS_S, private=True),
        name="console-assets",
    )
    inside = Router(
        "/",
        route_handlers=[
            *overview.HANDLERS,
            *chats.HANDLERS,
            *messages.HANDLERS,
            *dead.HANDLERS,
            *login.INSIDE,
            no_such_page,
        ],
        guards=[admit],
        dependencies={"page": Provide(provide_page, sync_to_thread=False)},
    )
    return Router(
        navigation.ROOT,
        route_handlers=[assets, *login.OUTSIDE, inside],
        middleware=[secured],
        exception_handlers=errors.HANDLERS,
        request_class=HTMXRequest,
        include_in_schema=False,
    )
