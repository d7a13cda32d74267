"""
The access token of an account: shared by all processes through Redis, renewed by one of them (design section 5).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeGuard

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common import log
from common.avito.answers import (
    Answer,
    Blocked,
    Limited,
    Ok,
    Refused,
    Result,
    Unauthorized,
    Unknown,
    Unsent,
    meaning,
    message_of,
)
from common.errors import Outage, RedisRefused
from common.queue.connection import Connections, mapped
from common.queue.gate import Permit
from common.queue.keys import AccountKeys
from common.queue.scripts import Script
from common.settings import Account, Settings

# A token call is quick; its deadline is how long others wait for a process that died while renewing.
TOKEN_TIMEOUT_S: Final = 10.0
LOCK_S: Final = TOKEN_TIMEOUT_S + 2.0
POLL_S: Final = 0.05
EARLY_S: Final = 300.0
LIFE_S: Final = 86_400.0

_STORE: Final = Script("token_store")
_log = log.logger(__name__)


class Token(BaseModel):
    """
    An access token as it lies in Redis; times are unix seconds by Redis' clock.

    It is renewed from `refresh_at` on, 5 minutes before `expires_at` (short-lived ones: a tenth of their life).
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    access_token: str = Field(min_length=1, repr=False)
    expires_at: float
    refresh_at: float

    @property
    def masked(self) -> str:
        """
        Return a form that can be shown: enough to tell two tokens apart, not enough to use one.
        """
        text = self.access_token
        return f"{text[:4]}...{text[-4:]}" if len(text) >= 16 else "***"

    def valid(self, now_ms: int) -> bool:
        """
        Say whether Avito should still take it.
        """
        return now_ms < self.expires_at * 1000

    def fresh(self, now_ms: int) -> bool:
        """
        Say whether it need not be renewed yet.
        """
        return now_ms < self.refresh_at * 1000


Failure = Refused | Limited | Blocked | Unsent
Fetch = Callable[[Account, Permit], Awaitable[Result]]


def token_of(result: Result, now_ms: int) -> Token | Failure:
    """
    Read the answer to a token call. `Refused` means that the credentials are wrong.

    An answer without `access_token` is a failure whatever its status (facts, section 2). No call has gone out yet, so
    an unknown outcome is simply `Unsent` for the caller.
    """
    found = meaning(result)
    match found:
        case Ok(body=dict() as body) if _usable(body.get("access_token")):
            life = body.get("expires_in")
            life_s = float(life) if isinstance(life, int | float) and life > 0 else LIFE_S
            now_s = now_ms / 1000
            return Token(
                access_token=str(body["access_token"]),
                expires_at=now_s + life_s,
                refresh_at=now_s + life_s - min(EARLY_S, life_s / 10),
            )
        case Ok(status=status):
            return Refused(status, message_of(result) if isinstance(result, Answer) else "")
        case Unauthorized(status=status, message=message):
            return Refused(status, message)
        case Unknown(error=error):
            return Unsent(f"access token: {error}")
        case Unsent(error=error):
            return Unsent(f"access token: {error}")
        case Refused() | Limited() | Blocked():
            return found


def _usable(text: object) -> bool:
    """
    Say whether it can stand in a header.
    """
    return isinstance(text, str) and bool(text) and text.isascii() and text.isprintable() and " " not in text


@dataclass(slots=True)
class _State:
    """
    What this process knows of one account's token; `turns` counts the renewals that ended while others waited.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    known: Token | None = None
    turns: int = 0
    last: Token | Failure | None = None


class Tokens:
    """
    The tokens of all accounts.

    `fetch` makes the token call; the permit has given a token of the gate for it (R40).
    """

    def __init__(self, connections: Connections, settings: Settings, fetch: Fetch) -> None:
        self._redis = connections.commands
        self._prefix = settings.key_prefix
        self._fetch = fetch
        self._states: dict[str, _State] = {}

    async def stored(self, account: Account) -> Token | None:
        """
        Return the token all processes share, without asking Avito.
        """
        with mapped():
            raw = await self._redis.get(self._keys(account).token)
        if not raw:
            return None
        try:
            return Token.model_validate_json(raw)
        except ValidationError:
            return None

    async def of(self, account: Account, permit: Permit, *, refused: str | None = None) -> Token | Failure:
        """
        Return a token other than `refused`, the one that Avito did not take; renew it if there is none.

        However many callers and processes ask at once, one renews and the rest get what it got. Raises `Outage` when
        Redis is needed and away, `NoPermit` when the gate has no token for the call.
        """
        state = self._states.setdefault(account.user_id, _State())
        if _serves(state.known, permit, refused):
            return state.known
        turns = state.turns
        async with state.lock:
            if state.turns != turns and state.last is not None and _answers(state.last, refused):
                return state.last
            state.last = await self._shared(account, permit, state.known, refused)
            state.turns += 1
            if isinstance(state.last, Token):
                state.known = state.last
            return state.last

    async def _shared(
        self, account: Account, permit: Permit, known: Token | None, refused: str | None
    ) -> Token | Failure:
        lock = f"{self._keys(account).token}:lock"
        while True:
            stored = await self.stored(account)
            if _serves(stored, permit, refused):
                return stored
            with mapped():
                held_ms = int(await self._redis.pttl(lock))
            if held_ms > 0:
                for old in (stored, known):
                    if old is not None and old.access_token != refused and old.valid(permit.redis_ms()):
                        return old
                await asyncio.sleep(POLL_S)
                continue
            # Before the lock: waiting for the gate must not use up the lock's life.
            await permit.token()
            owner = secrets.token_hex(8)
            if await self._locked(lock, owner):
                return await self._renewed(account, permit, owner, refused)

    async def _renewed(self, account: Account, permit: Permit, owner: str, refused: str | None) -> Token | Failure:
        found: Token | Failure | None = None
        renewed: Token | None = None
        try:
            # Between the look at the token and the lock another process may have finished.
            found = await self.stored(account)
            if not _serves(found, permit, refused):
                found = token_of(await self._fetch(account, permit), permit.redis_ms())
                renewed = found if isinstance(found, Token) else None
        finally:
            await asyncio.shield(self._end(account, permit, owner, renewed))
        if renewed is not None:
            _log.info("token.renewed", account=account.user_id, expires_at=round(renewed.expires_at))
        return found

    async def _locked(self, lock: str, owner: str) -> bool:
        try:
            with mapped():
                return bool(await self._redis.set(lock, owner, nx=True, px=round(LOCK_S * 1000)))
        except RedisRefused:
            # A full Redis takes no lock. Sends must go on, since they are what empties it: renew without.
            return True

    async def _end(self, account: Account, permit: Permit, owner: str, token: Token | None) -> None:
        key = self._keys(account).token
        life_ms = max(1, round(token.expires_at * 1000) - permit.redis_ms()) if token else 0
        try:
            await _STORE(self._redis, [key, f"{key}:lock"], [owner, token.model_dump_json() if token else "", life_ms])
        except Outage as error:
            # This process has it in memory; the others renew on their own when the lock has run out.
            _log.warning("token.share_failed", account=account.user_id, error=str(error))

    def _keys(self, account: Account) -> AccountKeys:
        return AccountKeys(self._prefix, account.user_id)


def _serves(token: Token | Failure | None, permit: Permit, refused: str | None) -> TypeGuard[Token]:
    return isinstance(token, Token) and token.access_token != refused and token.fresh(permit.redis_ms())


def _answers(last: Token | Failure, refused: str | None) -> bool:
    return not isinstance(last, Token) or last.access_token != refused
