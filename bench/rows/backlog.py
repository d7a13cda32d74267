"""
Whether a long queue, or many accounts, make the queue slower.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.asyncio import Redis

from bench.drain import NO_RATE
from bench.rows.turns import MeasureRun, in_turns
from bench.stats import quantile
from bench.store import PREFIX, Store
from bench.table import RATE, Row, Run, at_most, ratio
from common.queue import scripts
from common.queue.connection import connect
from common.queue.entry import Entry
from common.queue.gate import Gate, Permit
from common.queue.keys import AccountKeys
from common.queue.outcomes import Done, Outcome
from common.queue.role import Role

_ACCOUNT: Final = "100000001"
_AT_ONCE: Final = 64
_HANDLED: Final = 10_000
_MANY: Final = 1_000_000
_MANY_CHATS: Final = 100_000
_FOLLOW_UPS: Final = 100_000
_EACH: Final = 2000
_TAKE: Final = "take, p99 us"
_SETTLE: Final = "settle, p99 us"
_FILL: Final = """
for n = ARGV[1], ARGV[2] do
  redis.call('XADD', KEYS[1], '*', 'kind', 'text', 'chat_id', 'c' .. n % ARGV[3], 'body', '{"text":"Yes."}')
end
"""
_CHUNK: Final = 20_000
# Hardly a command that a script calls takes as long, so those are not logged beside it, which would make it longer.
_LOGGED_US: Final = 20
# What fills a queue, and the log of a whole run, take longer than a command may in the program.
_PATIENT_S: Final = 60.0


async def backlog(store: Store) -> Row:
    """
    Measure the scripts on a short queue, on a long one, and on one chat with very many messages.
    """
    short, long = f"{_HANDLED} in {_MANY_CHATS} chats", f"{_MANY} in {_MANY_CHATS} chats"
    few, many = f"one chat, {_EACH} messages", f"one chat, {_FOLLOW_UPS} messages"
    later = f"{many}, all behind their turn"
    runs = min(store.runs, 3)
    entrants = await in_turns(
        {
            short: _scripts(store, _HANDLED, _MANY_CHATS, _HANDLED),
            long: _scripts(store, _MANY, _MANY_CHATS, _HANDLED),
            few: _scripts(store, _EACH, 1, _EACH),
            many: _scripts(store, _FOLLOW_UPS, 1, _EACH),
            later: _scripts(store, _FOLLOW_UPS, 1, _EACH, after=_EACH),
        },
        runs,
    )
    return Row(
        "Backlog: what take and settle cost the server",
        entrants,
        tuple(
            at_most(f"{name}: within 1.3 times of {base}, {figure}", ratio(entrants, figure, name, base), 1.3)
            for name, base in ((long, short), (many, few), (later, few))
            for figure in (_TAKE, _SETTLE)
        ),
        (_TAKE, _SETTLE),
        f"The server's own times (SLOWLOG) of the first {_HANDLED} messages, {_EACH} of the one chat. Each message"
        " of a chat that is busy is looked at once: a take puts some 64 of them behind their chat's turn, and"
        " that is what the first takes of a chat with very many cost.",
    )


async def by_accounts(store: Store) -> Row:
    """
    Measure one process with 1, 10 and 200 accounts that share the same number of messages.
    """
    names = {count: f"{count} account{'s' if count > 1 else ''}" for count in (1, 10, 200)}
    entrants = await in_turns({name: _drained(store, count) for count, name in names.items()}, min(store.runs, 3))
    return Row(
        "Growth: 1, 10 and 200 accounts, one process",
        entrants,
        charts=(RATE,),
        note=f"{2 * _HANDLED} messages in all, drained with a handler that does nothing, 64 at once for each"
        " account. Each account"
        " has its own streams, gate and calls, so with many a call carries few messages: the price of keeping"
        " accounts apart.",
    )


class _Counting:
    def __init__(self, count: int) -> None:
        self.all_seen = asyncio.Event()
        self._left = count

    async def __call__(self, entry: Entry, permit: Permit) -> Outcome:  # noqa: ARG002 - a handler's signature
        self._left -= 1
        if self._left <= 0:
            self.all_seen.set()
        return Done("sent")


def _scripts(store: Store, count: int, chats: int, handled: int, after: int = 0) -> MeasureRun:
    async def run() -> Run:
        await store.empty()
        await _fill(store, _ACCOUNT, count, chats)
        if after:
            await _work(store, [_ACCOUNT], after)
        async with _patient(store) as client:
            await client.config_set("slowlog-max-len", 200_000)
            await client.config_set("slowlog-log-slower-than", _LOGGED_US)
            await client.slowlog_reset()
            await _work(store, [_ACCOUNT], handled)
            await client.config_set("slowlog-log-slower-than", -1)
            log: list[Any] = await client.slowlog_get(200_000)
            await client.slowlog_reset()
        figures = {}
        for name, script in ((_TAKE, scripts.TAKE), (_SETTLE, scripts.SETTLE)):
            took_us = [line["duration"] for line in log if script.digest.encode() in line["command"][:60]]
            figures[name] = quantile(took_us, 0.99)
        return figures

    return run


def _drained(store: Store, accounts: int) -> MeasureRun:
    names = [str(100_000_001 + number) for number in range(accounts)]

    async def run() -> Run:
        await store.empty()
        for name in names:
            await _fill(store, name, 2 * _HANDLED // accounts, 500)
        began_s = time.perf_counter()
        await _work(store, names, 2 * _HANDLED)
        return {RATE: 2 * _HANDLED / (time.perf_counter() - began_s)}

    return run


async def _fill(store: Store, account: str, count: int, chats: int) -> None:
    stream = AccountKeys(PREFIX, account).commands.stream
    async with _patient(store) as client:
        for first in range(0, count, _CHUNK):
            await client.eval(_FILL, 1, stream, first, min(first + _CHUNK, count) - 1, chats)


@asynccontextmanager
async def _patient(store: Store) -> AsyncIterator[Redis]:
    connections = connect(store.url, timeout_s=_PATIENT_S)
    try:
        yield connections.commands
    finally:
        await connections.aclose()


async def _work(store: Store, accounts: list[str], count: int) -> None:
    handler = _Counting(count)
    gates = {name: Gate(store.connections, AccountKeys(PREFIX, name), "avito", NO_RATE) for name in accounts}
    role = Role(
        "dispatcher",
        store.connections,
        PREFIX,
        {name: (gate, handler) for name, gate in gates.items()},
        capacity=_AT_ONCE,
        grace_s=5.0,
    )
    running = asyncio.create_task(role.run())
    try:
        await asyncio.wait_for(handler.all_seen.wait(), 60.0)
    finally:
        role.stop()
        await running
