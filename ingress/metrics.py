"""
Metrics for Prometheus: what all processes have counted, and the state of gates and queues, read from Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from common import metrics as families
from common.errors import GatewayError
from common.log import logger
from common.metrics import series
from common.queue.hold import held
from common.queue.keys import SIDES
from common.queue.look import STATES, Look
from ingress import exposition
from ingress.deadline import in_time
from ingress.problems import documented
from ingress.services import Services

_log = logger(__name__)


@get(
    "/metrics",
    responses=documented("unauthorized"),
    media_type=CONTENT_TYPE_PLAIN_0_0_4,
    tags=["Health"],
    summary="Prometheus metrics",
    operation_id="metrics",
)
async def metrics(services: NamedDependency[Services]) -> Response[str]:
    """
    Return metrics as Prometheus text. While Redis is away only `avito_gateway_redis_up` is there, and it is 0.
    """
    user_ids = [account.user_id for account in services.settings.accounts]
    try:
        totals, workers, looks = await in_time(
            asyncio.gather(services.reporter.totals(), services.records.workers(), services.records.look(user_ids))
        )
    except GatewayError as error:
        _log.warning("metrics.incomplete", error=str(error))
        text = exposition.text({}, {families.REDIS_UP: [f"{families.REDIS_UP} 0"]})
    else:
        text = exposition.text(exposition.NONE_YET | totals, states(workers, dict(zip(user_ids, looks, strict=True))))
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)


def states(workers: int, looks: Mapping[str, Look]) -> dict[str, list[str]]:
    """
    Return the lines of the gauges by their families.
    """
    found: dict[str, list[str]] = {
        families.REDIS_UP: [f"{families.REDIS_UP} 1"],
        families.WORKERS: [f"{families.WORKERS} {workers}"],
    }
    for account, seen in looks.items():
        for name, labels, value in _account(seen):
            found.setdefault(name, []).append(f"{series(name, (('account', account), *labels))} {value}")
    return found


def _account(seen: Look) -> Iterator[tuple[str, tuple[tuple[str, str], ...], float]]:
    for depth in seen.queues:
        queue = ("queue", queue_name(depth.stream))
        for state in STATES:
            labels = (queue, ("state", state))
            yield families.QUEUE_ENTRIES, labels, getattr(depth, state)
            yield families.QUEUE_OLDEST, labels, depth.ages_ms[state] / 1000
        # Both command streams share one stream of dead letters.
        if queue[1] != "bulk":
            yield families.DEAD_LETTERS, (("side", queue[1]),), depth.dead
    yield families.GATE_TOKENS_OUT, (), seen.avito.tokens_out
    if seen.avito.limit is not None:
        yield families.GATE_LIMIT, (), seen.avito.limit
    yield families.GATE_SLOTS_OPEN, (), seen.avito.slots_open
    yield families.GATE_MAX_CONNECTIONS, (), seen.avito.max_connections
    yield families.GATE_PAUSED, (), seen.avito.paused_ms / 1000
    yield families.N8N_SLOTS_OPEN, (), seen.n8n.slots_open
    yield families.N8N_PAUSED, (), seen.n8n.paused_ms / 1000
    for side in SIDES:
        yield families.HELD, (("side", side),), int(side in held(seen))


def queue_name(stream: str) -> str:
    """
    Return a stream's short name: `commands`, `bulk` or `events`.
    """
    return stream.rpartition(":")[2]


HANDLERS: Final = [metrics]
