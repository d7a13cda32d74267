"""
Waking: who is idle is called when something new lies in a stream of his.

Streams of one place share a blocking read: on one server that is one read for all accounts of a process; in a cluster,
where no command may touch two slots, it is one for each account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from common.queue.connection import BLOCK_S, Connections
from common.queue.reader import Reader


class Waker:
    """
    Call back whoever watches a stream when something new lies in it, once per `watch`.

    Waking is a hint: who is woken asks `take`. Faults are only logged here; a consumer also asks by its own timer.
    `block_s`: where each account needs a read of its own, how long it may wait.
    """

    def __init__(self, connections: Connections, block_s: float = BLOCK_S) -> None:
        self._connections = connections
        self._block_s = block_s
        self._readers: dict[int, Reader] = {}
        self._changed = asyncio.Event()
        self._stopped = False

    def watch(self, last_ids: Mapping[str, str], wake: Callable[[], None]) -> None:
        """
        Call `wake` when a stream gets an entry above its last id. A stream has one watcher, a call one account's.
        """
        for stream in last_ids:
            self._reader(stream).watch(last_ids, wake)
            return

    def forget(self, streams: Iterable[str]) -> None:
        """
        Watch these streams no more; a read that already includes them wakes nobody.
        """
        for stream in streams:
            self._reader(stream).forget(stream)

    def stop(self) -> None:
        """
        End `run` without waiting for a block to time out.
        """
        self._stopped = True
        self._changed.set()
        for reader in self._readers.values():
            reader.stop()

    def _reader(self, stream: str) -> Reader:
        place = self._connections.place(stream)
        reader = self._readers.get(place)
        if reader is None:
            reader = self._readers[place] = Reader(self._connections, self._block_s)
            self._changed.set()
        return reader

    async def run(self) -> None:
        """
        Read until `stop`; an outage is waited out.
        """
        begun: set[int] = set()
        async with asyncio.TaskGroup() as reads:
            while not self._stopped:
                self._changed.clear()
                for place, reader in self._readers.items():
                    if place not in begun:
                        begun.add(place)
                        reads.create_task(reader.run(), name=f"waker-{place}")
                await self._changed.wait()
