"""
Keys and secrets are compared in constant time, on bytes, whatever is shown.
"""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from tests.integration.ingress.conftest import Serve
from tests.integration.ingress.test_webhook import event

KEY = "schlüssel-ключ"
SHOWN = ["", "x", "schlüssel", KEY[:-1], KEY + "x", "ключ", "\xff\xfe", "🔑"]


@pytest.fixture(name="compared")
def _compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """
    Note each pair that `hmac.compare_digest` is asked for.
    """
    pairs: list[tuple[Any, Any]] = []
    real = hmac.compare_digest

    def noted(one: Any, other: Any) -> bool:
        pairs.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    return pairs


@pytest.mark.parametrize(("header", "before"), [("X-API-Key", ""), ("Authorization", "Bearer ")])
async def test_a_wrong_key_is_compared_in_constant_time(
    serve: Serve, compared: list[tuple[Any, Any]], header: str, before: str
) -> None:
    """
    Each candidate, whole and as bytes, meets the whole key in `compare_digest`; no other way leads in.
    """
    async with serve(api_key=KEY) as gateway:
        del gateway.http.headers["X-API-Key"]
        for shown in SHOWN:
            value = f"{before}{shown}".strip().encode()
            answer = await gateway.http.get("/api/token", headers=[(header.encode(), value)])

            assert 401 == answer.status_code
            assert (shown.encode(), KEY.encode()) in compared
    assert {bytes} == {type(side) for pair in compared for side in pair}


async def test_the_right_key_in_letters_of_any_kind(serve: Serve, compared: list[tuple[Any, Any]]) -> None:
    """
    A key that is not ASCII works, as UTF-8, and is compared like any other.
    """
    async with serve(api_key=KEY) as gateway:
        del gateway.http.headers["X-API-Key"]
        answer = await gateway.http.get("/api/token", headers=[(b"X-API-Key", KEY.encode())])

    assert 200 == answer.status_code
    assert (KEY.encode(), KEY.encode()) in compared


@pytest.mark.parametrize(("shown", "status"), [("hook-secret", 200), ("hook-secre", 404), ("ключ", 404), ("%FF", 404)])
async def test_a_webhook_secret_is_compared_in_constant_time(
    serve: Serve, compared: list[tuple[Any, Any]], shown: str, status: int
) -> None:
    """
    The secret in a webhook's address is compared as bytes; a wrong one is an address that does not exist.
    """
    async with serve(webhook_secret="hook-secret") as gateway:
        answer = await gateway.http.post(f"/webhook/avito/{shown}", json=event())
        without = await gateway.http.post("/webhook/avito", json=event(id="other"))
        stored = len(await gateway.events())

    assert (status, 404, 1 if status == 200 else 0) == (answer.status_code, without.status_code, stored)
    assert compared
    assert {b"hook-secret"} == {wanted for _, wanted in compared}
    assert {bytes} == {type(side) for pair in compared for side in pair}
