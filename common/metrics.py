"""
What a process counts: every family of counters, in one place.

Processes come and go, and workers have no HTTP face, so nobody scrapes these: each process adds what they have grown by
to totals in Redis (`common.queue.reports`), and any ingress shows those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


def series(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    """
    Write a series as Prometheus' text format has it before the value.
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


def _counter(name: str, text: str, *labels: str) -> Children[Counter]:
    full = f"{PREFIX}{name}_total"
    FAMILIES[full] = Family(full, "counter", text, labels)
    return Children(Counter(full, text, labels, registry=REGISTRY))


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
HTTP_REQUESTS: Final = _counter("http_requests", "HTTP requests answered, webhooks aside.", "method", "route", "status")
WEBHOOKS: Final = _counter("webhooks", "Webhooks answered, by what came of them.", "result")
