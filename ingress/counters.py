"""
Counting what the ingress answers.
"""

from __future__ import annotations

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from common import metrics
from ingress.problems import ProblemError


def counting(app: ASGIApp) -> ASGIApp:
    """
    Wrap an application so that its answers are counted. A route is its template: ids make no series of their own.
    """

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        method, route = scope["method"], scope["path_template"]

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                metrics.HTTP_REQUESTS[method, route, str(message["status"])].inc()
            await send(message)

        try:
            await app(scope, receive, noting)
        except ProblemError as problem:
            # One without the key, which is answered further out.
            metrics.HTTP_REQUESTS[method, route, str(problem.kind.status)].inc()
            raise

    return counted
