"""
The consumer: takes entries for one account and side, runs the handler, settles the outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from common import log, metrics
from common.errors import GatewayError, GroupLost, NoPermit, Outage, RoleChanged
from common.queue import scripts
from common.queue.connection import BLOCK_S, Connections
from common.queue.entry import Entry, parse_tries
from common.queue.gate import MARGIN_S, Gate, Permit
from common.queue.keys import AccountKeys, StreamKeys
from common.queue.lease import Lease
from common.queue.outcomes import Dead, Outcome, Release, Retry
from common.queue.settlement import Finished, Settler
from common.queue.waker import Waker

_BACKOFF_MIN_S: Final = 0.1
# What waits goes on within 2 s of Redis being back (design section 1), and this wait is the better part of it.
_BACKOFF_MAX_S: Final = 1.0
_SLOT_POLL_S: Final = 0.1
# A turn is a few calls with a timeout of a second each. One that hangs is a bug, and must not stop the loop for ever.
_TURN_S: Final = 30.0
_MOST_BUGS: Final = 8


class Handler(Protocol):
    """
    What a role does with an entry; it decides by returning an outcome.
    """

    async def __call__(self, entry: Entry, permit: Permit) -> Outcome:
        """
        Handle one entry under one permit.
        """
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """
    A reply of `take.lua`.
    """

    why: str
    ask_in_s: float | None
    entries: list[Entry]
    last_ids: dict[str, str]
    held: int
    reason: str


class Consumer:
    """
    The loop of one account and side: slot first, then fetch (R31); a result is settled before its slot is free again.

    It never dies of an error: an outage is waited out with back-off, a lost group is made again at 0 (R9), an
    exception of the handler is an attempt that failed.
    """

    def __init__(
        self,
        *,
        name: str,
        connections: Connections,
        keys: AccountKeys,
        streams: Sequence[StreamKeys],
        group: str,
        gate: Gate,
        handler: Handler,
        lease: Lease,
        waker: Waker,
        settler: Settler,
        capacity: int,
        recheck_s: float = BLOCK_S,
    ) -> None:
        self.name = name
        self.account = keys.user_id
        self.streams = tuple(streams)
        self.group = group
        # What its counts are told apart by: account and side.
        self.labels = (keys.user_id, "events" if group == "forwarder" else "commands")
        self.held = 0
        self.taking = asyncio.Lock()
        self.running: dict[tuple[int, str], asyncio.Task[None]] = {}
        self.progress_s = time.monotonic()
        self.recreated_groups = 0
        # A group was made: heads that the lost one had blocked in another stream want a mend (janitor).
        self.regrouped = False
        self._connections = connections
        self._keys = keys
        self.gate = gate
        self._handler = handler
        self._lease = lease
        self._waker = waker
        self._settler = settler
        self._capacity = capacity
        self._recheck_s = recheck_s
        self._wake = asyncio.Event()
        # Waits for nothing but a new entry: the last take gave all that may start.
        self._content = False
        self._stopping = False
        self._grouped = False
        self._twice: set[asyncio.Task[None]] = set()
        self.script_keys = [key for stream in self.streams for key in stream.indexes] + list(gate.keys)
        self._stream_names = tuple(stream.stream for stream in self.streams)
        self._log = log.logger(__name__).bind(role=group, account=keys.user_id)

    def stop(self) -> None:
        """
        Take no more; what runs goes on (R36).
        """
        self._stopping = True
        self._wake.set()

    def wake(self) -> None:
        """
        Ask `take` now.
        """
        self._wake.set()

    async def run(self) -> None:
        """
        Take and start until `stop`.
        """
        failures = 0
        while not self._stopping:
            self._wake.clear()
            self.progress_s = time.monotonic()
            free = self._capacity - len(self.running)
            if free <= 0:
                await self._wake.wait()
                continue
            try:
                async with asyncio.timeout(_TURN_S):
                    taken = await self._turn(free)
            except (GatewayError, TimeoutError) as error:
                failures += 1
                await self._trouble(error, failures)
                continue
            if failures:
                self._log.info("redis.back", failures=failures)
            failures = 0
            await self._idle(taken)

    async def drain(self, grace_s: float) -> None:
        """
        Wait for what runs, at most `grace_s`; then give the rest back, its outcome unknown (R36).
        """
        if self.running:
            await asyncio.wait(list(self.running.values()), timeout=grace_s)
        for task in list(self.running.values()):
            task.cancel()
        if self.running:
            await asyncio.wait(list(self.running.values()), timeout=5.0)

    async def ensure_group(self) -> None:
        """
        Make the groups that are missing, and count those that were there once.
        """
        for stream in self.streams:
            made, length = await scripts.ENSURE(self._connections.commands, stream.indexes, [self.group])
            if made:
                self.regrouped = True
                self._log.info("group.created", stream=stream.stream, entries=length)

    async def _turn(self, free: int) -> Taken:
        if not await self._lease.keep_fresh():
            raise Outage("the worker's name could not be renewed")
        if not self._grouped:
            await self.ensure_group()
            self._grouped = True
        return await self._take(free)

    async def _trouble(self, error: GatewayError | TimeoutError, failures: int) -> None:
        """
        Wait out what went wrong with Redis, and say so once.
        """
        if failures == 1:
            self._log.warning("take.failed", error=str(error), error_type=type(error).__name__)
        if isinstance(error, RoleChanged):
            await self._connections.drop()
        if isinstance(error, GroupLost):
            self._grouped = False
            if failures == 1:
                # Made again at once, at 0; only if that does not help with back-off (R9).
                self.recreated_groups += 1
                metrics.GROUPS_RECREATED[self.labels].inc()
                return
        await self._back_off(failures)

    async def _back_off(self, failures: int) -> None:
        longest_s = min(_BACKOFF_MAX_S, _BACKOFF_MIN_S * 2 ** min(failures, 10))
        await self._sleep(longest_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret

    async def _sleep(self, seconds: float) -> None:
        timer = asyncio.get_running_loop().call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    async def _take(self, want: int) -> Taken:
        worker = self._lease.name
        async with self.taking:
            reply = await scripts.TAKE(
                self._connections.commands,
                self.script_keys,
                [len(self.streams), self.group, worker, want, *self.gate.arguments],
            )
            why, ask_ms, _watch, gate_ms, wall_ms, held, rows, last, reason, mark = reply
            self.gate.told(gate_ms, wall_ms, mark)
            self.held = held
            entries = [self._entry(row, wall_ms) for row in rows]
            # Asked for once: it is a system call in Python 3.11.
            loop = asyncio.get_running_loop()
            for entry, row in zip(entries, rows, strict=True):
                self._start(loop, entry, row[0], worker)
        return Taken(
            why=why,
            ask_in_s=None if ask_ms < 0 else ask_ms / 1000,
            entries=entries,
            last_ids=dict(zip(self._stream_names, last, strict=False)),
            held=held,
            reason=reason,
        )

    def _entry(self, row: list[Any], wall_ms: int) -> Entry:
        number, entry_id, flat, tries, verdict, permit = row
        return Entry(
            stream=self._stream_names[number - 1],
            entry_id=entry_id,
            fields=dict(zip(flat[::2], flat[1::2], strict=True)),
            tries=parse_tries(tries),
            verdict=verdict,
            permit=permit,
            taken_ms=wall_ms,
        )

    def _start(self, loop: asyncio.AbstractEventLoop, entry: Entry, number: int, worker: str) -> None:
        key = (number, entry.entry_id)
        if key in self.running:
            # It runs here, and its group was lost meanwhile: the first one goes on, and settles it (R6).
            task = loop.create_task(self._give_back(entry.permit), name=f"{self.name}-twice")
            self._twice.add(task)
            task.add_done_callback(self._twice.discard)
            return
        task = loop.create_task(self._work(entry, number, worker), name=f"{self.name}-{entry.entry_id}")
        self.running[key] = task

    async def _give_back(self, permit: str) -> None:
        with contextlib.suppress(GatewayError):
            await self.gate.finish(permit, permit, "open", passed=False)

    async def _work(self, entry: Entry, number: int, worker: str) -> None:
        permit = Permit(
            self.gate,
            permit=entry.permit,
            token=entry.permit,
            taken_ms=entry.taken_ms,
            wait_s=2 * self.gate.limits.window_s + self.gate.limits.timeout_s,
            alive=lambda: self._lease.holds(worker),
        )
        nothing_left = False
        try:
            outcome = await self._outcome(entry, permit)
            await self._settler.settle(Finished(entry, number, worker, permit, outcome))
            # The last of all: there is nothing to take, and of a new entry the waker tells.
            nothing_left = self._content and self._settler.left == 0
        finally:
            del self.running[(number, entry.entry_id)]
            if nothing_left:
                self.held = 0
            else:
                self._wake.set()

    async def _outcome(self, entry: Entry, permit: Permit) -> Outcome:
        try:
            return await self._handler(entry, permit)
        except asyncio.CancelledError:
            # Only `drain` cancels. The request may have gone out: given back to be looked up, not settled as failed.
            wait_s = 0.0 if permit.how == "open" else MARGIN_S
            return Retry(wait_s, "stopped in the middle", counted=False, unknown=_is_unknown(entry, permit))
        except (NoPermit, Outage) as error:
            return Release(str(error))
        except Exception as error:  # noqa: BLE001 - a bug in a handler must not end the loop, nor lose the entry
            name = type(error).__name__
            self._log.exception(
                "handler.failed", entry_id=entry.entry_id, kind=entry.kind, chat_id=entry.chat_id, error_type=name
            )
            attempts = entry.tries.attempts + 1
            if attempts >= _MOST_BUGS:
                return Dead("bug", f"the handler failed {attempts} times, last with {name}")
            return Retry(after_s=min(300.0, 2.0**attempts), error=f"bug: {name}", unknown=_is_unknown(entry, permit))
        finally:
            self.gate.over(permit)

    async def _idle(self, taken: Taken) -> None:
        if taken.entries:
            # What follows is for the next ones: handlers begin first.
            await asyncio.sleep(0)
        if taken.why in ("full", "more"):
            # New work may be there at once; a full house waits for a task to end.
            return
        if self._wake.is_set():
            return
        if taken.last_ids:
            self._waker.watch(taken.last_ids, self.wake)
        # What lies in a stream can be another worker's turn; of a new entry in an empty one the waker tells.
        recheck_s = self._recheck_s if taken.held else 2 * self._recheck_s
        wait_s = recheck_s if taken.ask_in_s is None else min(taken.ask_in_s, recheck_s)
        if taken.why == "slots":
            wait_s = min(wait_s, _SLOT_POLL_S)
        self._content = taken.why == "empty"
        await self._sleep(max(wait_s, 0.001))
        self._content = False
        self._waker.forget(self._stream_names)


def _is_unknown(entry: Entry, permit: Permit) -> bool:
    """
    Say whether this turn may have taken effect, or one before it: a doubt stays until somebody has looked.
    """
    return entry.tries.outcome_unknown or permit.how != "open"


def streams_of(keys: AccountKeys, role: str) -> tuple[StreamKeys, ...]:
    """
    Return the work streams of a role in order of priority.
    """
    return keys.side("commands" if role == "dispatcher" else "events")
