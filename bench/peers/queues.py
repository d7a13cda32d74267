"""
One library's queue with a handler that does nothing: `python queues.py LIBRARY WHAT ...`, Redis in PEER_REDIS_URL.

`drain COUNT LONGEST_S` fills the queue, runs a worker and prints how many a second it handled; `latency COUNT PER_S`
prints how long each took from being handed in to its handler, in seconds; `idle` only works, until it is ended.
Each `queue_LIBRARY.py` has `send(number)` and `working(handler)`, 64 at once, as the library's documentation has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import signal
import sys
import time
from types import ModuleType
from typing import Any

AT_ONCE = 64


async def drain(library: ModuleType, count: int, longest_s: float) -> float:
    """
    Return how many a second were handled, from the worker's start.
    """
    for first in range(0, count, AT_ONCE):
        await asyncio.gather(*(library.send(number) for number in range(first, min(first + AT_ONCE, count))))
    all_seen = asyncio.Event()
    seen: list[int] = []

    def handler(number: int) -> None:
        seen.append(number)
        if len(seen) >= count:
            all_seen.set()

    began_s = time.perf_counter()
    async with library.working(handler):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(all_seen.wait(), longest_s)
        took_s = time.perf_counter() - began_s
        handled = len(seen)
    return handled / took_s


async def latency(library: ModuleType, count: int, per_s: float) -> list[float]:
    """
    Return how long each took until its handler had it.
    """
    handed_in_s: dict[int, float] = {}
    came_s: dict[int, float] = {}
    all_seen = asyncio.Event()

    def handler(number: int) -> None:
        came_s[number] = time.perf_counter()
        if len(came_s) >= count:
            all_seen.set()

    async with library.working(handler):
        # Its start is over.
        await asyncio.sleep(1.0)
        sends = []
        next_s = time.perf_counter()
        for number in range(count):
            next_s += 1 / per_s
            await asyncio.sleep(max(0.0, next_s - time.perf_counter()))
            handed_in_s[number] = time.perf_counter()
            sends.append(asyncio.create_task(library.send(number)))
        await asyncio.gather(*sends)
        await asyncio.wait_for(all_seen.wait(), 30.0)
    return [came_s[number] - since_s for number, since_s in handed_in_s.items()]


async def idle(library: ModuleType) -> None:
    """
    Work until SIGTERM.
    """
    over = asyncio.Event()
    async with library.working(lambda _: None):
        # Once it has started: SAQ's worker listens for the signal, too, and would keep the process.
        await asyncio.sleep(1.0)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
        await over.wait()


async def main(name: str, what: str, *numbers: str) -> Any:
    """
    Do what was asked for.
    """
    library = importlib.import_module(f"queue_{name}")
    async with library.opened():
        match what:
            case "drain":
                return await drain(library, int(numbers[0]), float(numbers[1]))
            case "latency":
                return await latency(library, int(numbers[0]), float(numbers[1]))
            case _:
                return await idle(library)


if __name__ == "__main__":
    import uvloop

    print(json.dumps(uvloop.run(main(*sys.argv[1:]))))
