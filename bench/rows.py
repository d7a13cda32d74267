"""
The rows of the table: what is measured, how often, and which floor it has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from bench.drain import drain, idle_latency
from bench.load import LoadError, Plan
from bench.processes import ingress, load
from bench.samples import CHATS, USER_ID
from bench.stats import Measurement
from bench.store import PREFIX, Store
from bench.table import Row
from common.queue.keys import AccountKeys

RUNS: Final = 3
CONNECTIONS: Final = 64
WEBHOOK_FLOOR_PER_S: Final = 7000.0
DRAIN_FLOOR_PER_S: Final = 10_000.0

_DRAINED: Final = 20_000
_LATENCY_COUNT: Final = 300
_LATENCY_PER_S: Final = 100.0

MeasureRow = Callable[[Store], Awaitable[Row]]


async def webhooks(store: Store) -> Row:
    """
    Webhooks with a secret and ids that were never seen, taken by one ingress process.
    """
    stream = AccountKeys(PREFIX, USER_ID).events.stream
    runs = await _posted(store, stream, lambda port: Plan("webhook", port, 200, CONNECTIONS))
    return Row(f"webhooks accepted, {CONNECTIONS} connections", runs, WEBHOOK_FLOOR_PER_S)


async def sends(store: Store) -> Row:
    """
    Texts to send, with the API key, taken by one ingress process.
    """
    stream = AccountKeys(PREFIX, USER_ID).commands.stream
    runs = await _posted(store, stream, lambda port: Plan("send", port, 202, CONNECTIONS, count=8000))
    return Row(f"REST sends accepted, {CONNECTIONS} connections", runs)


async def drained(store: Store) -> Row:
    """
    Commands of many chats through one dispatcher with a handler that does nothing.
    """
    runs = tuple([await drain(store, count=_DRAINED, chats=CHATS) for _ in range(RUNS)])
    return Row(f"queue drained, no-op handler, {CHATS} chats in order", runs, DRAIN_FLOOR_PER_S)


async def latency(store: Store) -> Row:
    """
    How soon the handler of an idle dispatcher has a command.
    """
    runs = tuple([await idle_latency(store, count=_LATENCY_COUNT, per_s=_LATENCY_PER_S) for _ in range(RUNS)])
    return Row(f"handed in to handler, idle, {_LATENCY_PER_S:.0f}/s", runs)


ROWS: Final[tuple[MeasureRow, ...]] = (webhooks, drained, sends, latency)


async def _posted(store: Store, stream: str, plan: Callable[[int], Plan]) -> tuple[Measurement, ...]:
    """
    Post to one ingress process, run after run; what was answered must lie in the stream.
    """
    runs = []
    async with ingress(store.folder, store.url, PREFIX) as port:
        for _ in range(RUNS):
            await store.empty()
            result = await load(plan(port))
            stored = await store.length(stream)
            if stored != result.answered:
                raise LoadError(f"{result.answered} were accepted, but {stored} are stored")
            runs.append(result.measurement)
    return tuple(runs)
