"""
The Avito client with a real gate and token in Redis, before the stand-in.
"""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from common.avito import calls
from common.avito.answers import Blocked, Meaning, Ok
from common.avito.client import Avito
from common.avito.reads import AvitoBlocked, AvitoRefused, read
from common.avito.token import _STORE
from common.errors import AvitoUnavailable, NoPermit, TokenRefused
from common.queue.keys import AccountKeys
from sandbox import AvitoFault
from tests.integration.dispatcher.gateway import Gateway, Start


async def me(gateway: Gateway, avito: Avito | None = None) -> Meaning:
    """
    Ask who we are.
    """
    avito = avito or gateway.avito
    async with await avito.gate(gateway.account).acquire(wait_s=5) as permit:
        return await avito.call(gateway.account, permit, calls.me())


async def test_one_token_for_twenty_calls_of_three_processes(start: Start) -> None:
    """
    However many ask at once, the token is fetched once.
    """
    gateway = await start(run=False)
    processes = [gateway.avito, *(Avito(gateway.settings, gateway.connections) for _ in range(2))]

    found = await asyncio.gather(*(me(gateway, processes[number % 3]) for number in range(20)))

    assert all(isinstance(meaning, Ok) for meaning in found)
    assert gateway.requests("/token") == 1
    for avito in processes[1:]:
        await avito.aclose()


@pytest.mark.parametrize("form", ["403", "401", "200"])
async def test_an_expired_token_is_renewed_once_for_all(start: Start, form: str) -> None:
    """
    Twenty calls that learn of the expiry at once renew it once, whatever form the refusal has.
    """
    gateway = await start(run=False)
    behaviour = gateway.sandbox.avito.behaviour.model_copy(update={"bad_token": form})
    gateway.sandbox.avito.behaviour = behaviour
    await me(gateway)
    old = await gateway.avito.token(gateway.account)
    # Avito's day is over, ours is not.
    gateway.sandbox.clock.shift_s = 86_401.0

    found = await asyncio.gather(*(me(gateway) for _ in range(20)))

    new = await gateway.avito.token(gateway.account)
    assert all(isinstance(meaning, Ok) for meaning in found)
    assert gateway.requests("/token") == 2
    assert old is not None
    assert new is not None
    assert old.access_token != new.access_token


async def test_another_process_token_is_used(start: Start) -> None:
    """
    A process whose token is refused looks into Redis before it asks for a new one.
    """
    gateway = await start(run=False)
    other = Avito(gateway.settings, gateway.connections)
    await me(gateway)
    await me(gateway, other)
    gateway.sandbox.clock.shift_s = 86_401.0
    await me(gateway)

    assert isinstance(await me(gateway, other), Ok)
    assert gateway.requests("/token") == 2
    await other.aclose()


async def test_a_token_is_renewed_before_it_expires(start: Start) -> None:
    """
    A token that Avito still takes is renewed when `refresh_at` has come.
    """
    gateway = await start(run=False)
    await me(gateway)
    token = await gateway.avito.token(gateway.account)
    assert token is not None
    due = token.model_copy(update={"refresh_at": token.expires_at - 86_400}).model_dump_json()
    key = AccountKeys(gateway.settings.key_prefix, gateway.user_id).token
    await gateway.connections.commands.set(key, due)
    other = Avito(gateway.settings, gateway.connections)

    await me(gateway, other)

    assert gateway.requests("/token") == 2
    assert [record for record in gateway.sandbox.journal.list("avito") if record.status == 403] == []
    await other.aclose()


async def test_while_one_renews_the_others_use_the_old_token(start: Start) -> None:
    """
    A token that is due but good is used on while another process holds the lock.
    """
    gateway = await start(run=False)
    await me(gateway)
    token = await gateway.avito.token(gateway.account)
    assert token is not None
    due = token.model_copy(update={"refresh_at": token.expires_at - 86_400}).model_dump_json()
    key = AccountKeys(gateway.settings.key_prefix, gateway.user_id).token
    await gateway.connections.commands.mset({key: due, f"{key}:lock": "another"})
    await gateway.connections.commands.pexpire(f"{key}:lock", 60_000)
    other = Avito(gateway.settings, gateway.connections)

    assert isinstance(await me(gateway, other), Ok)
    assert gateway.requests("/token") == 1
    await other.aclose()


@pytest.mark.parametrize("status", [200, 401])
async def test_wrong_credentials(start: Start, status: int) -> None:
    """
    Wrong credentials block the account with a reason, are asked for once, and never end up in a log.
    """
    gateway = await start(run=False)
    behaviour = gateway.sandbox.avito.behaviour.model_copy(update={"wrong_credentials_status": status})
    gateway.sandbox.avito.behaviour = behaviour
    wrong = gateway.account.model_copy(update={"client_id": "nobody"})

    with capture_logs() as logs:
        async with await gateway.avito.gate(wrong).acquire(wait_s=5) as permit:
            found = await gateway.avito.call(wrong, permit, calls.me())

    assert isinstance(found, Blocked)
    assert found.message.startswith("Avito refuses AVITO_CLIENT_ID and AVITO_CLIENT_SECRET")
    assert (gateway.requests("/self"), gateway.requests("/token")) == (0, 1)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["avito.blocked"]
    assert "client_secret" not in str(logs)
    with pytest.raises(NoPermit):
        await gateway.avito.refresh_token(wrong, wait_s=0.1)


async def test_refresh_by_hand(start: Start) -> None:
    """
    A token is renewed on request, and wrong credentials are said to be wrong.
    """
    gateway = await start(run=False)
    first = await gateway.avito.refresh_token(gateway.account, wait_s=5)
    second = await gateway.avito.refresh_token(gateway.account, wait_s=5)

    assert first.access_token != second.access_token
    assert second == await gateway.avito.token(gateway.account)
    with pytest.raises(TokenRefused):
        await gateway.avito.refresh_token(gateway.account.model_copy(update={"client_id": "nobody"}), wait_s=5)


async def test_a_token_that_cannot_be_fetched_has_sent_nothing(start: Start) -> None:
    """
    A token call of unknown outcome leaves the call behind it unsent, so it may be repeated.
    """
    gateway = await start(run=False)
    gateway.sandbox.faults.add(AvitoFault(kind="status", status=502, count=1, path="/token"))

    body = await read(gateway.avito, gateway.account, calls.me(), wait_s=5)

    assert isinstance(body, dict)
    assert (int(gateway.user_id), 2) == (body["id"], gateway.requests("/token"))


async def test_the_lock_is_its_owners(start: Start) -> None:
    """
    A process whose lock has run out stores nothing; the owner stores and unlocks in one step.
    """
    gateway = await start(run=False)
    redis = gateway.connections.commands
    key = AccountKeys(gateway.settings.key_prefix, gateway.user_id).token
    await redis.set(f"{key}:lock", "me")

    late = await _STORE(redis, [key, f"{key}:lock"], ["other", "{}", 1000])
    assert (late, await redis.get(key), await redis.get(f"{key}:lock")) == (0, None, "me")
    assert await _STORE(redis, [key, f"{key}:lock"], ["me", "{}", 60_000]) == 1
    assert (await redis.get(key), await redis.get(f"{key}:lock")) == ("{}", None)


async def test_a_dead_process_lock_runs_out(start: Start) -> None:
    """
    A process that died while renewing holds the others up no longer than its lock lives.
    """
    gateway = await start(run=False)
    key = AccountKeys(gateway.settings.key_prefix, gateway.user_id).token
    await gateway.connections.commands.set(f"{key}:lock", "dead", px=200)

    assert isinstance(await me(gateway), Ok)


async def test_what_a_read_raises(start: Start) -> None:
    """
    A refusal, a pause, a denied account and an outage are four exceptions.
    """
    gateway = await start(run=False)
    missing = calls.chat(gateway.user_id, "u2i-nowhere")
    with pytest.raises(AvitoRefused, match="404: Not found"):
        await read(gateway.avito, gateway.account, missing, wait_s=5)
    gateway.sandbox.faults.add(AvitoFault(kind="status", status=500, count=3, path="*/self"))
    with pytest.raises(AvitoUnavailable, match="HTTP 500"):
        await read(gateway.avito, gateway.account, calls.me(), wait_s=5)
    assert gateway.requests("/self") == 3
    gateway.sandbox.faults.add(AvitoFault(kind="status", status=429, retry_after_s=30, count=1, path="*/self"))
    for _ in range(2):
        with pytest.raises(NoPermit) as limited:
            await read(gateway.avito, gateway.account, calls.me(), wait_s=0.1)
        assert 25 < limited.value.retry_after_s <= 31
    assert gateway.requests("/self") == 4


async def test_a_denied_account(start: Start) -> None:
    """
    402 is told as what it is.
    """
    gateway = await start(run=False)
    gateway.sandbox.faults.add(AvitoFault(kind="status", status=402, count=1, path="*/self"))

    with pytest.raises(AvitoBlocked, match="402: Payment required"):
        await read(gateway.avito, gateway.account, calls.me(), wait_s=5)


async def test_a_send_is_not_repeated_by_a_read(start: Start) -> None:
    """
    What may have taken effect is never sent twice behind the caller's back.
    """
    gateway = await start(run=False)
    gateway.sandbox.faults.add(AvitoFault(kind="drop", taken=True, count=1, path="*/messages"))

    with pytest.raises(AvitoUnavailable):
        await read(gateway.avito, gateway.account, calls.send_text(gateway.user_id, gateway.chat_id, "x"), wait_s=5)

    assert gateway.texts() == ["x"]


async def test_every_attempt_takes_a_token_of_the_gate(start: Start) -> None:
    """
    Token call, refused call, renewal and repeated call are four requests, and four tokens are out (R40).
    """
    gateway = await start(run=False, rate_limit_window=60.0)
    gateway.sandbox.faults.add(AvitoFault(kind="expired_token", count=1, path="*/self"))

    assert isinstance(await me(gateway), Ok)

    usage = await gateway.avito.gate(gateway.account).usage()
    assert (len(gateway.sandbox.journal.list("avito")), usage.tokens_out, usage.slots_open) == (4, 4, 0)
