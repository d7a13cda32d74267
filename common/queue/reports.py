"""
Reports: what this process has counted, added to the totals in Redis, which any ingress shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Iterable, Mapping
from typing import Final

from common import log
from common.errors import GatewayError, RedisRefused
from common.metrics import GROWTH, Growth, Sample
from common.queue import keys, scripts
from common.queue.connection import Connections, mapped
from common.queue.history import HISTORY_LIFE_S, MINUTE_MS, flows
from common.queue.keys import AccountKeys
from common.queue.lease import BEAT_S
from common.queue.replies import read_hash, redis_ms

_log: Final = log.logger(__name__)


class Reporter:
    """
    Adds what was counted to the totals of all processes, each 3 s and once more at the end; where nothing was, it sends
    nothing.

    What Redis does not confirm is kept for the next report: where only the reply was lost, it counts twice. A process
    that is killed takes at most 3 s of its counts with it.
    """

    def __init__(self, connections: Connections, prefix: str, *, growth: Growth = GROWTH) -> None:
        self._connections = connections
        self._prefix = prefix
        self._growth = growth
        # Redis' time less this machine's monotonic one; None before the first reply.
        self._ahead_ms: float | None = None
        self._is_told = False

    async def report(self) -> None:
        """
        Report now. Raises `Outage` and its kin; what was counted is kept then.
        """
        grown = self._growth.take()
        if not grown:
            return
        try:
            await self._add(grown)
        except BaseException:
            self._growth.put_back(grown)
            raise

    async def run(self, stopped: asyncio.Event) -> None:
        """
        Report until `stopped`, and then a last time; an outage is waited out.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), BEAT_S * random.uniform(0.95, 1.05))  # noqa: S311 - jitter
            is_last = stopped.is_set()
            await self._report()
            if is_last:
                return

    async def totals(self) -> dict[str, str]:
        """
        Report, and return what all processes have counted, as they have reported it: series -> value.

        Raises `Outage` where it cannot be read.
        """
        with contextlib.suppress(RedisRefused):
            await self.report()
        with mapped():
            return await read_hash(self._connections.commands, keys.totals(self._prefix))

    async def _report(self) -> None:
        try:
            await self.report()
        except GatewayError as error:
            if not self._is_told:
                _log.info("report.postponed", error=str(error))
            self._is_told = True
        else:
            self._is_told = False

    async def _add(self, grown: Mapping[Sample, float]) -> None:
        client = self._connections.commands
        totals = keys.totals(self._prefix)
        counted = flows(grown)
        lengths = await self._lengths(dict.fromkeys((account, side) for account, side, _ in counted))
        if self._ahead_ms is None:
            self._told(await redis_ms(client, totals))
        minute = self._now_ms() // MINUTE_MS
        args: list[str | int] = [round(HISTORY_LIFE_S * 1000), len(grown)]
        for sample, growth in grown.items():
            args += [str(sample), f"{growth:.12g}"]
        args.append(len(counted))
        for flow, growth in counted.items():
            args += [":".join(flow), f"{growth:.12g}"]
        for (account, side), length in lengths.items():
            args += [f"{account}:{side}:waiting", length]
        self._told(int(await scripts.REPORT(client, [totals, keys.history(self._prefix, minute)], args)))

    async def _lengths(self, sides: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """
        Return how many entries each account's side has in its work streams.
        """
        streams = {(account, side): AccountKeys(self._prefix, account).side(side) for account, side in sides}
        if not streams:
            return {}
        pipe = self._connections.commands.pipeline(transaction=False)
        for parts in streams.values():
            for stream in parts:
                pipe.xlen(stream.stream)
        with mapped():
            replies = iter(await pipe.execute())
        return {place: sum(next(replies) for _ in parts) for place, parts in streams.items()}

    def _now_ms(self) -> int:
        assert self._ahead_ms is not None
        return round(time.monotonic() * 1000 + self._ahead_ms)

    def _told(self, wall_ms: int) -> None:
        self._ahead_ms = wall_ms - time.monotonic() * 1000
