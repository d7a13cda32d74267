"""
Storing the commands of a request: one, or many in chunks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from itertools import count, islice
from typing import Final

from common.errors import Outage
from common.log import logger
from common.queue.intake import Accepted, CommandReply, Conflict, Duplicate, Full, NewCommand
from common.settings import Account
from ingress.catalogue import CATALOGUE
from ingress.problems import REDIS_RETRY_AFTER_S, FieldError, ProblemError
from ingress.services import Services

Stored = Accepted | Duplicate
Pair = tuple[NewCommand, Stored]

# Two trips of the group commit.
_CHUNK: Final = 512

_log = logger(__name__)


async def store(services: Services, account: Account, command: NewCommand) -> Stored:
    """
    Store one command.

    Raises:

        ProblemError: `idempotency_conflict`, `queue_full`.

        Outage: Redis did not confirm; nothing is promised.

    """
    return _stored(await services.intake.command(account.user_id, command))


async def store_all(
    services: Services, account: Account, commands: Iterable[NewCommand], key: str, *, total: int
) -> list[Pair]:
    """
    Store the commands of one request in chunks, the first one alone: if its key belongs to another request, nothing
    is stored. Of an iterator each chunk is made when its turn comes.

    Raises:

        ProblemError: `idempotency_conflict`; `queue_full` and `redis_unavailable` then name the key under which the
            same request completes.

    """
    stored: list[Pair] = []
    async with aclosing(_replies(services, account, commands)) as chunks:
        try:
            async for chunk, replies in chunks:
                for command, reply in zip(chunk, replies, strict=True):
                    match reply:
                        case Full(retry_after_s=seconds):
                            raise _unfinished("queue_full", seconds, key, len(stored), total)
                        case Conflict() if stored:
                            name = f"messages[{len(stored)}].idempotency_key"
                            raise _conflict(name, f" The {len(stored)} before it are stored.")
                        case _:
                            stored.append((command, _stored(reply)))
        except Outage as error:
            _log.warning("batch.unfinished", account=account.user_id, stored=len(stored), error=str(error))
            raise _unfinished("redis_unavailable", REDIS_RETRY_AFTER_S, key, len(stored), total) from error
    return stored


async def _replies(
    services: Services, account: Account, commands: Iterable[NewCommand]
) -> AsyncGenerator[tuple[list[NewCommand], list[CommandReply]], None]:
    """
    Store the chunks, in their order. The first is over before the second begins; from then on the next is made ready
    while Redis stores the one before it.
    """
    left = iter(commands)
    under_way: deque[tuple[list[NewCommand], asyncio.Task[list[CommandReply]]]] = deque()
    try:
        for number in count():
            chunk = list(islice(left, _CHUNK if number else 1))
            if not chunk:
                break
            storing = services.intake.commands(account.user_id, chunk)
            under_way.append((chunk, asyncio.create_task(storing, name=f"store-{number}")))
            if number != 1:
                oldest, task = under_way.popleft()
                yield oldest, await task
        while under_way:
            oldest, task = under_way.popleft()
            yield oldest, await task
    finally:
        for _, task in under_way:
            task.cancel()
        await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)


def _unfinished(code: str, retry_after_s: float, key: str, stored: int, total: int) -> ProblemError:
    detail = (
        f"{stored} of {total} messages are stored for certain. Send the same request again with the Idempotency-Key "
        f"{key}: it completes, and no message is sent twice."
    )
    extra = {"total": total, "accepted": stored, "idempotency_key": key}
    return ProblemError(code, detail, retry_after_s=retry_after_s, extra=extra)


def _stored(reply: Accepted | Duplicate | Conflict | Full) -> Stored:
    match reply:
        case Conflict():
            raise _conflict("idempotency_key")
        case Full(retry_after_s=seconds):
            raise ProblemError("queue_full", CATALOGUE["queue_full"].meaning, retry_after_s=seconds)
        case _:
            return reply


def _conflict(name: str, more: str = "") -> ProblemError:
    errors = [FieldError(name, "This key belongs to a request with another body.", "idempotency_conflict")]
    return ProblemError("idempotency_conflict", CATALOGUE["idempotency_conflict"].meaning + more, errors=errors)
