"""
The last hour, minute by minute: what came, what was done, what failed, what waited.

Each minute is a hash, `<account>:<side>:<name>` -> number, written by the reports of all processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from common.metrics import Sample
from common.queue import keys
from common.queue.connection import Connections, mapped
from common.queue.keys import SIDES, AccountKeys, Side
from common.queue.replies import redis_ms
from common.settings import Settings

HISTORY_LIFE_S: Final = 7200.0
MINUTE_MS: Final = 60_000
MINUTES: Final = 60

_NAMES: Final = ("accepted", "done", "failed", "waiting")
_ENDS: Final = {"sent": "done", "delivered": "done", "skipped": "done", "failed": "failed", "expired": "failed"}
_FIELDS: Final = tuple(f"{side}:{name}" for side in SIDES for name in _NAMES)


@dataclass(frozen=True, slots=True)
class Flow:
    """
    One side in one minute. `waiting` is how many were not settled when it ended; what a user cancelled is neither done
    nor failed.
    """

    accepted: int
    done: int
    failed: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Minute:
    """
    A minute by its number, unix time / 60, in both directions.
    """

    minute: int
    commands: Flow
    events: Flow


class History:
    """
    Reads what the reports have written.
    """

    def __init__(self, connections: Connections, settings: Settings) -> None:
        self._connections = connections
        self._prefix = settings.key_prefix

    async def last_hour(self, user_id: str) -> list[Minute]:
        """
        Return 60 minutes, oldest first; the last one is under way. What happened in the last 3 s may be missing.
        """
        client = self._connections.commands
        account = AccountKeys(self._prefix, user_id)
        newest = await redis_ms(client, keys.totals(self._prefix)) // MINUTE_MS
        minutes = range(newest - MINUTES + 1, newest + 1)
        fields = [f"{user_id}:{field}" for field in _FIELDS]
        pipe = client.pipeline(transaction=False)
        for minute in minutes:
            pipe.hmget(keys.history(self._prefix, minute), fields)
        for side in SIDES:
            for stream in account.side(side):
                pipe.xlen(stream.stream)
        with mapped():
            replies = await pipe.execute()
        rows, (commands, bulk, events) = replies[:MINUTES], replies[MINUTES:]
        half = len(_NAMES)
        return [
            Minute(minute, *both)
            for minute, *both in zip(
                minutes,
                filled([row[:half] for row in rows], commands + bulk),
                filled([row[half:] for row in rows], events),
                strict=True,
            )
        ]


def filled(rows: Sequence[Sequence[str | None]], now_waiting: int) -> list[Flow]:
    """
    Read one side's minutes, oldest first, each as accepted, done, failed, waiting.

    How many wait is written only where something changed: in between it stays. What is before the first of these
    follows from what came and went in its minute. The last one is what waits now.
    """
    flows = [Flow(*(round(float(value or 0)) for value in row)) for row in rows]
    first = next((flow for flow, row in zip(flows, rows, strict=True) if row[-1] is not None), None)
    waiting = now_waiting
    if first is not None:
        waiting = max(0, first.waiting - first.accepted + first.done + first.failed)
    found = []
    for flow, row in zip(flows, rows, strict=True):
        waiting = waiting if row[-1] is None else flow.waiting
        found.append(Flow(flow.accepted, flow.done, flow.failed, waiting))
    last = found[-1]
    return [*found[:-1], Flow(last.accepted, last.done, last.failed, now_waiting)]


def flows(grown: Mapping[Sample, float]) -> dict[tuple[str, Side, str], float]:
    """
    Return what the history keeps of what was counted: by account, side and name.
    """
    found: dict[tuple[str, Side, str], float] = {}
    for sample, growth in grown.items():
        side, _, what = sample.name.removeprefix("avito_gateway_").removesuffix("_total").partition("_")
        labels = dict(sample.labels)
        name = "accepted" if what == "accepted" else _ENDS.get(labels.get("outcome", ""))
        if name is None or what not in ("accepted", "finished"):
            continue
        key: tuple[str, Side, str] = (labels["account"], "commands" if side == "commands" else "events", name)
        found[key] = found.get(key, 0.0) + growth
    return found
