"""
The rows of the table: what is measured, how often, and which floor it has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from bench import bare
from bench.drain import drain, idle_latency
from bench.load import LoadError, Plan
from bench.processes import bare_ingress, ingress, load
from bench.samples import BULK, CHATS, USER_ID
from bench.stats import Measurement
from bench.store import PREFIX, Store
from bench.table import Row
from common.queue.keys import AccountKeys

RUNS: Final = 5
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
    runs, ceiling = [], []
    async with (
        ingress(store.folder, store.url, PREFIX) as port,
        bare_ingress(store.folder, store.url, stream) as bare_port,
    ):
        for _ in range(RUNS):
            runs.append(await _posted(store, stream, Plan("webhook", port, 200, CONNECTIONS)))
            ceiling.append(await _posted(store, stream, Plan("webhook", bare_port, 200, CONNECTIONS)))
    return Row(
        f"webhooks accepted, {CONNECTIONS} connections",
        tuple(runs),
        WEBHOOK_FLOOR_PER_S,
        Row("- ceiling: plain ASGI, one XADD each by group commit", tuple(ceiling)),
    )


async def sends(store: Store) -> Row:
    """
    Texts to send, with the API key, taken by one ingress process.
    """
    stream = AccountKeys(PREFIX, USER_ID).commands.stream
    async with ingress(store.folder, store.url, PREFIX) as port:
        plan = Plan("send", port, 202, CONNECTIONS, count=8000)
        runs = [await _posted(store, stream, plan) for _ in range(RUNS)]
    return Row(f"REST sends accepted, {CONNECTIONS} connections", tuple(runs))


async def bulk(store: Store) -> Row:
    """
    Messages in bulk requests of the largest size, one request after the other.
    """
    stream = AccountKeys(PREFIX, USER_ID).bulk.stream
    async with ingress(store.folder, store.url, PREFIX) as port:
        plan = Plan("bulk", port, 202, connections=1, warm_up=1, count=3)
        runs = [await _posted(store, stream, plan, messages_each=BULK) for _ in range(RUNS)]
    # The time of a request is that of all its messages, and stands in no row beside that of one.
    return Row(f"messages accepted in bulk, {BULK} a request", tuple(Measurement(run.rate_per_s) for run in runs))


async def drained(store: Store) -> Row:
    """
    Commands of many chats through one dispatcher with a handler that does nothing.
    """
    runs, ceiling = [], []
    for _ in range(RUNS):
        runs.append(await drain(store, count=_DRAINED, chats=CHATS))
        ceiling.append(await bare.drain(store, count=_DRAINED))
    return Row(
        f"queue drained, no-op handler, {CHATS} chats in order",
        tuple(runs),
        DRAIN_FLOOR_PER_S,
        Row("- ceiling: bare XREADGROUP, XACK, XDEL", tuple(ceiling)),
    )


async def latency(store: Store) -> Row:
    """
    How soon the handler of an idle dispatcher has a command.
    """
    runs = tuple([await idle_latency(store, count=_LATENCY_COUNT, per_s=_LATENCY_PER_S) for _ in range(RUNS)])
    return Row(f"handed in to handler, idle, {_LATENCY_PER_S:.0f}/s", runs)


ROWS: Final[tuple[MeasureRow, ...]] = (webhooks, drained, sends, bulk, latency)


async def _posted(store: Store, stream: str, plan: Plan, *, messages_each: int = 1) -> Measurement:
    """
    Post to one ingress process; what was answered must lie in the stream.
    """
    await store.empty()
    result = await load(plan)
    stored = await store.length(stream)
    if stored != result.answered * messages_each:
        raise LoadError(f"{result.answered * messages_each} were accepted, but {stored} are stored")
    rate_per_s = result.measurement.rate_per_s
    assert rate_per_s is not None
    return replace(result.measurement, rate_per_s=rate_per_s * messages_each)
