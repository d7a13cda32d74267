"""
What this process counts itself; the rest of the metrics is read from Redis at the scrape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter


class Counters:
    """
    The counters of one ingress process, in a registry of their own.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "avito_gateway_http_requests_total",
            "HTTP requests answered by this process, webhooks aside.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.commands = Counter(
            "avito_gateway_commands_accepted_total",
            "Commands stored by this process.",
            ("kind", "priority"),
            registry=self.registry,
        )
        self.duplicates = Counter(
            "avito_gateway_commands_replayed_total",
            "Requests answered with the command an earlier one with the same Idempotency-Key had made.",
            registry=self.registry,
        )
        self.webhooks = Counter(
            "avito_gateway_webhooks_total",
            "Webhooks answered by this process, by what came of them.",
            ("result",),
            registry=self.registry,
        )
        # A label look-up costs a lock and a tuple; on the webhook's path the children are at hand.
        self.webhook_accepted = self.webhooks.labels("accepted")
        self.webhook_duplicate = self.webhooks.labels("duplicate")
        self._children: dict[tuple[str, str, int], Any] = {}

    def answered(self, method: str, route: str, status: int) -> None:
        """
        Count one answer. `route` is the template, so ids do not make series of their own.
        """
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self.requests.labels(method, route, str(status))
        child.inc()


def counting(counters: Counters) -> Callable[[ASGIApp], ASGIApp]:
    """
    Return the middleware that counts answers.
    """

    def wrap(app: ASGIApp) -> ASGIApp:
        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            method, route = scope["method"], scope["path_template"]

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    counters.answered(method, route, message["status"])
                await send(message)

            await app(scope, receive, noting)

        return counted

    return wrap
