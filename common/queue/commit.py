"""
Group commit: at most one pipeline in flight, what arrives meanwhile is the next (design section 9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from common.errors import Outage, RedisAway
from common.queue.connection import mapped, meaning
from common.queue.scripts import Argument, Script

_BATCH: Final = 256
_LONGEST: Final = 20_000
# A connection to be made and a reply to be read have a timeout each; the caller shall know sooner.
_DEADLINE_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class _Call:
    script: Script
    keys: Sequence[str]
    args: Sequence[Argument]
    reply: asyncio.Future[Any]


class GroupCommit:
    """
    Sends script calls in shared round trips; nothing is delayed when idle, and each caller awaits its own reply.

    A call that fails is not repeated: it may have happened (R2). While Redis is silent nobody waits longer than 1.5 s
    after the round trip under way. A caller that goes away does not take its call with it (R5).
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._waiting: list[_Call] = []
        self._flushing: asyncio.Task[None] | None = None

    async def __call__(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """
        Run one script call with the others of its turn.

        Raises what `mapped` raises, and `Outage` when too many calls wait already.
        """
        if len(self._waiting) >= _LONGEST:
            raise Outage(f"{_LONGEST} calls wait for Redis already")
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(script, keys, args, reply))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush(), name="group-commit")
        return await reply

    async def stop(self) -> None:
        """
        Wait until everything handed in has its reply.
        """
        if self._flushing is not None and not self._flushing.done():
            await asyncio.wait([self._flushing])

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
            try:
                async with asyncio.timeout(_DEADLINE_S):
                    with mapped():
                        replies = await self._send(batch)
            except TimeoutError:
                self._fail_all(batch, RedisAway(f"Redis does not answer within {_DEADLINE_S} s"))
                continue
            except Exception as error:  # noqa: BLE001 - handed to each caller, who must not wait for ever
                self._fail_all(batch, error)
                continue
            for call, reply in zip(batch, replies, strict=True):
                if isinstance(reply, Exception):
                    _fail(call, meaning(reply))
                elif not call.reply.done():
                    call.reply.set_result(reply)

    def _fail_all(self, batch: Sequence[_Call], error: Exception) -> None:
        # The rest was never sent: it would only wait for the next timeout to learn the same.
        behind, self._waiting = self._waiting, []
        for call in (*batch, *behind):
            _fail(call, error)

    async def _send(self, batch: Sequence[_Call]) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        for call in batch:
            pipe.evalsha(call.script.digest, len(call.keys), *call.keys, *call.args)
        replies: list[Any] = await pipe.execute(raise_on_error=False)
        unknown = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            # Nothing ran for these: load and repeat them alone.
            for text in {batch[n].script.text for n in unknown}:
                await self._client.script_load(text)
            for n, reply in zip(unknown, await self._send([batch[n] for n in unknown]), strict=True):
                replies[n] = reply
        return replies


def _fail(call: _Call, error: Exception) -> None:
    if not call.reply.done():
        call.reply.set_exception(error)
