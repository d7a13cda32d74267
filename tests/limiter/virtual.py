"""
Virtual time: an event loop whose clock jumps to the next timer whenever nothing else is left to do.

Redis is real: while one of its answers is on its way, real time passes and the virtual clock stands still. So thirty
minutes of waiting pass in seconds, and each millisecond of it is exact.
"""

from __future__ import annotations

import asyncio
import random
import selectors
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from redis.asyncio import Redis

from common.queue import role
from common.queue.connection import Connections, connect
from common.queue.scripts import Argument, Script

T = TypeVar("T")

_ANSWER_S = 0.05


class _Selector(selectors.DefaultSelector):
    """
    Waits for Redis, else lets the clock jump.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0
        self.pools: list[Any] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        while any(pool._in_use_connections for pool in self.pools):
            ready = super().select(_ANSWER_S)
            if ready:
                return ready
        if timeout is None:
            return super().select(None)
        self.now_s += timeout
        return []


class _Loop(asyncio.SelectorEventLoop):
    """
    An event loop on virtual time.
    """

    def __init__(self) -> None:
        self.selector = _Selector()
        super().__init__(self.selector)

    def time(self) -> float:
        """
        Return the virtual time in seconds.
        """
        return self.selector.now_s


class Waker:
    """
    Wakes as `common.queue.waker` does, told by whoever adds an entry: a blocking read would wait in real time.
    """

    watching: list[Waker]

    def __init__(self, _connections: Connections, _block_s: float = 0.0) -> None:
        self._watched: dict[str, Callable[[], None]] = {}
        self._stopped = asyncio.Event()
        self.watching.append(self)

    def watch(self, last_ids: Mapping[str, str], wake: Callable[[], None]) -> None:
        """
        Call `wake` once when a stream gets an entry.
        """
        self._watched |= dict.fromkeys(last_ids, wake)

    def forget(self, streams: tuple[str, ...]) -> None:
        """
        Watch these streams no more.
        """
        for stream in streams:
            self._watched.pop(stream, None)

    def stop(self) -> None:
        """
        End `run`.
        """
        self._stopped.set()

    async def run(self) -> None:
        """
        Wait for `stop`.
        """
        await self._stopped.wait()

    def added(self, stream: str) -> None:
        """
        An entry has come.
        """
        wake = self._watched.pop(stream, None)
        if wake is not None:
            wake()


class World:
    """
    What runs in virtual time: connections to the real server, and the wakers of all roles.
    """

    def __init__(self, loop: _Loop, url: str) -> None:
        self._selector = loop.selector
        self._url = url
        self.wakers: list[Waker] = []

    def now_s(self) -> float:
        """
        Return the virtual time.
        """
        return self._selector.now_s

    def connect(self) -> Connections:
        """
        Make connections whose answers the clock waits for.
        """
        connections = connect(self._url, timeout_s=60.0)
        self._selector.pools.append(connections.commands.connection_pool)
        return connections

    def added(self, stream: str) -> None:
        """
        Wake whoever watches a stream.
        """
        for waker in self.wakers:
            waker.added(stream)


@contextmanager
def _patched(world: World, chance: random.Random, travel_s: float) -> Iterator[None]:
    run = Script.__call__

    async def travelling(self: Script, client: Redis, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        await asyncio.sleep(chance.uniform(0.0, travel_s))
        reply = await run(self, client, keys, args)
        await asyncio.sleep(chance.uniform(0.0, travel_s))
        return reply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", world.now_s)
        patch.setattr(Script, "__call__", travelling)
        patch.setattr(Waker, "watching", world.wakers, raising=False)
        patch.setattr(role, "Waker", Waker)
        yield


def in_virtual_time(
    url: str, work: Callable[[World], Awaitable[T]], *, chance: random.Random, travel_s: float = 0.001
) -> T:
    """
    Run `work`; a call of a script takes up to `travel_s` there, and as long back.
    """
    loop = _Loop()
    world = World(loop, url)

    async def main() -> T:
        return await work(world)

    with _patched(world, chance, travel_s), asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main())
