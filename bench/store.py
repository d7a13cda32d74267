"""
The Redis of the benchmark: an embedded server of its own, as `make run` starts it, emptied before each run.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.queue.connection import Connections, connect
from common.settings import Settings, load
from gateway.embedded import EmbeddedServer

PREFIX: Final = "bench"


@dataclass(frozen=True, slots=True)
class Store:
    """
    A server in `folder` that nobody else uses. `runs`: how often each of a row's entrants is measured there.
    """

    folder: Path
    url: str
    connections: Connections
    runs: int = 5

    @property
    def settings(self) -> Settings:
        """
        Return settings for the parts that run in this process.
        """
        return load(None, redis_url=self.url, key_prefix=PREFIX, max_queue_wait=1e9)

    async def empty(self) -> None:
        """
        Delete everything; nothing of one run is left to the next.
        """
        await self.connections.commands.flushall()

    async def length(self, stream: str) -> int:
        """
        Return how many entries a stream holds.
        """
        return int(await self.connections.commands.xlen(stream))

    async def version(self) -> str:
        """
        Return the server's name and version.
        """
        info = await self.connections.commands.info("server")
        if "valkey_version" in info:
            return f"Valkey {info['valkey_version']}"
        return f"Redis {info['redis_version']}"


@asynccontextmanager
async def open_store(runs: int = 5) -> AsyncIterator[Store]:
    """
    Start the server (append-only file on, unix socket) in a temporary folder; at the end both are gone.
    """
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        server = EmbeddedServer(folder / "data")
        await asyncio.to_thread(server.join)
        connections = connect(server.url)
        try:
            yield Store(folder, server.url, connections, runs)
        finally:
            await connections.aclose()
            await asyncio.to_thread(server.leave)
