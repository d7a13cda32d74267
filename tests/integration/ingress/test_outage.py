"""
Redis away, silent or full: 503 in under 2 s, never a promise.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from common.errors import RedisAway
from common.queue.connection import Connections, connect
from common.queue.intake import Intake, NewEvent
from common.settings import Settings
from tests import servers
from tests.chaos.proxy import Proxy
from tests.conftest import USER_ID
from tests.harness import eventually
from tests.integration.ingress.conftest import CHAT, Gateway, Serve
from tests.integration.ingress.test_webhook import event

CALLS = [
    ("POST", "/api/messages/send", {"chat_id": CHAT, "text": "x"}),
    ("POST", "/api/messages/send?wait=20", {"chat_id": CHAT, "text": "x"}),
    ("POST", "/api/messages/send", {"chat_id": CHAT, "text": "x" * 1500, "split": True}),
    ("POST", "/api/messages/send/bulk", {"messages": [{"chat_id": CHAT, "text": "x"}] * 10}),
    ("POST", "/webhook/avito", event()),
    ("GET", "/api/commands/x", None),
    ("DELETE", "/api/commands/x", None),
    ("GET", "/api/events/x", None),
    ("GET", "/api/chats", None),
    ("GET", "/info", None),
]


@asynccontextmanager
async def _silent() -> AsyncIterator[Connections]:
    """
    Give connections to a server that takes them and never answers.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = connect(f"redis://127.0.0.1:{server.getsockname()[1]}")
        yield connections
        await connections.aclose()


async def _assert_refused(gateway: Gateway, method: str, path: str, body: object) -> None:
    started_s = time.monotonic()
    answer = await gateway.http.request(method, path, json=body)

    assert (503, "redis_unavailable", "5") == (
        answer.status_code,
        answer.json()["code"],
        answer.headers["retry-after"],
    )
    assert time.monotonic() - started_s < 2.0


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_away(serve: Serve, method: str, path: str, body: object) -> None:
    """
    With nobody listening every address that needs Redis answers 503 with Retry-After.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    connections = connect(f"redis://127.0.0.1:{port}")
    async with serve(connected=connections) as gateway:
        await _assert_refused(gateway, method, path, body)
    await connections.aclose()


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_silent(serve: Serve, method: str, path: str, body: object) -> None:
    """
    A server that does not answer is no reason to let callers wait for more than 2 s.
    """
    async with _silent() as connections, serve(connected=connections) as gateway:
        await _assert_refused(gateway, method, path, body)


async def test_many_callers_while_silent(settings: Settings) -> None:
    """
    Nobody waits for the round trips of those who came before.
    """
    async with _silent() as connections:
        intake = Intake(connections, settings)
        started_s = time.monotonic()
        events = [NewEvent(id=f"{number}", chat_id=CHAT, body="{}") for number in range(600)]
        replies = await asyncio.gather(*(intake.event(USER_ID, one) for one in events), return_exceptions=True)

        assert {RedisAway} == {type(reply) for reply in replies}
        assert time.monotonic() - started_s < 2.0
        await intake.stop()


async def test_a_webhook_does_not_wait_for_those_before_it(serve: Serve) -> None:
    """
    On a slow way to Redis, whoever would wait for two round trips is answered with 503 before Avito gives up after 2 s.
    """
    with servers.embedded() as server:
        async with Proxy.start(server.host, server.port) as proxy:
            connections = connect(proxy.url)
            async with serve(connected=connections) as gateway:
                # The script is loaded, the connection made.
                await gateway.http.post("/webhook/avito", json=event())
                proxy.delay_s = 0.46
                first = asyncio.create_task(gateway.http.post("/webhook/avito", json=event()))
                (commit,) = gateway.services.intake._commits.values()
                await eventually(lambda: commit._flushing is not None and not commit._flushing.done())
                started_s = time.monotonic()
                second = await gateway.http.post("/webhook/avito", json=event())
                took_s = time.monotonic() - started_s
                await first
                proxy.delay_s = 0.0
            await connections.aclose()

    assert 503 == second.status_code
    assert took_s < 2.0


async def test_health_while_silent(serve: Serve) -> None:
    """
    Health tells of an outage within 2 s; the process is alive all the same, and metrics say what they lack.
    """
    async with _silent() as connections, serve(connected=connections) as gateway:
        started_s = time.monotonic()
        paths = ("/health", "/health/ready", "/health/live", "/metrics")
        health, ready, live, metrics = await asyncio.gather(*(gateway.http.get(path) for path in paths))

        assert time.monotonic() - started_s < 2.0
    assert (503, "unhealthy", False) == (
        health.status_code,
        health.json()["status"],
        health.json()["checks"]["redis"]["ok"],
    )
    assert [503, 200, 200] == [ready.status_code, live.status_code, metrics.status_code]
    assert ["avito_gateway_redis_up 0"] == [line for line in metrics.text.splitlines() if line[0] != "#"]


async def test_full_redis_refuses_and_recovers(serve: Serve) -> None:
    """
    A server that refuses writes is 503 for commands and webhooks; nothing is stored, and it goes on afterwards.
    """
    with servers.embedded() as server:
        connections = connect(server.connection_url)
        async with serve(connected=connections) as gateway:
            await connections.commands.config_set("maxmemory", "1")
            for path, body in (("/api/messages/send", {"chat_id": CHAT, "text": "x"}), ("/webhook/avito", event())):
                await _assert_refused(gateway, "POST", path, body)
            assert ([], []) == (await gateway.commands(), await gateway.events())
            # What was counted cannot be reported now; what is known can be read.
            scrape = (await gateway.http.get("/metrics")).text
            assert "avito_gateway_redis_up 1\n" in scrape
            assert 'avito_gateway_webhooks_total{result="refused"}' not in scrape

            await connections.commands.config_set("maxmemory", "0")
            answer = await gateway.http.post("/webhook/avito", json=event())
            assert (200, 1) == (answer.status_code, len(await gateway.events()))
            assert 'avito_gateway_webhooks_total{result="refused"} 1\n' in (await gateway.http.get("/metrics")).text
        await connections.aclose()
