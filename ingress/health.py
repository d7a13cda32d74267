"""
Health: whether the gateway can do its work. Every answer comes within 2 s, whatever Redis does.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE

from common.errors import GatewayError
from common.queue.connection import mapped
from common.queue.hold import held
from common.queue.records import iso
from ingress.deadline import in_time
from ingress.services import Services

SERVICE: Final = "avito-messenger-api"

_TAGS: Final = ["Health"]
_UNHEALTHY: Final = {
    503: ResponseSpec(dict[str, Any], generate_examples=False, description="Not able to work; `checks` says why.")
}


@get("/health", tags=_TAGS, responses=_UNHEALTHY, summary="Health", operation_id="health")
async def health(services: NamedDependency[Services]) -> Response[dict[str, Any]]:
    """
    Say whether Redis answers, whether the queues make progress, and whether the gate to Avito is open.

    A paused gate is told, and is not unhealthy: it opens again by itself. So is what an operator holds.
    """
    redis, (progress, gate, holds) = await asyncio.gather(_redis(services), _work(services))
    healthy = redis["ok"] and progress["ok"]
    body = {
        "status": "healthy" if healthy else "unhealthy",
        "service": SERVICE,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "checks": {"redis": redis, "progress": progress, "gate": gate, "held": holds},
    }
    return Response(body, status_code=HTTP_200_OK if healthy else HTTP_503_SERVICE_UNAVAILABLE)


@get("/health/live", tags=_TAGS, summary="Liveness", operation_id="healthLive")
async def live() -> dict[str, str]:
    """
    Say that this process runs. It needs nothing else: a restart would not bring Redis back.
    """
    return {"status": "alive", "service": SERVICE}


@get("/health/ready", tags=_TAGS, responses=_UNHEALTHY, summary="Readiness", operation_id="healthReady")
async def ready(services: NamedDependency[Services]) -> Response[dict[str, Any]]:
    """
    Say whether requests can be accepted: Redis answers.
    """
    redis = await _redis(services)
    body = {"status": "ready" if redis["ok"] else "not ready", "service": SERVICE, "checks": {"redis": redis}}
    return Response(body, status_code=HTTP_200_OK if redis["ok"] else HTTP_503_SERVICE_UNAVAILABLE)


async def _redis(services: Services) -> dict[str, Any]:
    started_s = time.monotonic()
    try:
        await in_time(_ping(services))
    except GatewayError as error:
        return {"ok": False, "detail": str(error)}
    return {"ok": True, "ms": round((time.monotonic() - started_s) * 1000, 1)}


async def _ping(services: Services) -> None:
    with mapped():
        await services.connections.commands.ping()


async def _work(services: Services) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """
    Look at the queues, the gates and the holds of all accounts.
    """
    accounts = services.settings.accounts
    try:
        stalled, looks = await in_time(
            asyncio.gather(
                asyncio.gather(*(services.records.stalled(account.user_id) for account in accounts)),
                services.records.look([account.user_id for account in accounts]),
            ),
        )
    except GatewayError as error:
        unknown = {"ok": False, "detail": f"not known: {error}"}
        return unknown, unknown, unknown
    wrong = {stream: detail for found in stalled for stream, detail in found.items()}
    progress: dict[str, Any] = {"ok": not wrong}
    if wrong:
        progress |= {"stalled": list(wrong), "detail": " ".join(dict.fromkeys(wrong.values()))}
    paused = {
        account.user_id: {"for_s": round(seen.avito.paused_ms / 1000, 1), "reason": seen.avito.reason}
        for account, seen in zip(accounts, looks, strict=True)
        if seen.avito.paused_ms
    }
    since = {
        account.user_id: {direction: iso(str(hold.since_ms)) for direction, hold in held(seen).items()}
        for account, seen in zip(accounts, looks, strict=True)
        if held(seen)
    }
    return (
        progress,
        {"ok": not paused} | ({"paused": paused} if paused else {}),
        {"ok": not since} | ({"since": since} if since else {}),
    )


HANDLERS: Final = [health, live, ready]
