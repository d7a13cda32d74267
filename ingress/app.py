"""
The application: all addresses put together.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide

from common import log, tracing
from common.avito.client import Avito
from common.errors import SettingsError
from common.garbage import rarely_collected
from common.queue.connection import Connections, connect
from common.queue.history import History
from common.queue.hold import Holds
from common.queue.intake import Intake
from common.queue.records import Records
from common.queue.reports import Reporter
from common.settings import Settings, load
from ingress import (
    bulk,
    commands,
    docs,
    health,
    images,
    info,
    metrics,
    problems,
    reads,
    subscriptions,
    tokens,
    traces,
    tracking,
    webhook_openapi,
    webhooks,
)
from ingress.accounts import provide_account
from ingress.asking import provide_ask
from ingress.auth import keyed
from ingress.console.app import console
from ingress.counters import counting
from ingress.services import STATE_KEY, Services

BODY_BYTES: Final = 1024 * 1024

_SECURITY: Final[list[dict[str, list[str]]]] = [{"ApiKey": []}, {"Bearer": []}]


def create_app(settings: Settings, connections: Connections, avito: Avito, *, own: tuple[Any, ...] = ()) -> Litestar:
    """
    Make the application on connections that belong to the caller; what is in `own` is closed with it.
    """
    services = Services(
        settings=settings,
        connections=connections,
        avito=avito,
        intake=Intake(connections, settings),
        records=Records(connections, settings),
        holds=Holds(connections, settings.key_prefix),
        history=History(connections, settings),
        reporter=Reporter(connections, settings.key_prefix),
    )
    key = keyed(settings)
    api = Router(
        "/api",
        route_handlers=[
            *commands.HANDLERS,
            *bulk.HANDLERS,
            *images.HANDLERS,
            *tracking.HANDLERS,
            *reads.HANDLERS,
            *subscriptions.HANDLERS,
            *tokens.HANDLERS,
        ],
        # Who shows no key makes no trace.
        middleware=[key, *traces.middleware()],
        security=_SECURITY,
        dependencies={
            "account": Provide(provide_account, sync_to_thread=False),
            "ask": Provide(provide_ask, sync_to_thread=False),
        },
    )
    inner = Router("/", route_handlers=[*info.HANDLERS, *metrics.HANDLERS], middleware=[key], security=_SECURITY)
    # The webhook counts for itself.
    pages = [console()] if settings.console else []
    counted = Router("/", route_handlers=[api, inner, *health.HANDLERS, *pages], middleware=[counting])
    hooks = Router("/", route_handlers=webhooks.routes(services), middleware=traces.middleware(webhooks.PATH))
    app = Litestar(
        route_handlers=[counted, docs.assets(), *docs.HANDLERS, hooks],
        dependencies={"services": Provide(lambda: services, sync_to_thread=False)},
        exception_handlers=problems.HANDLERS,
        lifespan=[_lifespan(services, own)],
        openapi_config=docs.openapi_config(),
        request_max_body_size=BODY_BYTES,
        state=State({STATE_KEY: services}),
        # Litestar's own logging would format each exception a second time.
        logging_config=None,
    )
    docs.describe(app, webhook_openapi.paths())
    return app


def _lifespan(services: Services, own: tuple[Any, ...]) -> Any:
    def lifespan(_: Litestar) -> AbstractAsyncContextManager[None]:
        return _running(services, own)

    return lifespan


@asynccontextmanager
async def _running(services: Services, own: tuple[Any, ...]) -> AsyncIterator[None]:
    """
    Report what is counted; at the end let everything handed in have its reply.
    """
    stopped = asyncio.Event()
    reports = asyncio.create_task(services.reporter.run(stopped), name="reports")
    with rarely_collected():
        try:
            yield
        finally:
            await services.intake.stop()
            stopped.set()
            await reports
            for resource in own:
                await resource.aclose()


class _Traces:
    """
    Tracing, as a resource of a process that is an ingress alone.
    """

    async def aclose(self) -> None:
        await asyncio.to_thread(tracing.stop)


def from_environment() -> Litestar:
    """
    Make the application of one uvicorn worker from the environment and `.env`.

    Raises:

        SettingsError: a setting is wrong, or `REDIS_URL` is missing: several processes cannot each have a server.

    """
    settings = load()
    if settings.redis_url is None:
        raise SettingsError("REDIS_URL: must be set when ingress runs as processes of its own")
    log.configure(settings.log_format, settings.log_level)
    tracing.start(settings)
    connections = connect(settings.redis_url)
    avito = Avito(settings, connections)
    return create_app(settings, connections, avito, own=(avito, connections, _Traces()))
