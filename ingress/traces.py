"""
Requests as spans, while tracing is on.
"""

from __future__ import annotations

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Middleware, Receive, Scope, Send

from common.tracing import Tracer, tracer


def middleware(mount: str = "") -> list[Middleware]:
    """
    Return what makes a span of each request; nothing while tracing is off. `mount` is the address of one that has no
    template.
    """
    found = tracer()
    return [] if found is None else [_tracing(found, mount)]


def _tracing(tracer: Tracer, mount: str) -> Middleware:
    def wrap(app: ASGIApp) -> ASGIApp:
        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            # The template: a path has ids in it, and a webhook's its secret.
            method, route = scope["method"], mount or scope["path_template"]
            with tracer.request(f"{method} {route}", _traceparent(scope)) as span:
                span.note(**{"http.request.method": method, "http.route": route})

                async def noting(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        span.note(**{"http.response.status_code": message["status"]})
                        if message["status"] >= 500:
                            span.fail(str(message["status"]))
                    await send(message)

                await app(scope, receive, noting)

        return traced

    return wrap


def _traceparent(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), "")
