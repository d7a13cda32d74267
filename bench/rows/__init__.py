"""
The rows of the benchmark, by name, in the order of the page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.rows import backlog, forwarding, limiter, queues, standing, web
from bench.store import Store
from bench.table import Row


@dataclass(frozen=True, slots=True)
class Measured:
    """
    How a row is measured, and how long that may take.
    """

    row: Callable[[Store], Awaitable[Row]]
    longest_s: float = 600.0


ROWS: Final[Mapping[str, Measured]] = {
    "webhooks": Measured(web.webhooks),
    "webhooks-paced": Measured(web.webhooks_paced),
    "sends": Measured(web.sends),
    "sends-with-key": Measured(web.sends_with_key),
    "bulk": Measured(web.bulk),
    "drained": Measured(queues.drained),
    "latency": Measured(queues.latency),
    "forwarded": Measured(forwarding.forwarded),
    "end-to-end": Measured(forwarding.end_to_end),
    "n8n-down": Measured(forwarding.n8n_down),
    "limiter": Measured(limiter.limiter),
    "idle": Measured(standing.idle_costs),
    "memory": Measured(standing.memory),
    "backlog": Measured(backlog.backlog),
    "accounts": Measured(backlog.by_accounts),
    "processes": Measured(forwarding.by_processes),
}
