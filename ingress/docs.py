"""
The API's documentation: `/openapi.json`, and Swagger UI at `/docs` with assets the gateway serves itself.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

from litestar import Litestar, Request, Response, Router, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, PathItem, SecurityScheme, Tag
from litestar.static_files import create_static_files_router
from litestar.status_codes import HTTP_404_NOT_FOUND

from ingress.catalogue import CATALOGUE
from ingress.info import program_version
from ingress.problems import ProblemError

ASSETS: Final = "/docs/assets"

_TAGS: Final = {
    "Messages": "Sending: 202 says that it is stored; it goes out within the limit, in the chat's order.",
    "Chats": "Reading chats from Avito, marking as read, deleting.",
    "Commands": "What became of a message, and taking it back.",
    "Events": "What became of a message that came in.",
    "Subscriptions": "Where Avito sends its webhooks.",
    "Token": "Avito's access token.",
    "Webhook": "What Avito calls.",
    "Health": "For operators and orchestrators.",
}


def _missing_as_problem(response: Response[Any]) -> Response[Any]:
    """
    Replace Litestar's HTML page for an unknown address under /docs: errors look the same everywhere.
    """
    if response.status_code == HTTP_404_NOT_FOUND:
        return ProblemError("not_found", CATALOGUE["not_found"].meaning).response()
    return response


def openapi_config() -> OpenAPIConfig:
    """
    Describe the API as a whole.
    """
    return OpenAPIConfig(
        title="avito-gateway",
        version=program_version(),
        description=(
            "Sends messages to Avito chats within Avito's limit, and passes on what comes in. "
            "Errors are problem+json; docs/errors.md lists them."
        ),
        tags=[Tag(name=name, description=text) for name, text in _TAGS.items()],
        components=Components(
            security_schemes={
                "ApiKey": SecurityScheme(type="apiKey", name="X-API-Key", security_scheme_in="header"),
                "Bearer": SecurityScheme(type="http", scheme="bearer"),
            }
        ),
        openapi_router=Router("/docs", route_handlers=[], include_in_schema=False, after_request=_missing_as_problem),
        render_plugins=[
            SwaggerRenderPlugin(
                path="/",
                js_url=f"{ASSETS}/swagger-ui-bundle.js",
                css_url=f"{ASSETS}/swagger-ui.css",
                standalone_preset_js_url=f"{ASSETS}/swagger-ui-standalone-preset.js",
                # Without this Litestar's page asks another host for its icon.
                favicon='<link rel="icon" href="data:,">',
            )
        ],
        use_handler_docstrings=True,
    )


def describe(app: Litestar, paths: dict[str, PathItem]) -> None:
    """
    Add addresses to the document that Litestar cannot describe by itself.
    """
    document = app.openapi_schema
    document.paths = (document.paths or {}) | paths


@get("/openapi.json", include_in_schema=False, media_type="application/vnd.oai.openapi+json")
async def openapi_json(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """
    Return the OpenAPI document.
    """
    return request.app.openapi_schema.to_schema()


def assets() -> Router:
    """
    Serve Swagger UI's files from the installed package.
    """
    folder = str(files("litestar_offline_docs") / "static")
    return create_static_files_router(path=ASSETS, directories=[folder], include_in_schema=False)


HANDLERS: Final = [openapi_json]
