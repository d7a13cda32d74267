"""
The janitor: puts back what dead workers left behind and mends the indexes (design section 3, adopt).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Final

from common import log, metrics
from common.errors import GatewayError, GroupLost
from common.queue import scripts
from common.queue.connection import Connections
from common.queue.consumer import Consumer
from common.queue.lease import Lease

PASS_S: Final = 2.0
_EMPTY_CONSUMER_S: Final = 3600
# Longer than any consumer has been idle.
_NEVER_MS: Final = 10**15
_MOST: Final = 500
_MEND_EACH: Final = 5
_MEND_COUNT: Final = 100


class Janitor:
    """
    Every 2 s with jitter, for accounts that have something in their streams; no leader: scripts are atomic (R24).
    """

    def __init__(
        self, connections: Connections, lease: Lease, consumers: Sequence[Consumer], *, pass_s: float = PASS_S
    ) -> None:
        self._connections = connections
        self._lease = lease
        self._consumers = consumers
        self._pass_s = pass_s
        self._cursors: dict[tuple[str, int], list[str]] = {}
        self._passes = 0
        self._log = log.logger(__name__)

    async def run(self, stopped: asyncio.Event) -> None:
        """
        Sweep until `stopped`; an outage is waited out.
        """
        while not stopped.is_set():
            try:
                await asyncio.wait_for(stopped.wait(), self._pass_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            except TimeoutError:
                pass
            else:
                return
            try:
                await self.sweep()
            except GatewayError as error:
                self._log.info("sweep.postponed", error=str(error))

    async def sweep(self) -> None:
        """
        Adopt for all accounts that hold something, and every few passes, or after a group was lost, mend their indexes.
        """
        busy = [consumer for consumer in self._consumers if consumer.held]
        if not busy or not self._lease.fresh:
            return
        # What is one's own needs no proof that its holder is dead, and is not made to wait for one (R6).
        living = await self._lease.others() if self._lease.may_bury else None
        self._passes += 1
        for consumer in busy:
            try:
                await self.adopt(consumer, living)
                if consumer.regrouped or self._passes % _MEND_EACH == 0:
                    consumer.regrouped = False
                    await self.mend(consumer)
            except GroupLost:
                # The consumer makes the group again with its next take.
                continue
            except GatewayError as error:
                # It may lie on another server than the rest.
                self._log.info("sweep.postponed", role=consumer.group, account=consumer.account, error=str(error))

    async def adopt(self, consumer: Consumer, living: Sequence[str] | None) -> int:
        """
        Put entries of dead workers, and own ones that this process does not know, back to be taken (R29).

        `living` is None while nobody can tell who is dead: then only own ones.
        """
        life_ms, gone_ms = round(self._lease.life_s * 1000), _EMPTY_CONSUMER_S * 1000
        if living is None:
            living, life_ms, gone_ms = (), _NEVER_MS, _NEVER_MS
        # Never while a take of our own is under way: its entries are ours before we know them (R6).
        async with consumer.taking:
            mine = [f"{number}:{entry_id}" for number, entry_id in consumer.running]
            adopted, deleted = await scripts.ADOPT(
                self._connections.commands,
                consumer.script_keys,
                [
                    len(consumer.streams),
                    consumer.group,
                    self._lease.name,
                    life_ms,
                    gone_ms,
                    _MOST,
                    *consumer.gate.arguments,
                    len(living),
                    *living,
                    *mine,
                ],
            )
        if deleted:
            self._log.info("consumers.deleted", role=consumer.group, account=consumer.account, consumers=deleted)
        if adopted:
            metrics.ENTRIES_ADOPTED[consumer.labels].inc(adopted)
            self._log.warning("entries.adopted", role=consumer.group, account=consumer.account, entries=adopted)
            consumer.wake()
        return int(adopted)

    async def mend(self, consumer: Consumer) -> int:
        """
        Bring one bounded part of the indexes in line with the pending list (R19).
        """
        total = 0
        for number in range(1, len(consumer.streams) + 1):
            cursors = self._cursors.get((consumer.name, number), ["0", "-", "-"])
            *cursors, mended = await scripts.MEND(
                self._connections.commands,
                consumer.script_keys,
                [len(consumer.streams), consumer.group, number, *cursors, _MEND_COUNT, *consumer.gate.arguments],
            )
            self._cursors[(consumer.name, number)] = cursors
            total += mended
        if total:
            self._log.warning("index.mended", role=consumer.group, account=consumer.account, entries=total)
            metrics.ENTRIES_MENDED[consumer.labels].inc(total)
            consumer.wake()
        return total
