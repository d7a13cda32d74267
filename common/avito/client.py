"""
The Avito client: every call goes through the account's gate and carries the shared access token.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import httpx

from common import log, metrics
from common.avito import calls
from common.avito.answers import (
    Answer,
    Blocked,
    Limited,
    Meaning,
    NoAnswer,
    Ok,
    Refused,
    Result,
    Unauthorized,
    Unsent,
    meaning,
)
from common.avito.calls import Call
from common.avito.http import exchange
from common.avito.token import TOKEN_TIMEOUT_S, Token, Tokens
from common.errors import AvitoUnavailable, NoPermit, TokenRefused
from common.http.pool import ClientPool
from common.queue.connection import Connections
from common.queue.gate import Gate, Limits, Permit
from common.queue.keys import AccountKeys
from common.settings import Account, Settings
from common.tracing import current

BLOCKED_PAUSE_S: Final = 300.0
USER_AGENT: Final = "avito-gateway"

_log = log.logger(__name__)


class Avito:
    """
    The client of a process, for all accounts.

    `transport` replaces the network in tests.
    """

    def __init__(
        self, settings: Settings, connections: Connections, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings = settings
        self._connections = connections
        self._pool = ClientPool(settings.avito_base_url, USER_AGENT, transport=transport)
        self._tokens = Tokens(connections, settings, self._fetch_token)
        self._gates: dict[str, Gate] = {}
        self._blocked: dict[str, str] = {}
        self._told: tuple[int, float] | None = None

    def gate(self, account: Account) -> Gate:
        """
        Return the gate before Avito of that account, the same object each time.
        """
        gate = self._gates.get(account.user_id)
        if gate is None:
            gate = Gate(
                self._connections,
                AccountKeys(self._settings.key_prefix, account.user_id),
                "avito",
                Limits(
                    requests=self._settings.rate_limit_requests,
                    window_s=self._settings.rate_limit_window,
                    connections=self._settings.max_connections,
                    timeout_s=self._settings.connection_timeout,
                    reserve=self._settings.bulk_reserve,
                ),
            )
            self._gates[account.user_id] = gate
        return gate

    def now_ms(self) -> int | None:
        """
        Return the time by Avito's clock as the last Date header told it, None before the first. Rather too early: Date
        is cut to the second and older than its arrival.
        """
        if self._told is None:
            return None
        server_ms, told_s = self._told
        return server_ms + round((time.monotonic() - told_s) * 1000)

    async def call(self, account: Account, permit: Permit, call: Call) -> Meaning:
        """
        Make one call and say what came of it.

        The access token is renewed once when Avito does not take it; what a fresh one is denied is `Blocked`.
        `Limited` and `Blocked` have paused the gate for all replicas when this returns; `Limited` then says for how
        long. `Unauthorized` is never returned. Without an access token nothing goes out: `Unsent` or `Blocked`.

        Raises:

            NoPermit: the gate gives no token in the time this permit may wait; nothing went out in that attempt.

            Outage: Redis is away; likewise.

        """
        refused: str | None = None
        while True:
            token = await self._tokens.of(account, permit, refused=refused)
            if not isinstance(token, Token):
                found: Meaning = _without_token(token)
                break
            await permit.token()
            begun_s = time.monotonic()
            found = meaning(await self._attempt(account, permit, call, token.access_token))
            _log.debug(
                "avito.called",
                account=account.user_id,
                call=call.name,
                outcome=type(found).__name__.lower(),
                status=getattr(found, "status", None),
                duration_ms=round((time.monotonic() - begun_s) * 1000),
            )
            if not isinstance(found, Unauthorized):
                break
            if refused is not None:
                found = Blocked(found.status, f"denied with a fresh access token: {found.message}")
                break
            refused = token.access_token
        return await self._paused(account, found)

    async def token(self, account: Account) -> Token | None:
        """
        Return the access token all processes share, or None before the first call. Nothing is sent.
        """
        return await self._tokens.stored(account)

    async def refresh_token(self, account: Account, *, wait_s: float) -> Token:
        """
        Renew the access token now and return the new one.

        Raises:

            NoPermit: the gate is closed for longer than `wait_s`, or Avito has just closed it (429).

            TokenRefused: Avito does not accept the account's client id and secret.

            AvitoUnavailable: no usable answer.

        """
        old = await self._tokens.stored(account)
        async with await self.gate(account).acquire(wait_s=wait_s) as permit:
            found = await self._tokens.of(account, permit, refused=old.access_token if old else None)
        match found:
            case Token():
                return found
            case Refused(message=message):
                raise TokenRefused(_credentials_refused(message))
            case Limited(retry_after_s=after_s):
                metrics.GATE_PAUSES[account.user_id, "avito", "rate_limited"].inc()
                paused_s = await self.gate(account).pause(after_s, "rate_limited")
                raise NoPermit(paused_s, "rate_limited")
            case Blocked(message=message) | Unsent(error=message):
                raise AvitoUnavailable(f"Avito gave no access token: {message}")

    async def aclose(self) -> None:
        """
        Close the idle connections. Requests under way are not waited for.
        """
        await self._pool.aclose()

    async def _fetch_token(self, account: Account, permit: Permit) -> Result:
        secret = account.client_secret.get_secret_value()
        return await self._attempt(account, permit, calls.token(account.client_id, secret), None)

    async def _attempt(self, account: Account, permit: Permit, call: Call, token: str | None) -> Result:
        """
        Make one HTTP attempt, for which the permit has just given a token (R40).
        """
        timeout_s = self._settings.connection_timeout
        if token is None:
            timeout_s = min(TOKEN_TIMEOUT_S, timeout_s)
        begun_s = time.monotonic()
        # What a cancelled attempt counts as: it may still arrive.
        result: Result = NoAnswer("cancelled", aborted=True)
        try:
            async with self._pool.lend() as loan:
                with current().call(f"avito {call.name}") as span:
                    result = await exchange(loan.client, _request(loan.client, call, token), timeout_s)
                    span.answered(result.status if isinstance(result, Answer) else None, type(result).__name__)
                if not isinstance(result, Answer):
                    loan.spoil()
        finally:
            if isinstance(result, Answer) and result.server_ms is not None:
                self._told = (result.server_ms, time.monotonic())
            # After the connection is closed: a token counts until the request can no longer arrive.
            found = meaning(result)
            permit.ended(aborted=isinstance(result, NoAnswer) and result.aborted, passed=_passed(call, found))
            metrics.AVITO_ANSWERS[account.user_id, type(found).__name__.lower()].inc()
            metrics.AVITO_REQUEST[()].observe(time.monotonic() - begun_s)
        return result

    async def _paused(self, account: Account, found: Meaning) -> Meaning:
        match found:
            case Limited(retry_after_s=after_s):
                metrics.GATE_PAUSES[account.user_id, "avito", "rate_limited"].inc()
                paused_s = await self.gate(account).pause(after_s, "rate_limited")
                _log.warning("avito.limited", account=account.user_id, paused_s=paused_s)
                return replace(found, retry_after_s=paused_s)
            case Blocked(status=status, message=message):
                reason = f"HTTP {status}: {message}"
                metrics.GATE_PAUSES[account.user_id, "avito", "blocked"].inc()
                await self.gate(account).pause(BLOCKED_PAUSE_S, reason)
                if self._blocked.get(account.user_id) != reason:
                    self._blocked[account.user_id] = reason
                    _log.error("avito.blocked", account=account.user_id, status=status, error=message)
            case Ok():
                self._blocked.pop(account.user_id, None)
        return found


def _request(client: httpx.AsyncClient, call: Call, token: str | None) -> httpx.Request:
    headers = {"authorization": f"Bearer {token}"} if token is not None else {}
    if traceparent := current().traceparent:
        headers["traceparent"] = traceparent
    upload = call.upload
    return client.build_request(
        call.method,
        call.path,
        params=dict(call.params) if call.params else None,
        json=call.json,
        data=dict(call.form) if call.form else None,
        files={upload.field: (upload.filename, upload.content, upload.content_type)} if upload else None,
        headers=headers,
    )


def _passed(call: Call, found: Meaning) -> bool:
    """
    Say whether the attempt shows that a pause is over. A new access token shows nothing of the calls behind it.
    """
    return call.form is None and isinstance(found, Ok | Refused)


def _without_token(failure: Refused | Limited | Blocked | Unsent) -> Meaning:
    if isinstance(failure, Refused):
        return Blocked(failure.status, _credentials_refused(failure.message))
    return failure


def _credentials_refused(message: str) -> str:
    return f"Avito refuses AVITO_CLIENT_ID and AVITO_CLIENT_SECRET: {message}"
