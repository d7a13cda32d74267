"""
A role: a running dispatcher or forwarder, with one consumer for each account.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal

from common import log
from common.queue.connection import BLOCK_S, REDIS_ERRORS, Connections
from common.queue.consumer import Consumer, Handler, streams_of
from common.queue.gate import Gate
from common.queue.janitor import PASS_S, Janitor
from common.queue.keys import AccountKeys
from common.queue.lease import BEAT_S, LIFE_S, Lease
from common.queue.reports import Reporter
from common.queue.settlement import Settler
from common.queue.traced import handler_with_traces
from common.queue.waker import Waker
from common.settings import Settings

RoleName = Literal["dispatcher", "forwarder"]

RECHECK_EACH_S: Final = 0.5
_RESTART_S: Final = 1.0


class Role:
    """
    One lease, one blocking read and one janitor for the consumers of all accounts of a process.

    `run` returns after `stop` once everything is settled or given back. `stop` may be called more than once and
    before `run`.
    """

    def __init__(
        self,
        name: RoleName,
        connections: Connections,
        prefix: str,
        accounts: Mapping[str, tuple[Gate, Handler]],
        *,
        capacity: int,
        grace_s: float,
        keep_texts: bool = True,
        life_s: float = LIFE_S,
        beat_s: float = BEAT_S,
        janitor_s: float = PASS_S,
    ) -> None:
        self.name = name
        self.lease = Lease(connections, prefix, life_s=life_s, beat_s=beat_s)
        self._connections = connections
        self._grace_s = grace_s
        # Many idle accounts ask less often each (design section 11).
        recheck_s = max(BLOCK_S, RECHECK_EACH_S * len(accounts))
        self._waker = Waker(connections, recheck_s)
        self._settlers: list[Settler] = []
        self.consumers: list[Consumer] = []
        for user_id, (gate, handler) in accounts.items():
            keys = AccountKeys(prefix, user_id)
            streams = streams_of(keys, name)
            settler = Settler(
                connections=connections,
                keys=keys,
                streams=streams,
                group=name,
                gate=gate,
                lease=self.lease,
                keep_texts=keep_texts,
            )
            self._settlers.append(settler)
            self.consumers.append(
                Consumer(
                    name=f"{name}-{user_id}",
                    connections=connections,
                    keys=keys,
                    streams=streams,
                    group=name,
                    gate=gate,
                    handler=handler_with_traces(handler, name, user_id),
                    lease=self.lease,
                    waker=self._waker,
                    settler=settler,
                    capacity=capacity,
                    # Begun together, they shall not ask together for ever.
                    recheck_s=recheck_s * random.uniform(0.9, 1.1),  # noqa: S311 - jitter, not a secret
                )
            )
        self.janitor = Janitor(connections, self.lease, self.consumers, pass_s=janitor_s)
        self._reporter = Reporter(connections, prefix)
        self._stopping = asyncio.Event()
        self._log = log.logger(__name__).bind(role=name)

    def stop(self) -> None:
        """
        Begin to leave: take no more, finish what runs.
        """
        self._stopping.set()
        self._waker.stop()
        for consumer in self.consumers:
            consumer.stop()

    async def run(self) -> None:
        """
        Work until `stop`; no fault of Redis, a destination or a handler ends it.
        """
        self._log.info("role.started", worker=self.lease.name, accounts=len(self.consumers))
        background_done = asyncio.Event()
        background = [
            self._supervise("lease", lambda: self.lease.run(background_done), background_done),
            self._supervise("reports", lambda: self._reporter.run(background_done), background_done),
            self._supervise("janitor", lambda: self.janitor.run(self._stopping), self._stopping),
            self._supervise("waker", self._waker.run, self._stopping),
        ]
        tasks = [asyncio.create_task(loop, name=f"{self.name}-background") for loop in background]
        loops = [
            asyncio.create_task(self._supervise(consumer.name, consumer.run, self._stopping), name=consumer.name)
            for consumer in self.consumers
        ]
        await self._stopping.wait()
        if loops:
            await asyncio.wait(loops)
        await asyncio.gather(*(consumer.drain(self._grace_s) for consumer in self.consumers))
        await asyncio.gather(*(self._settled(settler) for settler in self._settlers))
        # The heartbeat stops last (R36).
        background_done.set()
        await asyncio.wait(tasks)
        try:
            await self.lease.leave()
        except REDIS_ERRORS:
            self._log.info("lease.left_behind", worker=self.lease.name)
        self._log.info("role.stopped", worker=self.lease.name)

    async def _settled(self, settler: Settler) -> None:
        try:
            await asyncio.wait_for(settler.drain(), self._grace_s)
        except TimeoutError:
            self._log.error("settlement.abandoned", worker=self.lease.name)

    async def _supervise(self, name: str, loop: Callable[[], Awaitable[None]], stopped: asyncio.Event) -> None:
        """
        Run a loop until it returns in peace; an error is logged and the loop begun anew.
        """
        while True:
            try:
                await loop()
            except Exception as error:  # noqa: BLE001 - loops are supervised and never die
                self._log.exception("loop.failed", loop=name, error_type=type(error).__name__)
                if stopped.is_set():
                    return
                await asyncio.sleep(_RESTART_S)
            else:
                return


def build_role(
    name: RoleName, connections: Connections, settings: Settings, accounts: Mapping[str, tuple[Gate, Handler]]
) -> Role:
    """
    Make a role from the settings: for each account id the gate before its destination and what handles an entry.
    """
    capacity = settings.max_connections if name == "dispatcher" else settings.forward_concurrency
    return Role(
        name,
        connections,
        settings.key_prefix,
        accounts,
        capacity=capacity,
        grace_s=settings.shutdown_grace,
        keep_texts=settings.keep_texts,
    )
