"""
What all addresses have in common: keys, accounts, health, metrics, documentation.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from common.errors import GatewayError
from common.queue import records
from common.queue.consumer import Taken
from common.queue.gate import Gate, Limits
from common.queue.keys import workers
from tests.conftest import USER_ID
from tests.harness import Queue, Recorder, eventually
from tests.integration.ingress.conftest import API_KEY, CHAT, Gateway, Serve

PROTECTED = ["/api/chats", "/api/token", "/api/commands/x", "/info", "/metrics"]
OPEN = ["/health", "/health/live", "/health/ready", "/docs", "/openapi.json"]


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize(
    "headers",
    [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}, {"Authorization": API_KEY}, {"X-API-Key": "\xe9"}],
)
async def test_key_is_asked_for(gateway: Gateway, path: str, headers: dict[str, str]) -> None:
    """
    Without the right key nothing is told, and the answer says how to show one.
    """
    del gateway.http.headers["X-API-Key"]
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]

    answer = await gateway.http.get(path, headers=raw)

    assert (401, "unauthorized", "application/problem+json") == (
        answer.status_code,
        answer.json()["code"],
        answer.headers["content-type"],
    )
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_bearer_is_a_key(gateway: Gateway) -> None:
    """
    The key may come as a bearer token.
    """
    del gateway.http.headers["X-API-Key"]
    answer = await gateway.http.get("/api/token", headers={"Authorization": f"bearer {API_KEY}"})

    assert 200 == answer.status_code


@pytest.mark.parametrize("path", OPEN)
async def test_open_addresses(gateway: Gateway, path: str) -> None:
    """
    Health and documentation need no key.
    """
    del gateway.http.headers["X-API-Key"]

    assert 200 == (await gateway.http.get(path, follow_redirects=True)).status_code


async def test_without_a_key_everything_is_open(serve: Serve) -> None:
    """
    Without API_KEY no key is asked for.
    """
    async with serve(api_key=None) as gateway:
        assert 200 == (await gateway.http.get("/api/token")).status_code


@pytest.mark.parametrize(
    ("account", "status", "code"),
    [
        ("77", 404, "unknown_account"),
        ("x", 400, "bad_account"),
        ("-1", 400, "bad_account"),
        ("9" * 5000, 404, "unknown_account"),
    ],
)
async def test_bad_accounts(gateway: Gateway, account: str, status: int, code: str) -> None:
    """
    X-Avito-Account must be the id of an account of the settings.
    """
    answer = await gateway.http.get("/api/token", headers={"X-Avito-Account": account})

    assert (status, code) == (answer.status_code, answer.json()["code"])


async def test_account_is_chosen(serve: Serve, tmp_path: Path) -> None:
    """
    X-Avito-Account puts a command into that account's stream.
    """
    accounts = tmp_path / "accounts.toml"
    accounts.write_text('[[account]]\nuser_id = "2"\nclient_id = "b"\nclient_secret = "b"\n')
    async with serve(accounts_file=accounts) as gateway:
        body = {"chat_id": CHAT, "text": "x"}
        answer = await gateway.http.post("/api/messages/send", json=body, headers={"X-Avito-Account": "2"})

        assert (202, []) == (answer.status_code, await gateway.commands())
        assert 1 == len(await gateway.entries(gateway.keys.commands.stream.replace(USER_ID, "2")))


async def test_without_accounts(serve: Serve) -> None:
    """
    Without any account the API says what to set; health is unaffected.
    """
    async with serve(avito_client_id=None, avito_client_secret=None, avito_user_id=None) as gateway:
        answer = await gateway.http.get("/api/token")
        webhook = await gateway.http.post("/webhook/avito", json={"payload": {"type": "message", "value": {"id": "1"}}})
        health = await gateway.http.get("/health")

    assert [503, 503, 200] == [answer.status_code, webhook.status_code, health.status_code]
    assert ["not_configured"] * 2 == [answer.json()["code"], webhook.json()["code"]]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/docs/nothing", 404, "not_found"),
        ("GET", "/docs/assets/nothing.js", 404, "not_found"),
        ("GET", "/docs/assets/../../problems.py", 404, "not_found"),
        ("PUT", "/api/messages/send", 405, "method_not_allowed"),
        ("GET", "/webhook/avito", 405, "method_not_allowed"),
        ("POST", "/webhook/avitos", 404, "not_found"),
        ("POST", "/webhook/avito/a/b", 404, "not_found"),
        ("POST", "/webhook/other", 404, "not_found"),
    ],
)
async def test_unknown_addresses(gateway: Gateway, method: str, path: str, status: int, code: str) -> None:
    """
    An address or a method that does not exist is a problem like any other.
    """
    answer = await gateway.http.request(method, path)

    assert (status, code, "application/problem+json") == (
        answer.status_code,
        answer.json()["code"],
        answer.headers["content-type"],
    )


async def test_health(gateway: Gateway) -> None:
    """
    A healthy gateway says so, with its checks.
    """
    answer = await gateway.http.get("/health")

    body = answer.json()
    assert (200, "healthy", "avito-messenger-api") == (answer.status_code, body["status"], body["service"])
    assert {"redis": True, "progress": True, "gate": True, "held": True} == {
        name: check["ok"] for name, check in body["checks"].items()
    }


async def test_what_an_operator_holds_is_told_and_is_no_illness(gateway: Gateway) -> None:
    """
    /health names the direction and since when, and stays 200; /info says by whom and why.
    """
    await gateway.services.holds.hold(USER_ID, "events", by="test", why="n8n moves")
    health = await gateway.http.get("/health")
    info = await gateway.http.get("/info")

    held = health.json()["checks"]["held"]
    assert (200, "healthy", False) == (health.status_code, health.json()["status"], held["ok"])
    assert ["events"] == list(held["since"][USER_ID])
    told = info.json()["accounts"][0]["held"]
    assert {"events": ("test", "n8n moves")} == {name: (one["by"], one["why"]) for name, one in told.items()}


async def test_nobody_works(gateway: Gateway) -> None:
    """
    Entries that wait for more than 30 s without any worker make it unhealthy.
    """
    stream = gateway.keys.commands.stream
    await gateway.connections.commands.xadd(stream, {"kind": "text"}, id="1000-1")

    answer = await gateway.http.get("/health")

    assert (503, "unhealthy", [stream]) == (
        answer.status_code,
        answer.json()["status"],
        answer.json()["checks"]["progress"]["stalled"],
    )


async def test_a_worker_that_reads_nothing_is_told(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A worker whose heart beats while its loop hangs makes it unhealthy; a pause of the gate does not.
    """
    monkeypatch.setattr(records, "_STALLED_S", 0.1)
    monkeypatch.setattr(records, "_SILENT_S", 2.0)
    queue, recorder, hangs = Queue(gateway.connections, gateway.settings), Recorder(), asyncio.Event()

    async def status() -> int:
        return (await gateway.http.get("/health")).status_code

    async def waits_long() -> bool:
        return (await queue.records.depths(USER_ID))[0].oldest_ms > 3000

    async with queue.running(recorder) as role:
        (consumer,) = role.consumers
        consumer._recheck_s = 0.1
        await queue.gate().pause(60.0, "402")
        await queue.send("m1")
        await eventually(waits_long)
        assert await status() == 200

        async def hang(_free: int) -> Taken:
            await hangs.wait()
            raise GatewayError("it hung")

        with monkeypatch.context() as patch:
            patch.setattr(consumer, "_turn", hang)
            await eventually(lambda: _is(503, status))
            answer = (await gateway.http.get("/health")).json()["checks"]["progress"]
            assert f"nothing is read by {role.lease.name}" in answer["detail"]
            assert (await gateway.connections.commands.zscore(workers(queue.settings.key_prefix), role.lease.name)) or 0
        hangs.set()
        await eventually(lambda: _is(200, status))
    await queue.intake.stop()


async def _is(code: int, status: Callable[[], Awaitable[int]]) -> bool:
    return await status() == code


async def test_info_shows_no_secrets(serve: Serve) -> None:
    """
    The configuration is shown without anything that opens something.
    """
    secrets = {
        "webhook_secret": "s3cret-hook",
        "n8n_auth_header": "Authorization: Bearer s3cret-n8n",
        "n8n_webhook_url": "http://user:s3cret-user@n8n.test/webhook/s3cret-path",
    }
    async with serve(**secrets) as gateway:
        answer = await gateway.http.get("/info")

    body = answer.json()
    assert 200 == answer.status_code
    assert "s3cret" not in answer.text
    assert API_KEY not in answer.text
    assert "http://n8n.test" == body["configuration"]["n8n_webhook_url"]
    (account,) = body["accounts"]
    assert (USER_ID, 100, ["commands", "bulk", "events"]) == (
        account["user_id"],
        account["gate"]["limit"],
        [queue["stream"].rpartition(":")[2] for queue in account["queues"]],
    )


@pytest.mark.parametrize(
    ("url", "secret", "told"),
    [
        (None, None, (None, None, False)),
        (
            "http://user:s3cret-user@n8n.test:5678/webhook/s3cret-path/?token=s3cret-query",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            ("http://n8n.test:5678", hashlib.sha256(b"/webhook/s3cret-path").hexdigest(), True),
        ),
    ],
)
async def test_info_lets_a_trigger_find_itself(
    serve: Serve, url: str | None, secret: str | None, told: tuple[str | None, str | None, bool]
) -> None:
    """
    Of an account's n8n there are the origin, a hash of the path, and whether it gets signatures; nothing secret.
    """
    async with serve(n8n_webhook_url=url, n8n_webhook_secret=secret) as gateway:
        answer = await gateway.http.get("/info")

    (account,) = answer.json()["accounts"]
    assert told == (account["n8n_origin"], account["n8n_path_sha256"], account["n8n_signed"])
    assert "s3cret" not in answer.text
    assert "MfKQ9r8" not in answer.text


async def test_info_says_why_nothing_reaches_n8n(gateway: Gateway) -> None:
    """
    While deliveries to n8n pause there are the time left and the reason; before, neither.
    """
    limits = Limits(requests=None, window_s=60.0, connections=20, timeout_s=30.0)
    gate = Gate(gateway.connections, gateway.keys, "n8n", limits)
    before = (await gateway.http.get("/info")).json()["accounts"][0]
    await gate.pause(40.0, "n8n: HTTP 404: the webhook is not registered, is the workflow active?")
    after = (await gateway.http.get("/info")).json()["accounts"][0]

    assert (0, "") == (before["n8n_paused_ms"], before["n8n_reason"])
    assert 0 < after["n8n_paused_ms"] <= 40_000
    assert "n8n: HTTP 404: the webhook is not registered, is the workflow active?" == after["n8n_reason"]


async def test_metrics(gateway: Gateway) -> None:
    """
    Metrics tell of what was accepted and of what waits; routes are templates, so ids make no series.
    """
    await gateway.http.post("/api/messages/send", json={"chat_id": CHAT, "text": "x"})
    await gateway.http.get("/api/commands/some-id")
    await gateway.http.get("/api/commands/some-id", headers={"X-API-Key": "wrong"})

    text = (await gateway.http.get("/metrics")).text

    for line in (
        f'avito_gateway_commands_accepted_total{{account="{USER_ID}",kind="text",priority="interactive"}} 1\n',
        'avito_gateway_http_requests_total{method="GET",route="/api/commands/{command_id}",status="404"} 1\n',
        'avito_gateway_http_requests_total{method="GET",route="/api/commands/{command_id}",status="401"} 1\n',
        f'avito_gateway_queue_entries{{account="{USER_ID}",queue="commands",state="new"}} 1\n',
        f'avito_gateway_gate_limit{{account="{USER_ID}"}} 100\n',
        "avito_gateway_redis_up 1\n",
    ):
        assert line in text, text
    assert "some-id" not in text


async def test_swagger_needs_no_other_host(gateway: Gateway) -> None:
    """
    The page and all it loads come from the gateway.
    """
    page = (await gateway.http.get("/docs")).text

    # The document itself, inside the page, may name addresses as examples.
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(link.startswith(("/docs/assets/", "data:")) for link in loaded), loaded
    for link in (link for link in loaded if link.startswith("/")):
        assert 200 == (await gateway.http.get(link)).status_code


async def test_openapi_lists_what_may_be_answered(gateway: Gateway) -> None:
    """
    Each address is described with its errors as problem+json, and sends have an example that is accepted.
    """
    document: dict[str, Any] = (await gateway.http.get("/openapi.json")).json()

    operations = [one for path in document["paths"].values() for one in path.values()]
    assert len({one["operationId"] for one in operations}) == len(operations) > 20
    for operation in operations:
        for status, response in operation["responses"].items():
            if int(status) >= 400 and "Health" not in operation["tags"]:
                assert ["application/problem+json"] == list(response["content"]), (operation["operationId"], status)
    assert {"200", "202", "400", "401", "404", "409", "413", "422", "429", "502", "503"} == set(
        document["paths"]["/api/messages/send"]["post"]["responses"]
    )
    for path in ("/api/messages/send", "/api/messages/send/link", "/api/messages/send/bulk"):
        schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        answer = await gateway.http.post(path, content=json.dumps(schema["examples"][0]))
        assert 202 == answer.status_code, answer.text
