"""
Accepting: from commands to stored commands, and to the answer 202, 200 or a problem.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED

from common.errors import GatewayError
from common.log import logger
from common.queue.intake import Duplicate, NewCommand
from common.queue.records import CommandRecord
from common.settings import Account
from ingress import answers, drafts
from ingress.asking import Ask
from ingress.bodies import Options
from ingress.catalogue import CATALOGUE
from ingress.drafts import Draft
from ingress.problems import ProblemError
from ingress.schedule import eta_s
from ingress.services import Services
from ingress.storing import Pair, Stored, store, store_all

STORED: Final = "Stored. It goes out as soon as the limit and the chat's order allow."

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
    stored = await store(services, account, command)
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
    pairs = await store_all(services, account, commands, key, total=len(commands))
    stored = [one for _, one in pairs]
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
        commands=listed(pairs),
    )
    return with_headers(answers.Answer(answer, status_code=HTTP_202_ACCEPTED), stored, ask)


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


def listed(pairs: Sequence[Pair]) -> list[answers.Part]:
    """
    Return the commands of one request as its answer lists them.
    """
    return [
        answers.Part(
            command_id=stored.command_id,
            chat_id=command.chat_id,
            status=status_of(command),
            links=answers.links(stored.command_id),
        )
        for command, stored in pairs
    ]
