"""
The n8n stand-in: what it keeps, how it fails, how it answers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio

from sandbox import N8nFault, Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox import Sandbox

EVENT = {"channel": "avito", "external_chat_id": "u2i-x", "text": "Добрый день"}


@pytest_asyncio.fixture
async def forwarder(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """
    A client of n8n.
    """
    async with httpx.AsyncClient(base_url=sandbox.n8n_url, timeout=5.0) as http:
        yield http


async def test_received(sandbox: Sandbox, forwarder: httpx.AsyncClient) -> None:
    """
    A call is kept with path, headers, body and arrival times, and answered as n8n does.
    """
    answer = await forwarder.post("/webhook/avito", json=EVENT, headers={"webhook-id": "m1"})

    [call] = sandbox.n8n.received
    assert (200, {"message": "Workflow was started"}) == (answer.status_code, answer.json())
    assert ("POST", "/webhook/avito", "m1", EVENT) == (call.method, call.path, call.headers["webhook-id"], call.json)
    assert call.arrived_mono_s == sandbox.journal.list("n8n")[0].arrived_mono_s
    assert 404 == (await forwarder.post("/elsewhere", json={})).status_code


async def test_not_registered(sandbox: Sandbox, forwarder: httpx.AsyncClient) -> None:
    """
    A workflow that is not active answers n8n's own 404, and nothing is received.
    """
    sandbox.faults.add(N8nFault(kind="not_registered"))

    answer = await forwarder.post("/webhook/avito", json=EVENT)

    body = answer.json()
    assert (404, 404, ["code", "message", "hint"]) == (answer.status_code, body["code"], list(body))
    assert 'The requested webhook "POST avito" is not registered.' == body["message"]
    assert [] == list(sandbox.n8n.received)


@pytest.mark.parametrize("status", [410, 429, 500, 503])
async def test_status(sandbox: Sandbox, forwarder: httpx.AsyncClient, status: int) -> None:
    """
    Any status can be answered, with Retry-After if wanted.
    """
    sandbox.faults.add(N8nFault(kind="status", status=status, retry_after_s=3))

    answer = await forwarder.post("/webhook/avito", json=EVENT)

    assert (status, "3") == (answer.status_code, answer.headers["retry-after"])
    assert "application/json" == answer.headers["content-type"]


@pytest.mark.parametrize(("taken", "kept"), [(False, 0), (True, 1)])
async def test_cut(sandbox: Sandbox, forwarder: httpx.AsyncClient, taken: bool, kept: int) -> None:
    """
    The connection is cut before or after the workflow got the event.
    """
    sandbox.faults.add(N8nFault(kind="drop", taken=taken))

    with pytest.raises(httpx.RemoteProtocolError):
        await forwarder.post("/webhook/avito", json=EVENT)

    assert kept == len(sandbox.n8n.received)


async def test_slow(sandbox: Sandbox, forwarder: httpx.AsyncClient) -> None:
    """
    A slow n8n answers late.
    """
    sandbox.faults.add(N8nFault(kind="latency", delay_s=0.05))

    answer = await forwarder.post("/webhook/avito", json=EVENT)

    assert 200 == answer.status_code
    assert answer.elapsed.total_seconds() >= 0.05


async def test_down_and_up(sandbox: Sandbox, forwarder: httpx.AsyncClient) -> None:
    """
    Down means refused connections, also for those who kept one open; up again is the same address.
    """
    url = sandbox.n8n_url
    await forwarder.post("/webhook/avito", json=EVENT)
    await sandbox.n8n_down()
    with pytest.raises(httpx.ConnectError):
        await forwarder.post("/webhook/avito", json=EVENT)
    await sandbox.n8n_up()
    await sandbox.n8n_up()

    assert (url, 200) == (sandbox.n8n_url, (await forwarder.post("/webhook/avito", json=EVENT)).status_code)
    assert 2 == len(sandbox.n8n.received)


async def test_down_cuts_what_is_under_way(sandbox: Sandbox, forwarder: httpx.AsyncClient) -> None:
    """
    A call that n8n is busy with when it goes down is cut off.
    """
    sandbox.faults.add(N8nFault(kind="hang", taken=True))
    call = asyncio.create_task(forwarder.post("/webhook/avito", json=EVENT))
    await sandbox.n8n.wait_for(bool)
    await sandbox.n8n_down()

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await call
    assert 0 == sandbox.journal.open_now["n8n"]


async def test_waiting_in_vain(sandbox: Sandbox) -> None:
    """
    Who waits for what does not come is told what was there.
    """
    with pytest.raises(TimeoutError, match="0 calls received"):
        await sandbox.n8n.wait_for(bool, timeout_s=0.01)


async def test_reply(sandbox: Sandbox, forwarder: httpx.AsyncClient) -> None:
    """
    In reply mode each text is answered through the gateway, with its key and an Idempotency-Key; a failed answer is
    repeated, events without a text are not answered.
    """
    sandbox.n8n.reply = Reply(gateway_url=f"{sandbox.n8n_url}/webhook", api_key="k")
    sandbox.faults.add(N8nFault(kind="status", status=503, path="/webhook/api/*", count=1))
    await forwarder.post("/webhook/avito", json={**EVENT, "text": ""}, headers={"webhook-id": "m0"})
    await forwarder.post("/webhook/avito", json=EVENT, headers={"webhook-id": "m1"})

    received = await sandbox.n8n.wait_for(lambda received: len(received) == 3)

    answer: Any = received[-1]
    assert ("/webhook/api/messages/send", "k") == (answer.path, answer.headers["x-api-key"])
    assert "reply-m1" == answer.headers["idempotency-key"]
    assert {"chat_id": "u2i-x", "text": "You wrote: Добрый день"} == answer.json


async def test_reply_comes_before_the_end_of_the_workflow(sandbox: Sandbox, forwarder: httpx.AsyncClient) -> None:
    """
    A workflow that responds last has given its answer when its webhook is answered.
    """
    sandbox.n8n.reply = Reply(gateway_url=f"{sandbox.n8n_url}/webhook", responds_last=True)
    sandbox.faults.add(N8nFault(kind="latency", delay_s=0.05, path="/webhook/api/*"))

    answer = await forwarder.post("/webhook/avito", json=EVENT, headers={"webhook-id": "m1"})

    assert (200, 2) == (answer.status_code, len(sandbox.n8n.received))
