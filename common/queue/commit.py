"""
Group commit: at most one round trip in flight, what arrives meanwhile is the next (design section 9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ResponseError

from common.errors import Outage, RedisAway, RoleChanged
from common.queue.connection import Connections, meaning
from common.queue.scripts import Argument, Script

# Avito waits for 2 s. A connection to be made and a reply to be read have a timeout of a second each.
DEADLINE_S: Final = 1.5

_BATCH: Final = 256
_LONGEST: Final = 20_000


@dataclass(slots=True)
class _Call:
    script: Script
    keys: Sequence[str]
    args: Sequence[Argument]
    reply: asyncio.Future[Any]
    # By the loop's clock: the latest time for the reply.
    due_s: float


class GroupCommit:
    """
    Sends calls of the scripts that accept (`lua/shared/items.lua`) in shared round trips; nothing is delayed when idle,
    and each caller awaits its own reply.

    A call that fails is not repeated: it may have happened (R2). Nobody waits longer than 1.5 s: a round trip is given
    up when the one who has waited longest has waited for so long. A caller that goes away does not take its call with
    it (R5).
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._waiting: list[_Call] = []
        self._flushing: asyncio.Task[None] | None = None

    def __call__(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> asyncio.Future[Any]:
        """
        Run one script call with the others of its turn; the reply is to be awaited.

        It raises what `mapped` raises, `RedisAway` after 1.5 s, and `Outage` when too many calls wait already.
        """
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush(), name="group-commit")
        # Asked of the task: `get_running_loop` is a system call in Python 3.11.
        loop = self._flushing.get_loop()
        reply: asyncio.Future[Any] = loop.create_future()
        if len(self._waiting) < _LONGEST:
            self._waiting.append(_Call(script, keys, args, reply, loop.time() + DEADLINE_S))
        else:
            reply.set_exception(Outage(f"{_LONGEST} calls wait for Redis already"))
        return reply

    async def stop(self) -> None:
        """
        Wait until everything handed in has its reply.
        """
        if self._flushing is not None and not self._flushing.done():
            await asyncio.wait([self._flushing])

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            # One call for each script and stream; streams of other accounts may lie on another server.
            groups: dict[tuple[str, str], list[_Call]] = {}
            for call in batch:
                groups.setdefault((call.script.name, call.keys[0]), []).append(call)
            try:
                async with asyncio.timeout_at(batch[0].due_s):
                    if len(groups) == 1:
                        await self._send(batch)
                    else:
                        await asyncio.gather(*(self._send(group) for group in groups.values()))
            except TimeoutError:
                self._fail_all(batch, RedisAway(f"Redis does not answer within {DEADLINE_S} s"))

    async def _send(self, group: Sequence[_Call]) -> None:
        keys = [key for call in group for key in call.keys]
        args = [arg for call in group for arg in (len(call.args), *call.args)]
        moved = False
        try:
            replies = await group[0].script(self._connections.commands, keys, args)
            for call, reply in zip(group, replies, strict=True):
                if reply[0] == "error":
                    refusal = meaning(ResponseError(reply[1]))
                    moved = moved or isinstance(refusal, RoleChanged)
                    _fail(call, refusal)
                elif not call.reply.done():
                    call.reply.set_result(reply)
            if moved:
                # It stands inside a good reply, so the connection itself has not noticed.
                await self._connections.drop()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, who waits shall know
            self._fail_all(group, error)

    def _fail_all(self, group: Sequence[_Call], error: BaseException) -> None:
        # The rest was never sent: it would only wait for the next timeout to learn the same.
        behind: list[_Call] = []
        if isinstance(error, RedisAway):
            behind, self._waiting = self._waiting, []
        for call in (*group, *behind):
            _fail(call, error)


def _fail(call: _Call, error: BaseException) -> None:
    if not call.reply.done():
        call.reply.set_exception(error)
