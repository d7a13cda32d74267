"""
Metrics for Prometheus: what all processes have counted, and the state of gates and queues, read from Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from common.errors import GatewayError
from common.log import logger
from common.queue.gate import Usage
from common.queue.records import Depths
from ingress.deadline import in_time
from ingress.exposition import families
from ingress.info import look
from ingress.problems import documented
from ingress.services import Services

State = dict[str, tuple[Usage, list[Depths]]]

_log = logger(__name__)


class StateCollector(Collector):
    """
    Turns what was read from Redis into metrics; None when it could not be read.
    """

    def __init__(self, state: State | None) -> None:
        self._state = state

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """
        Give out the metrics.
        """
        up = "Whether Redis answered this scrape (1) or not (0)."
        yield GaugeMetricFamily("avito_gateway_redis_up", up, value=0 if self._state is None else 1)
        state = self._state or {}
        entries = GaugeMetricFamily(
            "avito_gateway_queue_entries",
            "Entries of a work stream: new, in_flight, retrying, behind (an earlier one of the chat).",
            labels=("account", "queue", "state"),
        )
        oldest = GaugeMetricFamily(
            "avito_gateway_queue_oldest_seconds", "Age of a stream's oldest entry.", labels=("account", "queue")
        )
        dead = GaugeMetricFamily("avito_gateway_dead_letters", "Dead letters kept.", labels=("account", "side"))
        for account, (_, depths) in state.items():
            for depth in depths:
                queue = queue_name(depth.stream)
                for name in ("new", "in_flight", "retrying", "behind"):
                    entries.add_metric((account, queue, name), getattr(depth, name))
                oldest.add_metric((account, queue), depth.oldest_ms / 1000)
                # Both command streams share one stream of dead letters.
                if queue != "bulk":
                    dead.add_metric((account, queue), depth.dead)
        yield from (entries, oldest, dead)
        yield from self._gates(state)

    @staticmethod
    def _gates(state: State) -> Iterator[GaugeMetricFamily]:
        gauges = {
            "tokens_out": "Requests to Avito that count against the limit now.",
            "limit": "Requests to Avito allowed in a window.",
            "slots_open": "Requests to Avito open now.",
            "max_connections": "Requests to Avito that may be open.",
        }
        for name, text in gauges.items():
            family = GaugeMetricFamily(f"avito_gateway_gate_{name}", text, labels=("account",))
            for account, (usage, _) in state.items():
                if (value := getattr(usage, name)) is not None:
                    family.add_metric((account,), value)
            yield family
        paused = GaugeMetricFamily(
            "avito_gateway_gate_paused_seconds", "Seconds until the gate opens again.", labels=("account",)
        )
        for account, (usage, _) in state.items():
            paused.add_metric((account,), usage.paused_ms / 1000)
        yield paused


def queue_name(stream: str) -> str:
    """
    Return a stream's short name: `commands`, `bulk` or `events`.
    """
    return stream.rpartition(":")[2]


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
    accounts = services.settings.accounts
    state: State | None
    totals: dict[str, str] = {}
    try:
        totals = await in_time(services.reporter.totals())
        found = await in_time(asyncio.gather(*(look(services, account) for account in accounts)))
        state = {account.user_id: one for account, one in zip(accounts, found, strict=True)}
    except GatewayError as error:
        _log.warning("metrics.incomplete", error=str(error))
        state = None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StateCollector(state))
    text = families(totals, {}) + generate_latest(registry).decode()
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)


HANDLERS: Final = [metrics]
