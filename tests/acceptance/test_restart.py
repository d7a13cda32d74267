"""
A restart refuses nobody: the listening socket outlives the ingress, and what is under way is finished.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from common.queue.connection import Connections
from sandbox import AvitoFault, Behaviour, Options, Sandbox, Webhooks
from tests.chaos.load import Load
from tests.chaos.measure import Direction, to_avito, to_n8n
from tests.fleet import Fleet, fleet
from tests.harness import eventually
from tests.integration.ingress.test_webhook import event

AVITO_WAITS_S = 2.0
ROUNDS = 2


@pytest.fixture(name="sandbox_options")
def _sandbox_options() -> Options:
    return Options(chats=6)


@pytest.fixture(name="listening")
def _listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        yield listening


@pytest.fixture(name="running")
async def _running(
    connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path, listening: socket.socket
) -> AsyncIterator[Fleet]:
    limits = {"RATE_LIMIT_REQUESTS": "1000", "RATE_LIMIT_WINDOW": "1", "RECONCILE_INTERVAL": "0"}
    port = listening.getsockname()[1]
    async with fleet(connections, redis_url, sandbox, tmp_path, **limits) as running:
        running.listen(listening)
        assert port != running.settings.server_port
        yield running


async def replaced(running: Fleet, process: asyncio.subprocess.Process, *roles: str) -> asyncio.subprocess.Process:
    """
    Restart as `systemctl restart` does: the old process ends, then the new one begins.
    """
    assert 0 == await running.stop(process), running.log_of(process)
    return await running.start(*roles)


@asynccontextmanager
async def posting(running: Fleet, *, keep_alive: bool) -> AsyncIterator[Callable[[], Counter[str]]]:
    """
    Post webhooks one after the other, each on a connection of its own or all on one; gives what became of them.
    """
    outcomes: Counter[str] = Counter()
    stopping = asyncio.Event()

    async def post() -> None:
        number = 0
        limits = httpx.Limits(max_keepalive_connections=1 if keep_alive else 0)
        async with httpx.AsyncClient(base_url=running.url, limits=limits, timeout=30.0, trust_env=False) as client:
            while not stopping.is_set():
                number += 1
                began_s = time.monotonic()
                try:
                    body = event(id=f"{keep_alive}-{number}")
                    outcome = str((await client.post("/webhook/avito", json=body)).status_code)
                except httpx.TransportError as error:
                    outcome = type(error).__name__
                outcomes[outcome] += 1
                took_s = time.monotonic() - began_s
                outcomes["late"] += took_s > AVITO_WAITS_S
                await asyncio.sleep(0.01)

    task = asyncio.create_task(post())
    try:
        await eventually(lambda: outcomes["200"] > 0)
        yield lambda: +outcomes
    finally:
        stopping.set()
        await task


async def test_a_restart_of_the_only_ingress_refuses_nobody(running: Fleet) -> None:
    """
    Who connects while no ingress runs waits for the next one; an open connection is not cut under a request.
    """
    process = await running.start("ingress")
    async with posting(running, keep_alive=False) as alone, posting(running, keep_alive=True) as kept:
        for _ in range(ROUNDS):
            process = await replaced(running, process, "ingress")

    outcomes = alone() + kept()
    assert {"200"} == set(outcomes) - {"late"}, outcomes


async def test_of_two_on_one_socket_one_is_always_there(running: Fleet) -> None:
    """
    Two processes share the socket and are restarted one after the other: nobody is refused, and nobody waits.
    """
    first, second = await running.start_all(("ingress",), ("ingress",))
    async with posting(running, keep_alive=False) as alone, posting(running, keep_alive=True) as kept:
        for _ in range(ROUNDS):
            first = await replaced(running, first, "ingress")
            second = await replaced(running, second, "ingress")

    assert {"200"} == set(alone() + kept()), alone() + kept()


async def test_who_waits_for_the_end_of_a_message_is_answered_at_once(running: Fleet) -> None:
    """
    A request with `?wait=25` does not hold up the end of its ingress: it gets 202 and its command's id.
    """
    process = await running.start("ingress")
    chat_id = next(iter(running.sandbox.avito.chats)).id
    message = {"chat_id": chat_id, "text": "x"}
    asked = asyncio.create_task(running.client.post("/api/messages/send?wait=25", json=message))

    async def stored() -> bool:
        return await running.queue.left() == 1

    await eventually(stored)
    began_s = time.monotonic()
    assert 0 == await running.stop(process), running.log_of(process)
    answer = await asked

    assert (202, "queued") == (answer.status_code, answer.json()["status"])
    assert time.monotonic() - began_s < 5.0


@pytest.mark.timeout(300)
async def test_a_rolling_restart_of_all_services_under_load(running: Fleet, sandbox: Sandbox) -> None:
    """
    Each process of each service is restarted in turn while messages flow in both directions: no request is refused,
    nothing is lost, nothing comes twice, and the order of each chat is kept.
    """
    sandbox.faults.add(AvitoFault(kind="latency", delay_s=0.01, delay_max_s=0.1))
    # Who is refused shows at once; a busy machine may take longer than Avito waits.
    sandbox.avito.behaviour = Behaviour(webhooks=Webhooks(deadline_s=30.0))
    services = [("ingress",), ("dispatcher",), ("forwarder",)] * 2
    processes = await running.start_all(*services)
    load = Load(running.url, sandbox, pace_s=0.1)
    load.start()
    try:
        for place, roles in sorted(enumerate(services), key=lambda one: one[1], reverse=True):
            processes[place] = await replaced(running, processes[place], *roles)
        await load.stop()
    except BaseException:
        await load.abort()
        raise
    await eventually(running.queue.empty, 30.0)
    # What Avito tells of our own last messages may still be on its way.
    await eventually(lambda: all(record.outcome != "open" for record in sandbox.journal.list("webhook")), 30.0)
    out, back = to_avito(load, sandbox), to_n8n(load, sandbox)

    assert {} == load.refusals
    assert (Direction(out.accepted, 0, 0, 0), Direction(back.accepted, 0, 0, 0)) == (out, back)
    assert min(out.accepted, back.accepted) > 100
    assert {(200, "answered")} == {(record.status, record.outcome) for record in sandbox.journal.list("webhook")}


async def test_workers_share_the_socket_that_is_handed_over(running: Fleet) -> None:
    """
    `run ingress --workers 2` on a handed socket: the manager hears that it is ready, and a restart refuses nobody.
    """
    process = await running.start("ingress", "--workers", "2")
    async with posting(running, keep_alive=False) as alone:
        process = await replaced(running, process, "ingress", "--workers", "2")

    assert {"200"} == set(alone()) - {"late"}, alone()


async def test_workers_end_with_the_process_that_started_them(running: Fleet, listening: socket.socket) -> None:
    """
    After a kill -9 of `run ingress --workers 2` nobody answers any more: the port is free for the next one.
    """
    process = await running.start("ingress", "--workers", "2")
    assert (await running.client.get("/health/live")).status_code == 200
    await running.stop(process, signal.SIGKILL)
    listening.close()

    async def refused() -> bool:
        try:
            await running.client.get("/health/live", headers={"Connection": "close"})
        except httpx.TransportError:
            return True
        return False

    await eventually(refused)
