"""
Access and refresh tokens of the Avito stand-in (facts, section 2).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.refusals import Refused, bad_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.behaviour import Behaviour
    from sandbox.chats import Account
    from sandbox.clock import Clock

REFRESH_LIFE_S = 365 * 86_400


@dataclass(slots=True)
class Token:
    """
    An access token. `scopes` None: a client_credentials token, which needs none.
    """

    user_id: int
    expires_s: float
    scopes: frozenset[str] | None = None


@dataclass(slots=True)
class Grant:
    """
    What an authorization code or a refresh token may be exchanged for, once.
    """

    user_id: int
    client_id: str
    scope: str
    expires_s: float


class Tokens:
    """
    Give out tokens and tell whose they are. Times follow the shiftable clock, so a day passes in no time.
    """

    def __init__(self, clock: Clock, accounts: Mapping[int, Account]) -> None:
        self._clock = clock
        self._accounts = accounts
        self._access: dict[str, Token] = {}
        self._refresh: dict[str, Grant] = {}
        self._codes: dict[str, Grant] = {}

    def client(self, form: Mapping[str, Any]) -> Account | None:
        """
        Return the account whose client id the form names, right or wrong secret.
        """
        return next((a for a in self._accounts.values() if a.client_id == form.get("client_id")), None)

    def owner(self, access_token: str) -> int:
        """
        Return the account of a token, expired or not; 0 for an unknown one.
        """
        token = self._access.get(access_token)
        return token.user_id if token else 0

    def check(self, access_token: str, behaviour: Behaviour) -> Token:
        """
        Return a token that is known and has not expired; else refuse in the form switched on.
        """
        token = self._access.get(access_token)
        if token is None:
            raise bad_token(behaviour.bad_token, "invalid access token")
        if self._clock.now_s() >= token.expires_s:
            raise bad_token(behaviour.bad_token, "access token expired")
        return token

    def expire(self, user_id: int | None = None) -> int:
        """
        Let the access tokens of an account, or all, expire now; return how many.
        """
        now = self._clock.now_s()
        hit = [t for t in self._access.values() if user_id in (None, t.user_id) and t.expires_s > now]
        for token in hit:
            token.expires_s = now
        return len(hit)

    def authorize(self, user_id: int, scope: str) -> str:
        """
        Return a code such as the browser brings back after the user agreed. It lives ten minutes.
        """
        code = secrets.token_urlsafe(24)
        account = self._accounts[user_id]
        self._codes[code] = Grant(user_id, account.client_id, scope, self._clock.now_s() + 600)
        return code

    def exchange(self, form: Mapping[str, Any], behaviour: Behaviour) -> dict[str, Any]:
        """
        Answer `POST /token`.

        Raises:

            Refused: with `error` and `error_description`; wrong credentials by default with status 200, since clients
                read the body first, and everything else with 400.
        """
        account = self.client(form)
        if account is None or not secrets.compare_digest(
            str(form.get("client_secret", "")).encode(), account.client_secret.encode()
        ):
            raise _oauth(behaviour.wrong_credentials_status, "invalid_client", "Client authentication failed")
        match form.get("grant_type"):
            case "client_credentials":
                return self._access_token(account.user_id, behaviour, None)
            case "authorization_code":
                return self._redeem(self._codes.pop(str(form.get("code")), None), account, behaviour)
            case "refresh_token":
                return self._redeem(self._refresh.pop(str(form.get("refresh_token")), None), account, behaviour)
            case _:
                raise _oauth(400, "unsupported_grant_type", "The grant type is not supported")

    def _redeem(self, grant: Grant | None, account: Account, behaviour: Behaviour) -> dict[str, Any]:
        if grant is None or grant.client_id != account.client_id or self._clock.now_s() >= grant.expires_s:
            raise _oauth(400, "invalid_grant", "The code or refresh token is unknown, used or expired")
        answer = self._access_token(grant.user_id, behaviour, frozenset(grant.scope.split(",")))
        refresh = secrets.token_urlsafe(30)
        expires_s = self._clock.now_s() + REFRESH_LIFE_S
        self._refresh[refresh] = Grant(grant.user_id, account.client_id, grant.scope, expires_s)
        return {
            "access_token": answer["access_token"],
            "expires_in": answer["expires_in"],
            "refresh_token": refresh,
            "scope": grant.scope,
            "token_type": "Bearer",
        }

    def _access_token(self, user_id: int, behaviour: Behaviour, scopes: frozenset[str] | None) -> dict[str, Any]:
        token = secrets.token_urlsafe(30)
        self._access[token] = Token(user_id, self._clock.now_s() + behaviour.token_life_s, scopes)
        return {"access_token": token, "expires_in": int(behaviour.token_life_s), "token_type": "Bearer"}


def _oauth(status: int, error: str, description: str) -> Refused:
    return Refused(status, {"error": error, "error_description": description})
