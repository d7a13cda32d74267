"""
What is measured: every family of metrics, in one place, and the counters of this process.

Processes come and go, and workers have no HTTP face, so nobody scrapes these: each process adds what they have grown by
to totals in Redis (`common.queue.reports`), and any ingress shows those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Generic, Literal, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

PREFIX: Final = "avito_gateway_"

# When a total began says nothing: it outlives the processes.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY: Final = CollectorRegistry()


@dataclass(frozen=True, slots=True)
class Family:
    """
    What is said of a metric: its full name, type, meaning and labels.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...]


FAMILIES: Final[dict[str, Family]] = {}
"""
All metrics by name, in the order in which they are shown.
"""

_Child = TypeVar("_Child", Counter, Histogram)


class Children(dict[str | tuple[str, ...], _Child], Generic[_Child]):
    """
    The children of a family by their labels' values, made when first asked for: a look-up of prometheus-client's own
    costs a lock and a tuple each time.
    """

    def __init__(self, parent: _Child) -> None:
        super().__init__()
        self._parent: _Child = parent

    def __missing__(self, labels: str | tuple[str, ...]) -> _Child:
        values = (labels,) if isinstance(labels, str) else labels
        child: _Child = self._parent.labels(*values) if values else self._parent
        self[labels] = child
        return child


class Sample(NamedTuple):
    """
    One series: its name, and names and values of its labels.
    """

    name: str
    labels: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """
        Return it as Prometheus' text format has it before the value.
        """
        return series(self.name, self.labels)


@lru_cache(maxsize=65_536)
def series(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    """
    Write a series as Prometheus' text format has it before the value. The same ones come again with each scrape.
    """
    if not labels:
        return name
    return name + "{" + ",".join([f'{label}="{_escaped(value)}"' for label, value in labels]) + "}"


def _escaped(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return value


class Growth:
    """
    What the counters of this process have grown by since somebody took it last.

    Taken once, so that several reporters of a process report nothing twice.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._taken: dict[tuple[str, ...], float] = {}
        self._kept: dict[Sample, float] = {}

    def take(self) -> dict[Sample, float]:
        """
        Return the growth of each sample that has grown.
        """
        grown, self._kept = self._kept, {}
        for family in self._registry.collect():
            for sample in family.samples:
                key = (sample.name, *sample.labels.values())
                growth = sample.value - self._taken.get(key, 0.0)
                if growth:
                    self._taken[key] = sample.value
                    one = Sample(sample.name, tuple(sample.labels.items()))
                    grown[one] = grown.get(one, 0.0) + growth
        return grown

    def put_back(self, grown: Mapping[Sample, float]) -> None:
        """
        Keep for the next one what could not be reported.
        """
        for sample, growth in grown.items():
            self._kept[sample] = self._kept.get(sample, 0.0) + growth


GROWTH: Final = Growth(REGISTRY)

_REQUESTS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_WAITS_S: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0)


def _counter(name: str, text: str, *labels: str) -> Children[Counter]:
    full = f"{PREFIX}{name}_total"
    FAMILIES[full] = Family(full, "counter", text, labels)
    return Children(Counter(full, text, labels, registry=REGISTRY))


def _histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Children[Histogram]:
    full = f"{PREFIX}{name}_seconds"
    FAMILIES[full] = Family(full, "histogram", text, labels)
    return Children(Histogram(full, text, labels, registry=REGISTRY, buckets=buckets))


def _gauge(name: str, text: str, *labels: str) -> str:
    full = f"{PREFIX}{name}"
    FAMILIES[full] = Family(full, "gauge", text, labels)
    return full


# Gauges are looked up at each scrape; here stand their names.
REDIS_UP: Final = _gauge("redis_up", "Whether Redis answered this scrape (1) or not (0): nothing else is here then.")
WORKERS: Final = _gauge("workers", "Dispatchers and forwarders that are alive.")
QUEUE_ENTRIES: Final = _gauge(
    "queue_entries",
    "Entries of a work stream (commands, bulk, events): new, in_flight, retrying (or scheduled), behind (an earlier one"
    " of the chat).",
    *("account", "queue", "state"),
)
QUEUE_OLDEST: Final = _gauge(
    "queue_oldest_seconds", "Age of the oldest of these entries, 0 without any.", "account", "queue", "state"
)
DEAD_LETTERS: Final = _gauge("dead_letters", "Dead letters kept.", "account", "side")
GATE_TOKENS_OUT: Final = _gauge("gate_tokens_out", "Requests to Avito that count against the limit now.", "account")
GATE_LIMIT: Final = _gauge("gate_limit", "Requests to Avito allowed in a window.", "account")
GATE_SLOTS_OPEN: Final = _gauge("gate_slots_open", "Requests to Avito open now.", "account")
GATE_MAX_CONNECTIONS: Final = _gauge("gate_max_connections", "Requests to Avito that may be open.", "account")
GATE_PAUSED: Final = _gauge("gate_paused_seconds", "Seconds until the gate before Avito opens again.", "account")
N8N_SLOTS_OPEN: Final = _gauge("n8n_slots_open", "Events that are being delivered now.", "account")
N8N_PAUSED: Final = _gauge("n8n_paused_seconds", "Seconds until the gate before n8n opens again.", "account")
HELD: Final = _gauge("held", "Whether an operator holds this side (1) or not (0).", "account", "side")

COMMANDS_ACCEPTED: Final = _counter("commands_accepted", "Commands stored.", "account", "kind", "priority")
COMMANDS_REPLAYED: Final = _counter(
    "commands_replayed",
    "Commands not stored again, since an earlier request with the same Idempotency-Key had stored them.",
    "account",
)
COMMANDS_FINISHED: Final = _counter(
    "commands_finished",
    "Commands that have come to their end: sent, failed, expired or cancelled.",
    *("account", "kind", "outcome"),
)
EVENTS_ACCEPTED: Final = _counter(
    "events_accepted",
    "Events stored: message, recovered (its webhook never came), callback (the end of a command) or unknown_account.",
    *("account", "kind"),
)
EVENTS_DUPLICATE: Final = _counter("events_duplicate", "Events not stored again, since they were known.", "account")
EVENTS_FINISHED: Final = _counter(
    "events_finished",
    "Events that have come to their end: delivered, skipped (own and system messages) or failed.",
    *("account", "kind", "outcome"),
)
DEAD_LETTERS_ADDED: Final = _counter(
    "dead_letters_added", "Messages that became dead letters, by reason.", "account", "side", "reason"
)
AVITO_ANSWERS: Final = _counter(
    "avito_answers",
    "Requests to Avito by what came of them: ok, refused (for good), limited (429), blocked (402, redirects),"
    " unauthorized (401, 403), unknown (no answer, 408, 5xx) or unsent (no connection).",
    *("account", "answer"),
)
RECONCILIATIONS: Final = _counter(
    "reconciliations",
    "Sends of unknown outcome that were looked up: found, not_found, out_of_reach (too much was written since) or"
    " failed (the look-up itself).",
    *("account", "result"),
)
N8N_ANSWERS: Final = _counter(
    "n8n_answers",
    "Deliveries to n8n by what came back (2xx to 5xx, timeout, cut_off, no_connection) and what it meant: delivered,"
    " down (nobody loses an attempt), failed, gone, nobodywaits (a callback's execution is over) or cut.",
    *("account", "answer", "meaning"),
)
GATE_PAUSES: Final = _counter(
    "gate_pauses",
    "Answers that paused a gate: before avito rate_limited or blocked, before n8n down or no_address.",
    *("account", "destination", "reason"),
)
WAIT: Final = _histogram("wait", "From acceptance, or `send_at`, to the first attempt.", "queue", buckets=_WAITS_S)
SETTLED: Final = _histogram(
    "settled", "From acceptance, or `send_at`, to the end of what was sent or delivered.", "queue", buckets=_WAITS_S
)
AVITO_REQUEST: Final = _histogram("avito_request", "Requests to Avito.", buckets=_REQUESTS_S)
DELIVERY_REQUEST: Final = _histogram(
    "delivery_request", "Deliveries to n8n, or of a callback to its host, until the answer.", buckets=_REQUESTS_S
)
RESULTS_LOST: Final = _counter(
    "results_lost", "Results not written, since another worker had the entry by then.", "account", "side"
)
LEASES_LOST: Final = _counter("leases_lost", "Workers that found their name gone and took a new one.")
ENTRIES_ADOPTED: Final = _counter(
    "entries_adopted", "Entries put back after a worker died with them, or never knew of them.", "account", "side"
)
ENTRIES_MENDED: Final = _counter("entries_mended", "Entries whose index had to be mended.", "account", "side")
GROUPS_RECREATED: Final = _counter(
    "groups_recreated", "Times that workers missed a consumer group and made it again.", "account", "side"
)
REDIS_OUTAGES: Final = _counter("redis_outages", "Times that a worker began to fail at renewing its name.")
HTTP_REQUESTS: Final = _counter("http_requests", "HTTP requests answered, webhooks aside.", "method", "route", "status")
WEBHOOKS: Final = _counter("webhooks", "Webhooks answered, by what came of them.", "result")
