"""
The gate: one limit for everything that calls a destination, over all processes (design section 4).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from common import log
from common.errors import GatewayError, NoPermit
from common.queue import scripts
from common.queue.connection import Connections, mapped
from common.queue.keys import AccountKeys
from common.queue.scripts import Argument
from common.queue.usage import Usage, read_usage

MARGIN_S: Final = 2.0
_STALE_S: Final = 1.0
_POLL_S: Final = 0.25

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_CLOCKS: Final = Path("/proc/self/ns/time")

How = Literal["open", "unused", "used", "aborted"]


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What a gate lets through: `requests` in each `window_s` (None = no rate), `connections` open at once.

    `timeout_s` bounds one request; `reserve` tokens are left to interactive ones.
    """

    requests: int | None
    window_s: float
    connections: int
    timeout_s: float
    reserve: int = 0


class Gate:
    """
    The gate before `avito` or `n8n` of one account.

    It keeps the gate's clock going by this machine's monotonic clock (R41), so make one a process and destination.
    """

    def __init__(
        self, connections: Connections, keys: AccountKeys, destination: Literal["avito", "n8n"], limits: Limits
    ) -> None:
        self.keys = keys.gate(destination)
        self.limits = limits
        self._connections = connections
        self._ahead_ms: float | None = None
        self._clock = _clock()
        self._wall_ms = 0
        self._wall_s = 0.0
        self.mark = ""
        self._under_way: set[Permit] = set()
        self._log = log.logger(__name__).bind(account=keys.user_id, destination=destination)
        self._keeping: asyncio.Task[None] | None = None
        self._limits: list[Argument] = [
            "" if limits.requests is None else limits.requests,
            round(limits.window_s * 1000),
            limits.connections,
            round((limits.timeout_s + MARGIN_S) * 1000),
            round(MARGIN_S * 1000),
            limits.reserve,
        ]

    @property
    def arguments(self) -> list[Argument]:
        """
        Return the gate's nine ARGV of every script that opens it (`lua/shared/gate.lua`).
        """
        told = "" if self._ahead_ms is None else f"{self._ahead_ms:.3f} {self.mark or '-'}"
        return [*self._limits, told, f"{time.monotonic() * 1000:.3f}", self._clock]

    def told(self, gate_ms: str, wall_ms: int, mark: str | None = None) -> None:
        """
        Note the times, and the gate's mark, that a script replied with; `gate_ms` is empty when it had no need of them.

        The gate is at least that far ahead of this machine's clock; it is never taken to be less.
        """
        if not gate_ms:
            return
        now_s = time.monotonic()
        ahead_ms = float(gate_ms) - now_s * 1000
        self._ahead_ms = ahead_ms if self._ahead_ms is None else max(self._ahead_ms, ahead_ms)
        self._wall_ms, self._wall_s = wall_ms, now_s
        self.mark = self.mark if mark is None else mark

    def redis_ms(self) -> int:
        """
        Return Redis' time now, as far as this process knows; 0 before the first reply.
        """
        return self._wall_ms + round((time.monotonic() - self._wall_s) * 1000) if self._wall_ms else 0

    def now_ms(self) -> int:
        """
        Return the time by the gate's own clock now, as far as this process knows; 0 before the first reply.
        """
        return 0 if self._ahead_ms is None else int(time.monotonic() * 1000 + self._ahead_ms)

    def began(self, permit: Permit) -> None:
        """
        Note that a request is under way, until `over`: should the gate lose its state, it is told of it.
        """
        if self.limits.requests is None:
            return
        self._under_way.add(permit)
        if self._keeping is None or self._keeping.done():
            # Not in the context of the request that began first: it is for all.
            self._keeping = asyncio.create_task(self._keep(), name="gate-keep", context=Context())

    def over(self, permit: Permit) -> None:
        """
        Note that nothing of this permit is under way any more.
        """
        self._under_way.discard(permit)

    async def _keep(self) -> None:
        """
        Look at the gate twice in each window while requests last. After a loss of its state nobody goes for a window:
        what outlasts that is entered anew before (R43).
        """
        entered: dict[str, tuple[Permit, str]] = {}
        while True:
            await asyncio.sleep(self.limits.window_s / 2)
            entered |= {permit.name: (permit, permit.mark) for permit in self._under_way}
            if not entered:
                return
            named = [part for name, (permit, mark) in entered.items() for part in (name, permit.current, mark)]
            try:
                self.told(*await scripts.KEEP(self._connections.commands, self.keys, [*self.arguments, *named]))
                for name, (permit, mark) in entered.items():
                    # One that ended meanwhile may have been closed before it was entered: its slot would stay.
                    if permit not in self._under_way and mark != self.mark:
                        await self.finish(name, permit.current, permit.how, passed=False)
                entered.clear()
            except GatewayError as error:
                self._log.info("gate.keep_failed", error=str(error))

    async def acquire(self, *, wait_s: float) -> Permit:
        """
        Wait at most `wait_s` for a slot and a token, for a caller that has no queue entry.

        Raises:

            NoPermit: with the seconds until it is worth asking again.

        """
        permit = Permit(self, permit="", token="", taken_ms=0, wait_s=wait_s)
        await permit.token()
        permit.how = "open"
        return permit

    async def ask(self, permit: str, token: str, how: How, deadline_s: float) -> tuple[str, str, int, str]:
        """
        Run `acquire.lua` until it gives a token: permit, token, Redis' time and the gate's mark.
        """
        while True:
            why, ask_ms, gate_ms, wall_ms, permit, token, reason, mark = await scripts.ACQUIRE(
                self._connections.commands,
                self.keys,
                [*self.arguments, f"rest-{secrets.token_hex(6)}", permit, token, how],
            )
            self.told(gate_ms, wall_ms, mark)
            if why == "ok":
                return permit, token, wall_ms, mark
            left_s = deadline_s - time.monotonic()
            need_s = ask_ms / 1000
            if need_s > left_s and why != "slots":
                raise NoPermit(need_s, reason or why)
            if left_s <= 0:
                raise NoPermit(min(need_s, 1.0), why)
            # A slot or the end of a pause may come earlier than it must: ask again soon. A token comes when told.
            await asyncio.sleep(need_s if why == "rate" else min(need_s, _POLL_S))

    async def finish(self, permit: str, token: str, how: How, *, passed: bool) -> None:
        """
        Close a permit that no settlement closes.
        """
        gate_ms, wall_ms = await scripts.FINISH(
            self._connections.commands,
            self.keys,
            [*self.arguments, permit, token, "unused" if how == "open" else how, "1" if passed else "0"],
        )
        self.told(gate_ms, wall_ms)

    async def pause(self, seconds: float | None, reason: str) -> float:
        """
        Stop all who use this gate, then let one request probe; return how many seconds it is now.

        `seconds` None doubles from 1 s to 60 s with each pause in a row. A pause that runs is never shortened.
        """
        ms = "" if seconds is None else round(seconds * 1000)
        paused_ms, gate_ms, wall_ms = await scripts.PAUSE(
            self._connections.commands, self.keys, [*self.arguments, ms, reason]
        )
        self.told(gate_ms, wall_ms)
        return float(paused_ms) / 1000

    async def usage(self) -> Usage:
        """
        Look at the gate without changing it.
        """
        reply = await scripts.USAGE(self._connections.commands, self.keys, [])
        return read_usage(reply, self.limits.requests, self.limits.connections)

    async def is_under_way(self, entry_id: str, *, but: str) -> bool:
        """
        Say whether a request may be under way for this entry under a permit other than `but`.

        What lasts no longer than the margin has ended: its slot is kept for what our own timeout has cut off.
        """
        slots = self.keys[2]
        with mapped():
            rows: Any = await self._connections.commands.zrange(slots, 0, -1, withscores=True)
        now_ms = self.now_ms()
        return any(
            name.startswith(f"{entry_id}/") and name != but and until_ms - now_ms > MARGIN_S * 1000
            for name, until_ms in rows
        )

    async def coming_back(self) -> list[int]:
        """
        Return in how many ms each token that is out comes back if nothing more happens to it, the soonest first.
        """
        return list(await scripts.RETURNS(self._connections.commands, self.keys[:2], []))


class Permit:
    """
    One slot, and the tokens of the requests made in it one after the other.

    Call `token` right before every HTTP attempt and `ended` after it: from then on the token counts as spent, whatever
    happens. The token that came with the permit returns at once if it was never asked for. A handler's permit is
    closed by the settlement of its entry; one that `Gate.acquire` gave, by `release` (or `async with`).
    """

    def __init__(
        self,
        gate: Gate,
        *,
        permit: str,
        token: str,
        taken_ms: int,
        wait_s: float,
        alive: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self.name = permit
        self.taken_ms = taken_ms
        self.current = token
        self.how: How = "open"
        self.passed = False
        self.mark = gate.mark
        self._gate = gate
        self._wait_s = wait_s
        self._alive = alive
        self._dated_s = time.monotonic()

    async def token(self) -> None:
        """
        Make sure that the next request counts: its token is there, and the worker's lease is.

        Raises:

            NoPermit: when no token came in the time that this caller may wait.

        """
        if self._alive is not None and not await self._alive():
            raise NoPermit(1.0, "lease_lost")
        if self.current and self.how == "open" and time.monotonic() - self._dated_s < _STALE_S:
            self.how = "used"
            self._gate.began(self)
            return
        deadline_s = time.monotonic() + self._wait_s
        self.name, self.current, wall_ms, self.mark = await self._gate.ask(
            self.name, self.current, self.how, deadline_s
        )
        self.taken_ms = self.taken_ms or wall_ms
        self.how = "used"
        self._gate.began(self)

    def ended(self, *, aborted: bool = False, passed: bool = True) -> None:
        """
        Say that the attempt is over.

        `aborted`: by our own timeout, so that it may still arrive. `passed`: the other side answered in a way that
        ends a pause's probe.
        """
        self.how = "aborted" if aborted else "used"
        self.passed = passed and not aborted

    def redis_ms(self) -> int:
        """
        Return Redis' time now.
        """
        return self._gate.redis_ms()

    def gate_ms(self) -> int:
        """
        Return the time by the gate's clock now: what lies between two such times no step of Redis' clock changes.
        """
        return self._gate.now_ms()

    async def has_rival(self, entry_id: str) -> bool:
        """
        Say whether a request may be under way under an earlier permit of the entry. When the consumer group was lost,
        its worker goes on, and the entry is given out anew (R10).
        """
        return await self._gate.is_under_way(entry_id, but=self.name)

    async def release(self) -> None:
        """
        Give the slot back and date the token.
        """
        self._gate.over(self)
        if self.name:
            name, self.name = self.name, ""
            await self._gate.finish(name, self.current, self.how, passed=self.passed)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()


def _clock() -> str:
    """
    Return the name of the monotonic clock that this process reads: one for all of a machine, until it is booted anew.

    Where the system does not tell, each process has its own.
    """
    try:
        return f"{_BOOT.read_text().strip()}/{_CLOCKS.readlink()}"
    except OSError:
        return secrets.token_hex(16)
