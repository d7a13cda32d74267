"""
What leaves for n8n: a full queue, one webhook after the other, and what becomes of them while n8n is down.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

from bench.load import Plan, Result
from bench.processes import OWN, answer, environment, free_port, load, peer_command, peer_ingress, running, serving
from bench.rows.turns import in_turns
from bench.samples import CHATS, USER_ID, chat, webhook_body
from bench.sink import Sink, sink
from bench.stats import of_latencies, quantile
from bench.store import PREFIX, Store
from bench.table import OURS, P50, P99, RATE, Row, Run, at_least, at_most, ratio
from common.queue.connection import connect
from common.queue.intake import Intake, NewEvent
from common.queue.keys import AccountKeys
from common.queue.records import timeline
from forwarder.chat import Ad, Chat, to_json

AT_ONCE: Final = 64
_FORWARDED: Final = 8000
_WARM_UP: Final = 1000
_SAMPLED: Final = 2000
_HTTPX: Final = "one shared httpx client, no queue"
_AIOHTTP: Final = "aiohttp, no queue"
_ROUTE: Final = "FastAPI route that forwards"

_PER_S: Final = 200.0
_CONNECTIONS: Final = 64
_DOWN_AFTER_S: Final = 3.0
_DOWN_S: Final = 60.0
_UP_S: Final = 5.0
_HEALS_S: Final = 90.0


async def forwarded(store: Store) -> Row:
    """
    Measure how fast a queue of events reaches n8n.
    """
    async with sink() as n8n:
        entrants = await in_turns(
            {
                OURS: lambda: _own(store, n8n, 1),
                _HTTPX: lambda: _plain("httpx", n8n),
                _AIOHTTP: lambda: _plain("aiohttp", n8n),
            },
            store.runs,
        )
    return Row(
        f"Events forwarded to a local sink, {AT_ONCE} in flight",
        entrants,
        (
            at_least("1 500 a second", entrants[0].median(RATE), 1500),
            at_most("p99 of a request below 120 ms", entrants[0].median(P99), 120),
            at_least("60 % of the plain httpx loop", ratio(entrants, RATE, OURS, _HTTPX), 0.6),
            at_least("60 % of the plain aiohttp loop", ratio(entrants, RATE, OURS, _AIOHTTP), 0.6),
        ),
        (RATE, P99),
        "The rate is that at which the sink sees messages, once the first thousand are through; the times are"
        " those of one"
        " request. The gateway also reads each webhook, adds names and ad, signs it, keeps the chat's order, and"
        " settles it"
        " with a record of the attempt.",
    )


async def by_processes(store: Store) -> Row:
    """
    Measure one, two and three forwarders side by side.
    """
    async with sink() as n8n:
        names = {1: f"{OURS}, 1 process", 2: f"{OURS}, 2 processes", 3: f"{OURS}, 3 processes"}
        entrants = await in_turns(
            {name: partial(_own, store, n8n, count) for count, name in names.items()}, min(store.runs, 3)
        )
    return Row(
        "Growth: 1, 2 and 3 forwarder processes",
        entrants,
        charts=(RATE,),
        note="All share one Redis, one sink and the two cores, so this shows that processes do not get into each"
        " other's way,"
        " not how far they scale; docs/scaling.md has messages that take a while.",
    )


async def end_to_end(store: Store) -> Row:
    """
    Measure from a webhook's arrival until n8n has it.
    """
    async with sink() as n8n, AsyncExitStack() as stack:
        await store.empty()
        await know_chats(store)
        own = await stack.enter_async_context(_gateway(store, n8n))
        route = await stack.enter_async_context(peer_ingress(store.folder, "web_forward", n8n.url))
        entrants = await in_turns({OURS: lambda: _passed(own, n8n), _ROUTE: lambda: _passed(route, n8n)}, store.runs)
    return Row(
        f"End to end: webhook to n8n, {_PER_S:.0f} a second",
        entrants,
        (at_most("p99 below 25 ms", entrants[0].median(P99), 25),),
        (P99,),
        "All three roles in one process. The route answers Avito only when n8n has answered.",
    )


async def n8n_down(store: Store) -> Row:
    """
    Count what is lost while n8n is down.
    """
    async with sink() as n8n, AsyncExitStack() as stack:
        await store.empty()
        await know_chats(store)
        own = await stack.enter_async_context(_gateway(store, n8n))
        route = await stack.enter_async_context(peer_ingress(store.folder, "web_forward", n8n.url))
        entrants = await in_turns({OURS: lambda: _survived(own, n8n), _ROUTE: lambda: _survived(route, n8n)}, 1)
    return Row(
        f"n8n down for {_DOWN_S:.0f} s at {_PER_S:.0f} webhooks a second",
        entrants,
        (at_most("nothing lost", entrants[0].median("never reached n8n"), 0),),
        ("never reached n8n",),
        "Connections are refused meanwhile. Refused webhooks come again only if Avito repeats them, which it does not"
        " promise; here nobody repeats. Delivered is counted"
        f" until {_HEALS_S:.0f} s after n8n is back. docs/guarantees.md has the longer outages.",
    )


async def _own(store: Store, n8n: Sink, processes: int) -> Run:
    """
    Fill the queue, start the forwarders, and look at what reaches n8n; request times are those of the records.
    """
    await store.empty()
    await know_chats(store)
    await fill_events(store, _FORWARDED)
    n8n.came.clear()
    settings = _environment(store, n8n, free_port())
    async with AsyncExitStack() as stack:
        for number in range(processes):
            command = (*OWN, "gateway", "run", "forwarder")
            await stack.enter_async_context(running(store.folder, f"forwarder-{number}", command, settings))
        whole = await n8n.has(_FORWARDED, 60.0)
    assert whole, f"{len(n8n.came)} of {_FORWARDED} reached n8n"
    took_ms = await _request_ms(store)
    return {RATE: _rate(n8n), P50: quantile(took_ms, 0.5), P99: quantile(took_ms, 0.99)}


async def _plain(library: str, n8n: Sink) -> Run:
    n8n.came.clear()
    lines = b"\n".join(webhook_body("plain", number) for number in range(CHATS))
    p50_ms, p99_ms = await answer((*peer_command("forward.py"), library, n8n.url, str(_FORWARDED)), {}, lines)
    assert len(n8n.came) == _FORWARDED
    return {RATE: _rate(n8n), P50: p50_ms, P99: p99_ms}


def _rate(n8n: Sink) -> float:
    (first_s, _), (last_s, _) = n8n.came[_WARM_UP], n8n.came[-1]
    return (len(n8n.came) - _WARM_UP) / (last_s - first_s)


async def _request_ms(store: Store) -> Sequence[float]:
    keys = AccountKeys(PREFIX, USER_ID)
    pipe = store.connections.commands.pipeline(transaction=False)
    for number in range(_FORWARDED - _SAMPLED, _FORWARDED):
        pipe.hgetall(keys.event(_id("own", number)))
    attempts = [line for fields in await pipe.execute() for line in timeline(fields) if "ms" in line]
    return [float(str(attempt["ms"])) for attempt in attempts]


async def fill_events(store: Store, count: int) -> None:
    """
    Put so many webhooks into the queue, chat by chat in turn.
    """
    connections = connect(store.url)
    intake = Intake(connections, store.settings)
    events = [
        NewEvent(id=_id("own", number), chat_id=chat(number), body=webhook_body("own", number).decode())
        for number in range(count)
    ]
    for first in range(0, count, 1000):
        await asyncio.gather(*(intake.event(USER_ID, event) for event in events[first : first + 1000]))
    await intake.stop()
    await connections.aclose()


def _id(tag: str, number: int) -> str:
    return f"{tag}{number:016x}"


async def know_chats(store: Store) -> None:
    """
    Put names and ads where the forwarder keeps them for a day: nobody answers for Avito here.
    """
    keys = AccountKeys(PREFIX, USER_ID)
    known = to_json(Chat({"121000002": "Anna"}, Ad("Front bumper", "https://www.avito.ru/7463700001", "12 000 ₽")))
    pipe = store.connections.commands.pipeline(transaction=False)
    for number in range(CHATS):
        pipe.set(keys.chat(chat(number)), known)
    await pipe.execute()


def _environment(store: Store, n8n: Sink, port: int) -> Mapping[str, str]:
    return environment(store.url, port, PREFIX) | {
        "N8N_WEBHOOK_URL": n8n.url,
        "N8N_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "FORWARD_CONCURRENCY": str(AT_ONCE),
        "RECONCILE_INTERVAL": "0",
    }


@asynccontextmanager
async def _gateway(store: Store, n8n: Sink) -> AsyncIterator[int]:
    port = free_port()
    async with serving(store.folder, "gateway", (*OWN, "gateway", "run"), _environment(store, n8n, port), port):
        yield port


async def _passed(port: int, n8n: Sink) -> Run:
    n8n.came.clear()
    tag, result = await _post(port, count=1000, warm_up=200)
    assert await n8n.has(1200, 20.0), f"{len(n8n.came)} of 1200 reached n8n"
    firsts_s = n8n.firsts_s()
    took_s = [firsts_s[_id(tag, number + 200)] - due_s for number, due_s in enumerate(result.due_s)]
    return of_latencies(took_s).figures()


async def _survived(port: int, n8n: Sink) -> Run:
    n8n.came.clear()
    count = round((_DOWN_AFTER_S + _DOWN_S + _UP_S) * _PER_S)
    posting = asyncio.create_task(_post(port, count=count, warm_up=0))
    await asyncio.sleep(_DOWN_AFTER_S)
    await n8n.down()
    await asyncio.sleep(_DOWN_S)
    await n8n.up()
    _, result = await posting
    await _until(lambda: len(n8n.firsts_s()) >= count, _HEALS_S)
    return {
        "webhooks": count,
        "answered 200": result.good,
        "never reached n8n": count - len(n8n.firsts_s()),
        "more than once": len(n8n.came) - len(n8n.firsts_s()),
    }


async def _until(done: Callable[[], bool], longest_s: float) -> None:
    try:
        async with asyncio.timeout(longest_s):
            while not done():  # noqa: ASYNC110 - it is counted by id
                await asyncio.sleep(0.5)
    except TimeoutError:
        return


async def _post(port: int, *, count: int, warm_up: int) -> tuple[str, Result]:
    tag = secrets.token_hex(8)
    plan = Plan("webhook", port, 0, _CONNECTIONS, warm_up=warm_up, count=count, longest_s=120.0, per_s=_PER_S, tag=tag)
    return tag, await load(plan)
