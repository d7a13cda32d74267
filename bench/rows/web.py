"""
What is accepted over HTTP: by the gateway, by FastAPI and by Litestar with one XADD a request, and by the least that
answers at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Final

from bench.load import LoadError, Plan
from bench.processes import ProcessError, bare_ingress, ingress, load, peer_ingress
from bench.rows.turns import MeasureRun, in_turns
from bench.samples import BULK, USER_ID
from bench.store import PREFIX, Store
from bench.table import OURS, P50, P99, RATE, Entrant, Row, Run, at_least, at_most, ratio
from common.queue.keys import AccountKeys

CONNECTIONS: Final = 64
CEILING: Final = "ASGI + group commit (ceiling)"
FASTAPI: Final = "FastAPI + XADD"
LITESTAR: Final = "Litestar + XADD"
_PEERS: Final = {FASTAPI: "web_fastapi", LITESTAR: "web_litestar"}
_STREAM: Final = "bench:accepted"


async def webhooks(store: Store) -> Row:
    """
    Measure webhooks with a secret and ids that were never seen, as many as 64 connections get through.
    """
    entrants = await _measured(store, Plan("webhook", 0, 200, CONNECTIONS), ceiling=True)
    by_name = {entrant.name: entrant for entrant in entrants}
    return Row(
        f"Webhooks accepted, {CONNECTIONS} connections",
        entrants,
        (
            at_least("7 000 a second", by_name[OURS].median(RATE), 7000),
            at_least("2 times FastAPI's rate", ratio(entrants, RATE, OURS, FASTAPI), 2),
            at_most("a fifth of FastAPI's p99", ratio(entrants, P99, OURS, FASTAPI), 0.2),
            at_least("half of the ceiling", ratio(entrants, RATE, OURS, CEILING), 0.5),
        ),
        (RATE, P99),
        "The gateway checks the secret, reads the webhook, removes duplicates, writes a record and a log line;"
        " FastAPI and"
        " Litestar check the secret, validate (pydantic, msgspec) and XADD; the ceiling XADDs what it gets,"
        " without a look.",
    )


async def webhooks_paced(store: Store) -> Row:
    """
    Measure webhooks at 500 a second.
    """
    plan = Plan("webhook", 0, 200, 16, warm_up=250, count=1500, per_s=500)
    entrants = await _measured(store, plan, ceiling=True)
    ours = entrants[0]
    return Row(
        "Webhooks at 500 a second, 16 connections",
        entrants,
        (at_most("p50 below 2 ms", ours.median(P50), 2), at_most("p99 below 6 ms", ours.median(P99), 6)),
        (P99,),
        "Sent by the clock; what finds no free connection waits for one, and that counts.",
    )


async def sends(store: Store) -> Row:
    """
    Measure texts to send.
    """
    entrants = await _measured(store, Plan("send", 0, 202, CONNECTIONS, count=8000))
    return Row(
        f"REST sends accepted, {CONNECTIONS} connections",
        entrants,
        (at_least("5 000 a second", entrants[0].median(RATE), 5000),),
        (RATE,),
    )


async def sends_with_key(store: Store) -> Row:
    """
    Measure texts to send, each with an idempotency key of its own.
    """
    entrants = await _measured(store, Plan("send with a key", 0, 202, CONNECTIONS, count=8000))
    return Row(
        f"REST sends with Idempotency-Key, {CONNECTIONS} connections",
        entrants,
        (at_least("5 000 a second", entrants[0].median(RATE), 5000),),
        (RATE,),
        "FastAPI and Litestar keep a key by SET NX, then XADD: two trips, and a crash between them loses the"
        " message for"
        " good. The gateway keeps it in the script that stores the message.",
    )


async def bulk(store: Store) -> Row:
    """
    Measure bulk requests of the largest size, one after the other.
    """
    plan = Plan("bulk", 0, 202, connections=1, warm_up=1, count=3)
    entrants = await _measured(store, plan, bulk=True)
    return Row(
        f"Messages accepted in bulk, {BULK} a request",
        entrants,
        (at_least("30 000 a second", entrants[0].median(RATE), 30_000),),
        (RATE,),
        "The others store 10 000 entries by one pipeline, without record, key or check of the queue's length.",
    )


async def _measured(store: Store, plan: Plan, *, ceiling: bool = False, bulk: bool = False) -> tuple[Entrant, ...]:
    keys = AccountKeys(PREFIX, USER_ID)
    own = keys.events if plan.kind == "webhook" else keys.bulk if bulk else keys.commands
    async with _running(store, ceiling=ceiling) as ports:
        entrants: dict[str, MeasureRun] = {}
        for name, port in ports.items():
            stream = own.stream if name == OURS else _STREAM
            entrants[name] = _run(store, stream, port, plan, BULK if bulk else 1)
        return await in_turns(entrants, store.runs)


@asynccontextmanager
async def _running(store: Store, *, ceiling: bool) -> AsyncIterator[Mapping[str, int | Exception]]:
    """
    Start all of them; one that does not start is measured as a failure, and the others all the same.
    """
    async with AsyncExitStack() as stack:
        ports: dict[str, int | Exception] = {}
        ports[OURS] = await stack.enter_async_context(ingress(store.folder, store.url, PREFIX))
        for name, program in _PEERS.items():
            try:
                peer = peer_ingress(store.folder, program, store.url, _STREAM)
                ports[name] = await stack.enter_async_context(peer)
            except ProcessError as error:
                ports[name] = error
        if ceiling:
            ports[CEILING] = await stack.enter_async_context(bare_ingress(store.folder, store.url, _STREAM))
        yield ports


def _run(store: Store, stream: str, port: int | Exception, plan: Plan, messages_each: int) -> MeasureRun:
    async def run() -> Run:
        """
        Post; what was answered must lie in the stream.
        """
        if isinstance(port, Exception):
            raise port
        await store.empty()
        result = await load(replace(plan, port=port))
        stored, accepted = await store.length(stream), result.answered * messages_each
        if stored != accepted:
            raise LoadError(f"{accepted} were accepted, but {stored} are stored")
        figures = result.measurement.figures()
        if plan.kind == "bulk":
            # The time of a request is that of all its messages, and stands in no row beside that of one.
            return {RATE: figures[RATE] * messages_each}
        return figures if not plan.per_s else {name: figures[name] for name in (P50, P99)}

    return run
