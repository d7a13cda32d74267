"""
Tokens of the Avito stand-in: facts, section 2, samples 12 and 23.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from sandbox import Account, Behaviour

if TYPE_CHECKING:
    from sandbox import Sandbox
    from tests.sandbox.conftest import Seller

FORM = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox"}
EXPIRED = {"result": {"status": False, "message": "access token expired"}}


@pytest.mark.parametrize("path", ["/token", "/token/"])
async def test_client_credentials(sandbox: Sandbox, path: str) -> None:
    """
    Both paths give a Bearer token of 40 characters for a day, and nothing else.
    """
    async with httpx.AsyncClient(base_url=sandbox.avito_url) as http:
        answer = await http.post(path, data=FORM)

    body = answer.json()
    assert (200, 86400, "Bearer") == (answer.status_code, body["expires_in"], body["token_type"])
    assert (3, 40) == (len(body), len(body["access_token"]))


@pytest.mark.parametrize("status", [200, 401])
async def test_wrong_secret(sandbox: Sandbox, status: int) -> None:
    """
    A wrong secret is told by `error` and `error_description`; the status is a switch.
    """
    sandbox.avito.behaviour = Behaviour(wrong_credentials_status=status)
    async with httpx.AsyncClient(base_url=sandbox.avito_url) as http:
        answer = await http.post("/token", data=FORM | {"client_secret": "wrong"})

    assert status == answer.status_code
    assert {"error": "invalid_client", "error_description": "Client authentication failed"} == answer.json()


async def test_json_is_refused(sandbox: Sandbox) -> None:
    """
    The token endpoint takes forms only.
    """
    async with httpx.AsyncClient(base_url=sandbox.avito_url) as http:
        answer = await http.post("/token", json=FORM)

    assert (400, "invalid_request") == (answer.status_code, answer.json()["error"])


async def test_refresh_token_rotates(sandbox: Sandbox) -> None:
    """
    A refresh token gives a new pair once; its second use answers 400.
    """
    code = sandbox.avito.tokens.authorize(sandbox.avito.default_user_id, "messenger:read")
    async with httpx.AsyncClient(base_url=sandbox.avito_url) as http:
        first = (await http.post("/token", data=FORM | {"grant_type": "authorization_code", "code": code})).json()
        refresh = FORM | {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        second = (await http.post("/token", data=refresh)).json()
        third = await http.post("/token", data=refresh)

    assert ["access_token", "expires_in", "refresh_token", "scope", "token_type"] == list(first)
    assert first["access_token"] != second["access_token"]
    assert first["refresh_token"] != second["refresh_token"]
    assert (400, "invalid_grant") == (third.status_code, third.json()["error"])


async def test_scopes(sandbox: Sandbox, seller: Seller) -> None:
    """
    A token for reading reads and does not send.
    """
    code = sandbox.avito.tokens.authorize(seller.user_id, "messenger:read")
    answer = await seller.http.post("/token", data=FORM | {"grant_type": "authorization_code", "code": code})
    seller.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    assert 200 == (await seller.get("/v2/C")).status_code
    assert 403 == (await seller.send("no")).status_code


async def test_token_dies_after_a_day(sandbox: Sandbox, seller: Seller) -> None:
    """
    After 24 h every call answers 403 with the body that was seen; a new token works.
    """
    sandbox.clock.shift_s = 86_399 - 60
    before = await seller.get("/v2/C")
    sandbox.clock.shift_s = 86_401
    after = await seller.get("/v2/C")
    await seller.log_in()

    assert (200, 403, EXPIRED) == (before.status_code, after.status_code, after.json())
    assert 200 == (await seller.get("/v2/C")).status_code


@pytest.mark.parametrize(
    ("form", "status", "body"),
    [
        ("403", 403, EXPIRED),
        ("401", 401, {"error": {"code": 401, "message": "Unauthorized"}}),
        ("200", 200, EXPIRED),
    ],
)
async def test_forms_of_an_expired_token(
    sandbox: Sandbox, seller: Seller, form: str, status: int, body: dict[str, object]
) -> None:
    """
    All three forms in which an expired token may be told can be switched on.
    """
    sandbox.avito.behaviour = Behaviour.model_validate({"bad_token": form})
    assert 1 == sandbox.avito.tokens.expire()

    answer = await seller.get("/v2/C")

    assert (status, body) == (answer.status_code, answer.json())


async def test_life_is_settable(sandbox: Sandbox, seller: Seller) -> None:
    """
    A shorter life is told in `expires_in` and kept to.
    """
    sandbox.avito.behaviour = Behaviour(token_life_s=30)
    answer = await seller.http.post("/token", data=FORM)
    seller.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    sandbox.clock.shift_s = 31

    assert 30 == answer.json()["expires_in"]
    assert EXPIRED == (await seller.get("/v2/C")).json()


async def test_missing_and_unknown_tokens(seller: Seller) -> None:
    """
    No token is a 401, an unknown one a 403.
    """
    del seller.http.headers["Authorization"]
    missing = await seller.get("/v2/C")
    seller.http.headers["Authorization"] = "Bearer nobody"
    unknown = await seller.get("/v2/C")

    assert (401, 403) == (missing.status_code, unknown.status_code)
    assert "invalid access token" == unknown.json()["result"]["message"]


async def test_other_accounts_are_forbidden(sandbox: Sandbox, seller: Seller) -> None:
    """
    A path with another account's id answers 403, and each account sees itself.
    """
    sandbox.avito.register(Account(user_id=7, client_id="other", client_secret="o"))
    own = await seller.http.get("/core/v1/accounts/self")
    answer = await seller.http.get("/messenger/v2/accounts/7/chats")

    assert (seller.user_id, 403) == (own.json()["id"], answer.status_code)
    assert {"error": {"code": 403, "message": "Forbidden"}} == answer.json()
