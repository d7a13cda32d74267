"""
The lease: a process's name among the living, renewed every 3 s (R26-R28).
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
import time
from typing import Final

from common import log, metrics
from common.errors import GatewayError
from common.queue import keys, scripts
from common.queue.connection import Connections

LIFE_S: Final = 10.0
BEAT_S: Final = 3.0


class Lease:
    """
    A worker's name, alive for `life_s` after each heartbeat; one for all accounts of a process.

    A name that was found dead by others stays dead: `beat` then starts over under a new one, and what was taken under
    the old one is not settled any more (R27).
    """

    def __init__(
        self, connections: Connections, prefix: str, *, life_s: float = LIFE_S, beat_s: float = BEAT_S
    ) -> None:
        self._connections = connections
        self._key = keys.workers(prefix)
        self.life_s = life_s
        self.beat_s = beat_s
        self.name = _new_name()
        self._entered = False
        self._renewed_s = float("-inf")
        self._whole_since_s = float("-inf")
        self._log = log.logger(__name__)

    @property
    def fresh(self) -> bool:
        """
        Whether the name is certainly still alive, by this process's own clock (R28).
        """
        return time.monotonic() - self._renewed_s < self.life_s

    @property
    def may_bury(self) -> bool:
        """
        Whether the leases were kept up for a whole life: after an outage all look dead while all workers live (R28).
        """
        return self.fresh and time.monotonic() - self._whole_since_s >= self.life_s

    async def beat(self) -> None:
        """
        Renew the name, or take a new one where it is gone.

        Raises `RedisAway` and its kin; the lease then simply grows older.
        """
        if not self.fresh:
            self._whole_since_s = time.monotonic()
        asked_s = time.monotonic()
        life_ms = round(self.life_s * 1000)
        if self._entered:
            kept = await scripts.HEARTBEAT(self._connections.commands, [self._key], [self.name, life_ms, "0"])
            if kept:
                self._renewed_s = asked_s
                return
            lost, self.name = self.name, _new_name()
            self._log.warning("lease.lost", worker=lost, new_worker=self.name)
            metrics.LEASES_LOST[()].inc()
        await scripts.HEARTBEAT(self._connections.commands, [self._key], [self.name, life_ms, "1"])
        self._entered = True
        self._renewed_s = asked_s

    async def keep_fresh(self) -> bool:
        """
        Renew first when the lease may have lapsed, as after a frozen process; say whether it is alive now.
        """
        if self.fresh:
            return True
        try:
            await self.beat()
        except GatewayError:
            return False
        return self.fresh

    async def holds(self, name: str) -> bool:
        """
        Say whether `name` is still this worker's and alive: asked before each request, for after a freeze what was
        taken under it may be somebody else's (R28).
        """
        return await self.keep_fresh() and name == self.name

    async def others(self) -> list[str]:
        """
        Take dead names out and return the living.
        """
        names: list[str] = await scripts.BURY(self._connections.commands, [self._key], [])
        return names

    async def leave(self) -> None:
        """
        Take the name out; the last thing a worker does (R36).
        """
        self._renewed_s = float("-inf")
        await self._connections.commands.zrem(self._key, self.name)

    async def run(self, stopped: asyncio.Event) -> None:
        """
        Beat until `stopped`; an outage is waited out.
        """
        failed = False
        while not stopped.is_set():
            try:
                await self.beat()
                failed = False
                pause_s = self.beat_s * random.uniform(0.95, 1.05)  # noqa: S311 - jitter, not a secret
            except GatewayError as error:
                self._log.warning("heartbeat.failed", worker=self.name, error=str(error))
                if not failed:
                    metrics.REDIS_OUTAGES[()].inc()
                failed = True
                pause_s = min(1.0, self.beat_s)
            try:
                await asyncio.wait_for(stopped.wait(), pause_s)
            except TimeoutError:
                continue


def _new_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
