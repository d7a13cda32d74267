"""
The queue itself, with a handler that does nothing: the gateway's beside those of other libraries.
"""

from __future__ import annotations

from typing import Any, Final

from bench import bare
from bench.drain import drain, idle_latency
from bench.processes import answer, peer_command
from bench.rows.turns import MeasureRun, in_turns
from bench.samples import CHATS
from bench.stats import of_latencies
from bench.store import Store
from bench.table import OURS, P50, P99, RATE, Row, Run, at_least, at_most, ratio

DRAINED: Final = 20_000
_PEERS_DRAINED: Final = 5000
_LONGEST_S: Final = 8.0
_LATENCY_COUNT: Final = 300
_LATENCY_PER_S: Final = 100.0
_CEILING: Final = "bare XREADGROUP + XACK (ceiling)"

PEERS: Final = {
    "FastStream": "faststream",
    "taskiq-redis": "taskiq",
    "SAQ": "saq",
    "streaq": "streaq",
    "arq": "arq",
}
"""
Each by its name and that of its program, `bench/peers/queue_NAME.py`.
"""

_OLDER: Final = ("saq", "arq")


async def ask(store: Store, program: str, *arguments: str) -> Any:
    """
    Have one of the other libraries do something on an empty Redis.
    """
    await store.empty()
    return await answer((*command(program), *arguments), {"PEER_REDIS_URL": store.url})


def command(program: str) -> tuple[str, ...]:
    """
    Return the command of one of the other libraries.
    """
    return (*peer_command("queues.py", older=program in _OLDER), program)


async def drained(store: Store) -> Row:
    """
    Measure how fast a full queue empties.
    """

    async def own() -> Run:
        return (await drain(store, count=DRAINED, chats=CHATS)).figures()

    async def ceiling() -> Run:
        return (await bare.drain(store, count=DRAINED)).figures()

    def other(program: str) -> MeasureRun:
        async def run() -> Run:
            return {RATE: await ask(store, program, "drain", str(_PEERS_DRAINED), str(_LONGEST_S))}

        return run

    entrants = await in_turns(
        {OURS: own, **{name: other(it) for name, it in PEERS.items()}, _CEILING: ceiling}, store.runs
    )
    by_name = {entrant.name: entrant.median(RATE) for entrant in entrants}
    best = max(PEERS, key=lambda name: by_name[name] or 0.0)
    return Row(
        f"Queue drained, no-op handler, {CHATS} chats",
        entrants,
        (
            at_least("10 000 a second", by_name[OURS], 10_000),
            at_least("4 times the best of the others", ratio(entrants, RATE, OURS, best), 4),
        ),
        (RATE,),
        f"{DRAINED} messages, {_PEERS_DRAINED} for the others, 64 at once, one process. The gateway keeps each"
        " chat in order,"
        " which is checked, and settles each message with a record; the others do neither.",
    )


async def latency(store: Store) -> Row:
    """
    Measure how soon the handler of an idle worker has a message.
    """

    async def own() -> Run:
        return (await idle_latency(store, count=_LATENCY_COUNT, per_s=_LATENCY_PER_S)).figures()

    def other(program: str) -> MeasureRun:
        async def run() -> Run:
            took_s = await ask(store, program, "latency", str(_LATENCY_COUNT), str(_LATENCY_PER_S))
            return of_latencies(took_s).figures()

        return run

    entrants = await in_turns({OURS: own, **{name: other(program) for name, program in PEERS.items()}}, store.runs)
    return Row(
        f"Accepted to handler, idle, {_LATENCY_PER_S:.0f} a second",
        entrants,
        (
            at_most("p50 below 1 ms", entrants[0].median(P50), 1),
            at_most("p99 below 3 ms", entrants[0].median(P99), 3),
        ),
        (P50,),
        "From handing a message in until its handler has it. arq asks Redis twice a second unless told otherwise.",
    )
