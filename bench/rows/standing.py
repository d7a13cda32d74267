"""
What it costs while nothing happens, or while much waits: memory, and commands to Redis.
"""

from __future__ import annotations

import asyncio
import resource
from contextlib import AsyncExitStack
from typing import Final

from bench.drain import fill
from bench.idle import count, idle, memory_mib
from bench.load import HOST
from bench.processes import OWN, ProcessError, environment, free_port, running, serving
from bench.rows.queues import PEERS, command
from bench.rows.turns import MeasureRun, in_turns
from bench.store import PREFIX, Store, open_store
from bench.table import OURS, Entrant, Row, Run, at_most

COMMANDS: Final = "Redis commands a minute"
MEMORY: Final = "MiB"
_SETTLE_S: Final = 10.0
_MEASURE_S: Final = 60.0
_QUEUED: Final = 100_000
_CONNECTIONS: Final = 1000


async def idle_costs(store: Store) -> Row:
    """
    Count what an idle gateway, and an idle worker of each other library, asks Redis; all at once, each on its own.
    """

    async def own() -> Run:
        found = await idle(store.url, [store.url], accounts=1, settle_s=_SETTLE_S, measure_s=_MEASURE_S)
        return {COMMANDS: found.commands_per_min, MEMORY: found.memory_mib}

    entrants = [
        entrant
        for (entrant,) in await asyncio.gather(
            in_turns({OURS: own}, 1), *(in_turns({name: _other(program)}, 1) for name, program in PEERS.items())
        )
    ]
    return Row(
        "Idle: commands to Redis and memory",
        tuple(entrants),
        (
            at_most("250 commands a minute", entrants[0].median(COMMANDS), 250),
            at_most("90 MiB, all roles in one process", entrants[0].median(MEMORY), 90),
        ),
        (COMMANDS, MEMORY),
        f"Counted with MONITOR for {_MEASURE_S:.0f} s; what a script calls is not counted again. The gateway runs"
        " ingress,"
        " dispatcher and forwarder in one process; the others one worker each, without any HTTP.",
    )


def _other(program: str) -> MeasureRun:
    async def run() -> Run:
        async with (
            open_store() as own,
            running(own.folder, program, (*command(program), "idle"), {"PEER_REDIS_URL": own.url}) as it,
        ):
            await asyncio.sleep(_SETTLE_S)
            counts = await count([own.url], _MEASURE_S)
            if it.returncode is not None:
                raise ProcessError(f"it ended: {(own.folder / f'{program}.log').read_text(errors='replace')[-500:]}")
            return {COMMANDS: sum(counts.values()) * 60 / _MEASURE_S, MEMORY: memory_mib(it.pid)}

    return run


async def memory(store: Store) -> Row:
    """
    Measure what queued commands and idle connections take.
    """
    queued, connections = await _queued(store), await _connected(store)
    return Row(
        "Memory",
        (
            Entrant("Redis, a million queued commands", ({MEMORY: queued},)),
            Entrant("ingress, a thousand idle keep-alive connections", ({MEMORY: connections},)),
        ),
        (at_most("500 MiB a million commands", queued, 500), at_most("25 MiB a thousand connections", connections, 25)),
        note=f"The first is ten times what the second {_QUEUED:,} commands add, with entry and record; nothing is"
        " drained"
        " meanwhile. A connection has had one request.".replace(",", " "),
    )


async def _queued(store: Store) -> float:
    await store.empty()
    await fill(store, _QUEUED)
    before = await _used(store)
    await fill(store, _QUEUED, first=_QUEUED)
    return (await _used(store) - before) * (1_000_000 / _QUEUED) / 2**20


async def _used(store: Store) -> int:
    return int((await store.connections.commands.info("memory"))["used_memory"])


async def _connected(store: Store) -> float:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    port = free_port()
    command = (*OWN, "gateway", "run", "ingress")
    async with serving(store.folder, "ingress", command, environment(store.url, port, PREFIX), port) as process:
        await asyncio.gather(*(_asked_once(port, hold=False) for _ in range(50)))
        before = memory_mib(process.pid)
        async with AsyncExitStack() as stack:
            for _ in range(_CONNECTIONS // 50):
                for writer in await asyncio.gather(*(_asked_once(port) for _ in range(50))):
                    stack.callback(writer.close)
            return memory_mib(process.pid) - before


async def _asked_once(port: int, *, hold: bool = True) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: bench\r\n\r\n")
    await reader.readuntil(b"}")
    if not hold:
        writer.close()
    return writer
