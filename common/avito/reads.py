"""
Calls without a queue entry: the REST API's reads, the command line, look-ups of names.
"""

from __future__ import annotations

import time
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_attempt, wait_random

from common.avito.answers import Blocked, Limited, Meaning, Ok, Refused, Unauthorized, Unknown, Unsent
from common.avito.calls import Call
from common.avito.client import Avito
from common.errors import AvitoUnavailable, GatewayError, NoPermit
from common.settings import Account

ATTEMPTS: Final = 3


class AvitoRefused(GatewayError):
    """
    Avito says no to this call: `status`, its `message`, and the wrong `fields` if it named them.
    """

    def __init__(self, status: int, message: str, fields: object = None) -> None:
        self.status = status
        self.message = message
        self.fields = fields
        super().__init__(f"Avito refused with {status}: {message}")


class AvitoBlocked(AvitoUnavailable):
    """
    Avito denies the account the API: no paid plan, wrong credentials. The gate is paused.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(f"Avito denies this account with {status}: {message}")


async def read(avito: Avito, account: Account, call: Call, *, wait_s: float) -> object:
    """
    Make a call and return the body of its answer; waits and raises as `ask`.
    """
    return (await ask(avito, account, call, wait_s=wait_s)).body


async def ask(avito: Avito, account: Account, call: Call, *, wait_s: float) -> Ok:
    """
    Make a call and return its answer.

    Waits at most `wait_s` for the gate, then up to CONNECTION_TIMEOUT for each of at most 3 attempts. Only what
    cannot take effect twice is repeated.

    Raises:

        NoPermit: the gate is closed for longer than `wait_s`, or Avito has just closed it (429).

        AvitoRefused: 4xx.

        AvitoBlocked: Avito denies the account everything.

        AvitoUnavailable: no usable answer; an `Outage`, as is Redis being away.

    """
    deadline_s = time.monotonic() + wait_s

    def again(found: Meaning) -> bool:
        return isinstance(found, Unsent) or (call.repeatable and isinstance(found, Unknown))

    async def once() -> Meaning:
        left_s = max(0.0, deadline_s - time.monotonic())
        async with await avito.gate(account).acquire(wait_s=left_s) as permit:
            return await avito.call(account, permit, call)

    retrying = AsyncRetrying(
        retry=retry_if_result(again),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random(0.05, 0.25),
        retry_error_callback=_last,
    )
    return _answer(await retrying(once))


def _last(state: RetryCallState) -> Meaning:
    if state.outcome is None:  # pragma: no cover - tenacity calls this after an attempt
        raise AvitoUnavailable
    found: Meaning = state.outcome.result()
    return found


def _answer(found: Meaning) -> Ok:
    match found:
        case Ok():
            return found
        case Refused(status=status, message=message, fields=fields):
            raise AvitoRefused(status, message, fields)
        case Limited(retry_after_s=after_s):
            raise NoPermit(after_s or 1.0, "rate_limited")
        case Blocked(status=status, message=message) | Unauthorized(status=status, message=message):
            raise AvitoBlocked(status, message)
        case Unknown(error=error) | Unsent(error=error):
            raise AvitoUnavailable(f"Avito gave no usable answer: {error}")
