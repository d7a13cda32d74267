"""
Accepting: from commands to stored commands, and to the answer 202, 200 or a problem.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Final

from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED

from common.errors import GatewayError, Outage
from common.log import logger
from common.queue.intake import Accepted, CommandReply, Conflict, Duplicate, Full, NewCommand
from common.queue.records import CommandRecord
from common.settings import Account
from ingress import answers, drafts
from ingress.asking import Ask
from ingress.bodies import Options
from ingress.catalogue import CATALOGUE
from ingress.drafts import Draft
from ingress.problems import REDIS_RETRY_AFTER_S, FieldError, ProblemError
from ingress.schedule import eta_s
from ingress.services import Services

Stored = Accepted | Duplicate

STORED: Final = "Stored. It goes out as soon as the limit and the chat's order allow."
_CHUNK: Final = 500

_log = logger(__name__)


def unix_ms() -> int:
    """
    Return the time of this machine, which only `send_at` and `expires_in` are compared with.
    """
    return time.time_ns() // 1_000_000


async def accept(
    services: Services,
    account: Account,
    draft: Draft,
    options: Options | None,
    ask: Ask,
    *,
    wanted: tuple[str, *tuple[object, ...]],
) -> answers.Answer[Any]:
    """
    Store one command and answer: 202, or its end if the caller waits for it.

    `wanted` is what `drafts.request_mark` tells requests with the same key apart by.

    Raises:

        ProblemError: `idempotency_conflict`, `queue_full`, and how it failed if the caller waits.

        Outage: Redis did not confirm; nothing is promised.

    """
    now_ms = unix_ms()
    key = ask.key_with(options)
    mark = drafts.request_mark(*wanted) if key is not None else drafts.UNMARKED
    command = drafts.command(draft, options, now_ms=now_ms, key=key, mark=mark)
    stored = _stored(await services.intake.command(account.user_id, command))
    if (record := await _end(services, account, stored.command_id, ask, ask.wait_s)) is not None:
        return with_headers(ended(record), [stored], ask)
    answer = answers.Accepted(
        command_id=stored.command_id,
        status=status_of(command),
        chat_id=command.chat_id,
        message=STORED,
        eta_seconds=eta_of(services, command, stored, now_ms),
        links=answers.links(stored.command_id),
    )
    return with_headers(answers.Answer(answer, status_code=HTTP_202_ACCEPTED), [stored], ask)


async def accept_parts(
    services: Services, account: Account, parts: Sequence[Draft], options: Options, ask: Ask, *, mark: str
) -> answers.Answer[Any]:
    """
    Store the parts of one long text, in order, and answer as for one command; the caller waits for all of them.
    """
    now_ms = unix_ms()
    key = ask.key_with(options) or str(uuid.uuid4())
    batch_id = drafts.batch_of(account.user_id, key)
    commands = [
        drafts.command(
            draft,
            options,
            now_ms=now_ms,
            key=drafts.nth_key(key, index),
            mark=mark,
            batch_id=batch_id,
            goes_on=index < len(parts) - 1,
        )
        for index, draft in enumerate(parts)
    ]
    stored = await store_all(services, account, commands, key)
    deadline_s = time.monotonic() + ask.wait_s
    record = None
    for one in stored:
        record = await _end(services, account, one.command_id, ask, deadline_s - time.monotonic())
        if record is None:
            break
        last = ended(record)
    if record is not None:
        return with_headers(last, stored, ask)
    answer = answers.AcceptedParts(
        command_id=stored[-1].command_id,
        status=status_of(commands[-1]),
        chat_id=commands[-1].chat_id,
        message=f"Stored in {len(stored)} parts. They go out in order.",
        eta_seconds=eta_of(services, commands[-1], stored[-1], now_ms),
        links=answers.links(stored[-1].command_id),
        batch_id=batch_id,
        commands=listed(commands, stored),
    )
    return with_headers(answers.Answer(answer, status_code=HTTP_202_ACCEPTED), stored, ask)


async def store_all(services: Services, account: Account, commands: Sequence[NewCommand], key: str) -> list[Stored]:
    """
    Store the commands of one request in chunks, the first one alone: if its key belongs to another request, nothing
    is stored.

    Raises:

        ProblemError: `idempotency_conflict`; `queue_full` and `redis_unavailable` then name the key under which the
            same request completes.

    """
    stored: list[Stored] = []
    async with aclosing(_replies(services, account, commands)) as chunks:
        try:
            async for replies in chunks:
                for reply in replies:
                    match reply:
                        case Full(retry_after_s=seconds):
                            raise _unfinished("queue_full", seconds, key, len(stored), len(commands))
                        case Conflict() if stored:
                            name = f"messages[{len(stored)}].idempotency_key"
                            raise _conflict(name, f" The {len(stored)} before it are stored.")
                        case _:
                            stored.append(_stored(reply))
        except Outage as error:
            _log.warning("batch.unfinished", account=account.user_id, stored=len(stored), error=str(error))
            raise _unfinished("redis_unavailable", REDIS_RETRY_AFTER_S, key, len(stored), len(commands)) from error
    return stored


async def _replies(
    services: Services, account: Account, commands: Sequence[NewCommand]
) -> AsyncGenerator[list[CommandReply], None]:
    """
    Store the chunks, in their order. The first is over before the second begins; from then on the next is made ready
    while Redis stores the one before it.
    """
    under_way: deque[asyncio.Task[list[CommandReply]]] = deque()
    try:
        for number, chunk in enumerate(_chunks(commands)):
            storing = services.intake.commands(account.user_id, chunk)
            under_way.append(asyncio.create_task(storing, name=f"store-{number}"))
            if number != 1:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def _chunks(commands: Sequence[NewCommand]) -> Iterator[Sequence[NewCommand]]:
    yield commands[:1]
    for start in range(1, len(commands), _CHUNK):
        yield commands[start : start + _CHUNK]


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


async def _end(services: Services, account: Account, command_id: str, ask: Ask, wait_s: float) -> CommandRecord | None:
    """
    Wait for a command's end; None when it has not ended in time, or nobody can tell: it is stored all the same.

    Nobody is waited for who has hung up.
    """
    if wait_s <= 0:
        return None
    hung_up = asyncio.Event()
    watching = asyncio.create_task(_watch(ask, hung_up), name=f"wait-{command_id}")
    try:
        record = await services.records.wait(account.user_id, command_id, wait_s, hung_up)
    except GatewayError as error:
        _log.warning("wait.failed", account=account.user_id, command_id=command_id, error=str(error))
        return None
    finally:
        watching.cancel()
    return record if record is not None and record.ended else None


async def _watch(ask: Ask, hung_up: asyncio.Event) -> None:
    await ask.hung_up()
    hung_up.set()


def ended(record: CommandRecord) -> answers.Answer[answers.Sent]:
    """
    Return the answer for a command that has ended: 200 if it was sent.

    Raises:

        ProblemError: `command_failed`, `command_expired`, `command_cancelled`.

    """
    shown = record.to_json()
    about = {"command_id": record.id, "chat_id": shown.get("chat_id"), "links": {"self": f"/api/commands/{record.id}"}}
    match record.status:
        case "failed":
            detail = f"Not sent: {shown.get('detail') or shown.get('reason') or 'see the record'}"
            raise ProblemError("command_failed", detail, extra=about | {"reason": shown.get("reason")})
        case "expired" | "cancelled" as status:
            code = f"command_{status}"
            raise ProblemError(code, CATALOGUE[code].meaning, extra=about)
    message_id = shown.get("message_id")
    answer = answers.Sent(
        command_id=record.id,
        status=record.status,
        chat_id=str(shown.get("chat_id", "")),
        message="Avito has taken it.",
        message_id=str(message_id) if message_id else None,
        response=shown.get("response"),
        links=answers.links(record.id),
    )
    return answers.Answer(answer, status_code=HTTP_200_OK)


def with_headers(response: answers.Answer[Any], stored: Sequence[Stored], ask: Ask) -> answers.Answer[Any]:
    """
    Say in headers whether the answer is that of an earlier request, and whether the caller's wish to wait was heard.
    """
    if all(isinstance(one, Duplicate) for one in stored):
        response.set_header("Idempotency-Replayed", "true")
    if ask.wait_s > 0:
        response.set_header("Preference-Applied", f"wait={ask.wait_s:.0f}")
    return response


def status_of(command: NewCommand) -> str:
    """
    Return the state in which a command begins.
    """
    return "queued" if command.not_before_ms is None else "scheduled"


def eta_of(services: Services, command: NewCommand, stored: Stored, now_ms: int) -> float | None:
    """
    Estimate when a command that was stored now goes out; None for one that was there before.
    """
    if isinstance(stored, Duplicate):
        return None
    settings = services.settings
    return eta_s(stored.ahead, settings.rate_limit_requests, settings.rate_limit_window, command.not_before_ms, now_ms)


def listed(commands: Sequence[NewCommand], stored: Sequence[Stored]) -> list[answers.Part]:
    """
    Return the commands of one request as its answer lists them.
    """
    return [
        answers.Part(
            command_id=one.command_id,
            chat_id=command.chat_id,
            status=status_of(command),
            links=answers.links(one.command_id),
        )
        for command, one in zip(commands, stored, strict=True)
    ]
