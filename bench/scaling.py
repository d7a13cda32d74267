"""
`python -m bench.scaling`: measure what scales by what, and write it into `docs/scaling.md`.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from redis.crc import key_slot

from bench.hardware import describe
from bench.idle import Idle, idle
from bench.isolation import QUEUED, fill, neighbours
from bench.loop import new_runner
from bench.processes import ROOT, end, plain_environment
from bench.replica import Plan
from bench.stats import Measurement
from common import log
from common.queue.connection import Connections, connect
from common.queue.keys import AccountKeys, workers
from common.settings import load
from tests import servers, topologies

PAGE: Final = Path(__file__).resolve().parents[1] / "docs/scaling.md"
LIMIT_PER_S: Final = 50
TAKES_S: Final = 0.02
MANY: Final = 200

_BEGIN: Final = "<!-- measured: {}, written by `make scaling`, do not edit -->"
_END: Final = "<!-- measured: end -->"
_WATCH_S: Final = 4.0
_SEARCH_S: Final = 100.0
_START_S: Final = 30.0


def accounts_of(count: int) -> tuple[str, ...]:
    """
    Return ids of accounts that lie on the three masters of a cluster in turn.
    """
    by_master: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for number in range(100_000_001, 100_000_400):
        by_master[key_slot(f"{{{number}}}".encode()) // 5462].append(str(number))
    return tuple(by_master[n % 3][n // 3] for n in range(count))


async def rate(url: str, plans: Sequence[Plan], backlog: int) -> float:
    """
    Return how many messages a second leave the queues while these replicas drain them, all started and none done.
    """
    connections = connect(url)
    streams = [AccountKeys(plans[0].prefix, name).commands.stream for name in plans[0].accounts]
    try:
        for stream in streams:
            await fill(connections, stream, backlog)
        async with _replicas(plans, connections):
            before, began_s = await _left(connections, streams), time.perf_counter()
            await asyncio.sleep(_WATCH_S)
            after, took_s = await _left(connections, streams), time.perf_counter() - began_s
        assert min(after) > 0, "the backlog was too short"
        return (sum(before) - sum(after)) / took_s
    finally:
        for stream in streams:
            await connections.commands.delete(stream)
        await connections.aclose()


async def _left(connections: Connections, streams: Sequence[str]) -> list[int]:
    return [int(await connections.commands.xlen(stream)) for stream in streams]


@asynccontextmanager
async def _replicas(plans: Sequence[Plan], connections: Connections) -> AsyncIterator[None]:
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.replica", plan.to_json(), cwd=ROOT, env=plain_environment()
        )
        for plan in plans
    ]
    try:
        async with asyncio.timeout(_START_S):
            while await connections.commands.zcard(workers(plans[0].prefix)) < len(plans):  # noqa: ASYNC110 - in Redis
                await asyncio.sleep(0.05)
        # The first second is that of the start.
        await asyncio.sleep(1.0)
        yield
    finally:
        await asyncio.gather(*(end(process) for process in started))


def _prefix() -> str:
    return f"scaling-{secrets.token_hex(4)}"


async def by_accounts(url: str) -> str:
    """
    Measure one process with 1 to 8 accounts, each at its limit.
    """
    rows = []
    for count in (1, 2, 4, 8):
        plan = Plan(url, _prefix(), accounts_of(count), TAKES_S, per_s=LIMIT_PER_S)
        rows.append((count, await rate(url, [plan], 1000)))
    return _table(
        ("accounts, one process", f"messages a second, limit {LIMIT_PER_S} a second each", "of the sum of the limits"),
        [(str(n), f"{per_s:.0f}", f"{per_s / (n * LIMIT_PER_S):.0%}") for n, per_s in rows],
    )


async def by_replicas(url: str) -> str:
    """
    Measure one account without a rate and 1 to 3 processes, each message taking a while.
    """
    rows = []
    for count in (1, 2, 3):
        prefix = _prefix()
        rows.append((count, await rate(url, [Plan(url, prefix, accounts_of(1), TAKES_S)] * count, 20_000)))
    alone = rows[0][1]
    ms = round(TAKES_S * 1000)
    return _table(
        ("processes, 20 at once each", f"messages a second, {ms} ms each", "times one process"),
        [(str(n), f"{per_s:.0f}", f"{per_s / alone:.2f}") for n, per_s in rows],
    )


async def by_redis(single: str, cluster: str) -> str:
    """
    Measure six accounts and two processes with a handler that does nothing, on one server and on a cluster.
    """
    rows = []
    for name, url in (("one server", single), ("cluster of three", cluster)):
        prefix = _prefix()
        rows.append((name, await rate(url, [Plan(url, prefix, accounts_of(6))] * 2, 30_000)))
    return _table(
        ("Redis, two processes, six accounts", "messages a second, no-op", "times one server"),
        [(name, f"{per_s:.0f}", f"{per_s / rows[0][1]:.2f}") for name, per_s in rows],
    )


async def by_neighbour(url: str) -> str:
    """
    Measure an account's latency beside one that is idle, refused, or has a long queue.
    """
    rows: list[tuple[str, Measurement]] = []
    settings = load(None, redis_url=url, key_prefix=_prefix(), max_queue_wait=1e9)
    async with neighbours(url, settings) as made:
        rows.append(("idle", await made.quietest()))
        await made.queue()
        rows.append((f"{QUEUED} queued, at its limit", await made.quietest()))
        await made.refuse()
        rows.append((f"answered 429, {await made.queued()} queued", await made.quietest()))
    alone = rows[0][1].p99_ms or 1.0
    return _table(
        ("the other account of the process", "p50 ms", "p99 ms", "p99, times idle"),
        [(name, f"{m.p50_ms:.2f}", f"{m.p99_ms:.2f}", f"{(m.p99_ms or 0) / alone:.2f}") for name, m in rows],
    )


async def by_idleness(singles: Sequence[str], nodes: Sequence[str], cluster_url: str) -> str:
    """
    Measure one process with all roles and many accounts to which nothing happens, between two searches for missed
    webhooks, and with one search of each.
    """

    async def measured(url: str, servers: Sequence[str], count: int, reconcile_s: float = 300.0) -> Idle:
        return await idle(url, servers, accounts=count, settle_s=10.0, measure_s=_SEARCH_S, reconcile_s=reconcile_s)

    # Idle as they are, they do not disturb each other.
    few, many, spread, searching = await asyncio.gather(
        measured(singles[0], singles[:1], 1),
        measured(singles[1], singles[1:2], MANY),
        measured(cluster_url, nodes, MANY),
        measured(singles[2], singles[2:], MANY, _SEARCH_S),
    )
    rows = [
        ("one server", few),
        ("one server", many),
        ("cluster of three", spread),
        (f"one server, a search each {_SEARCH_S:.0f} s", searching),
    ]
    table = _table(
        ("Redis", "idle accounts", "memory MiB", "commands a minute", "of these"),
        [
            (name, str(found.accounts), f"{found.memory_mib:.0f}", f"{found.commands_per_min:.0f}", _named(found))
            for name, found in rows
        ],
    )
    searches = (searching.commands_per_min - many.commands_per_min) * _SEARCH_S / 300.0
    both = " and ".join(f"{found.commands_per_min + searches:.0f}" for found in (many, spread))
    sums = f"Searching every 300 s, the default, adds {searches:.0f} a minute for {MANY} accounts: {both} in all."
    return f"{table}\n\n{sums}"


def _named(found: Idle) -> str:
    most = sorted(found.commands.items(), key=lambda item: -item[1])[:4]
    return ", ".join(f"{name} {count:.0f}" for name, count in most)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def written(page: str, name: str, text: str) -> str:
    """
    Return the page with this text between the marks of that name.
    """
    begin = _BEGIN.format(name)
    part = re.compile(f"{re.escape(begin)}.*?{re.escape(_END)}", re.DOTALL)
    assert part.search(page), f"the page has no {begin}"
    return part.sub(lambda _: f"{begin}\n\n{text}\n\n{_END}", page)


@contextmanager
def _servers() -> Iterator[tuple[list[str], topologies.Cluster]]:
    with ExitStack() as stack:
        singles = [stack.enter_context(servers.embedded()).connection_url for _ in range(3)]
        yield singles, stack.enter_context(topologies.cluster())


async def measure(names: Sequence[str]) -> None:
    """
    Measure what was named, print it, and write it into the page.
    """
    with _servers() as (singles, cluster):
        nodes = [node.connection_url for node in cluster.nodes]
        parts = {
            "accounts": lambda: by_accounts(singles[0]),
            "replicas": lambda: by_replicas(singles[0]),
            "redis": lambda: by_redis(singles[0], cluster.url),
            "neighbours": lambda: by_neighbour(singles[0]),
            "idle": lambda: by_idleness(singles, nodes, cluster.url),
        }
        page = PAGE.read_text(encoding="utf-8")
        for name in names or parts:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            table = await parts[name]()
            print(table, end="\n\n", flush=True)
            page = written(page, name, table)
        told = await version_of(singles[0])
    day = datetime.now(UTC).date().isoformat()
    page = written(page, "machine", f"Measured {day}: {describe(told, asyncio.get_running_loop())}.")
    PAGE.write_text(page, encoding="utf-8")


async def version_of(url: str) -> str:
    """
    Return a server's name and version.
    """
    connections = connect(url)
    try:
        info = await connections.commands.info("server")
    finally:
        await connections.aclose()
    return f"Valkey {info['valkey_version']}"


def main() -> None:
    """
    Measure the parts that were named, or all.
    """
    log.configure("console", "error")
    with new_runner() as runner:
        runner.run(measure(sys.argv[1:]))


if __name__ == "__main__":
    main()
