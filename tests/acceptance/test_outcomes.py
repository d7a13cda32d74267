"""
How a command ends, and who learns of it: its record, the caller that waits, and `callback_url`; with processes.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from common.queue.connection import Connections
from common.queue.dead import DeadLetters
from sandbox import AvitoFault, N8nFault, Sandbox
from tests.fleet import Fleet, fleet
from tests.harness import eventually

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS = {
    "RATE_LIMIT_REQUESTS": "1000",
    "RATE_LIMIT_WINDOW": "1",
    "RETRY_MIN_WAIT": "0.05",
    "RETRY_MAX_WAIT": "0.2",
    "CONNECTION_TIMEOUT": "30",
    "FORWARD_RETRY_MIN": "0.05",
    "FORWARD_RETRY_MAX": "0.2",
    "N8N_WEBHOOK_SECRET": SECRET,
    "RECONCILE_INTERVAL": "0",
}

Start = Callable[..., AbstractAsyncContextManager[Fleet]]


@pytest.fixture(name="start")
def _start(connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path) -> Start:
    def start(**environment: str) -> AbstractAsyncContextManager[Fleet]:
        return fleet(connections, redis_url, sandbox, tmp_path, **SETTINGS | environment)

    return start


def first_chat(sandbox: Sandbox) -> str:
    """
    Return the id of the first seeded chat.
    """
    return next(iter(sandbox.avito.chats)).id


async def shown(running: Fleet, path: str) -> dict[str, Any]:
    """
    Return a record as the API shows it.
    """
    answer = await running.client.get(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def steps(record: dict[str, Any]) -> list[tuple[object, ...]]:
    """
    Return what a timeline says, without its times, which must be in order.
    """
    timeline = record["timeline"]
    times = [datetime.fromisoformat(step["at"]) for step in timeline]
    assert times == sorted(times)
    return [tuple(step.get(name) for name in ("event", "outcome", "status")) for step in timeline]


async def test_every_end_is_told_to_its_callback(start: Start, sandbox: Sandbox) -> None:
    """
    Sent, found in the chat, refused, expired and cancelled: one call each, signed, to the address of each command.
    """
    chat_id = first_chat(sandbox)
    resume = f"{sandbox.n8n_url}/webhook-waiting"
    async with start(CALLBACK_HOSTS="callbacks.example") as running:
        await running.start("ingress")
        sandbox.faults.add(AvitoFault(kind="drop", taken=True, skip=1, count=1, path=f"*/{chat_id}/messages"))
        ids = {
            "sent": await running.send(chat_id, "sent", callback_url=f"{resume}/sent"),
            "found": await running.send(chat_id, "found", callback_url=f"{resume}/found"),
            "refused": await running.send("u2i-nobody", "refused", callback_url=f"{resume}/refused"),
            "expired": await running.send(chat_id, "expired", callback_url=f"{resume}/expired", expires_in=0.001),
            "cancelled": await running.send(chat_id, "cancelled", callback_url=f"{resume}/cancelled"),
        }
        assert (await running.client.delete(f"/api/commands/{ids['cancelled']}")).status_code == 200
        forbidden = await running.client.post(
            "/api/messages/send", json={"chat_id": chat_id, "text": "x", "callback_url": "http://evil.example/"}
        )
        await running.start("dispatcher", "forwarder")
        calls = await sandbox.n8n.wait_for(lambda calls: len(calls) == 5, timeout_s=30)
        await eventually(running.queue.empty)
        events = {
            name: await shown(running, f"/api/events/{call.headers['webhook-id']}")
            for name, call in ((call.path.rpartition("/")[2], call) for call in calls)
        }

    assert (422, "callback_not_allowed") == (forbidden.status_code, forbidden.json()["code"])
    told = {call.path.rpartition("/")[2]: Webhook(SECRET).verify(call.body, call.headers) for call in calls}
    assert {name: (body["event"], body["status"], body["command_id"]) for name, body in told.items()} == {
        "sent": ("command.sent", "sent", ids["sent"]),
        "found": ("command.sent", "sent", ids["found"]),
        "refused": ("command.failed", "failed", ids["refused"]),
        "expired": ("command.failed", "expired", ids["expired"]),
        "cancelled": ("command.failed", "cancelled", ids["cancelled"]),
    }
    assert [message.id for message in sandbox.avito.sent()] == [told[name]["message_id"] for name in ("sent", "found")]
    assert told["refused"]["problem"].startswith("rejected: Avito refused with 404")
    assert told["sent"]["problem"] is None
    assert {chat_id, "u2i-nobody"} == {body["chat_id"] for body in told.values()}
    assert {("delivered", 200)} == {(event["status"], event["timeline"][0]["status"]) for event in events.values()}


async def test_an_execution_may_come_late_to_its_wait(start: Start, sandbox: Sandbox) -> None:
    """
    404 and 409 are asked again for 10 s: an execution on its way to its wait is reached, one that is over never.
    """
    chat_id = first_chat(sandbox)
    sandbox.faults.add(N8nFault(kind="status", status=404, count=1, path="/webhook-waiting/late"))
    sandbox.faults.add(N8nFault(kind="status", status=409, count=1, path="/webhook-waiting/late"))
    sandbox.faults.add(N8nFault(kind="status", status=404, path="/webhook-waiting/over"))
    async with start() as running:
        await running.start("ingress", "dispatcher", "forwarder")
        for name in ("over", "late"):
            await running.send(chat_id, name, callback_url=f"{sandbox.n8n_url}/webhook-waiting/{name}")
        await eventually(running.queue.empty, 40)
        letters = await DeadLetters(running.connections, running.settings).list("100000001", "events")

    tries = sandbox.journal.list("n8n", path="/webhook-waiting/over")
    assert [f"{sandbox.n8n_url}/webhook-waiting/over"] == [letter.fields["callback_url"] for letter in letters]
    assert tries[-1].arrived_mono_s - tries[0].arrived_mono_s >= 9.5
    assert [404, 409, 200] == [one.status for one in sandbox.journal.list("n8n", path="/webhook-waiting/late")]


async def test_a_split_text_has_one_end(start: Start, sandbox: Sandbox) -> None:
    """
    The execution that waits goes on when the last part is sent, and not before.
    """
    chat_id = first_chat(sandbox)
    async with start() as running:
        await running.start("ingress", "dispatcher", "forwarder")
        body = {"chat_id": chat_id, "text": "word " * 500, "split": True}
        url = f"{sandbox.n8n_url}/webhook-waiting/1"
        answer = await running.client.post("/api/messages/send", json=body | {"callback_url": url})
        await eventually(running.queue.empty, 30)

    [call] = sandbox.n8n.received
    assert (202, 3) == (answer.status_code, len(sandbox.avito.sent()))
    assert ("command.sent", answer.json()["command_id"]) == (call.json["event"], call.json["command_id"])


async def test_a_timeline_tells_every_attempt(start: Start, sandbox: Sandbox) -> None:
    """
    Acceptance, each attempt with its time and status, and the end: of a command, and of an event.
    """
    chat_id = first_chat(sandbox)
    sends, hook = {"method": "POST", "path": "*/messages"}, "/webhook/avito"
    async with start() as running:
        await running.start("ingress", "dispatcher", "forwarder")
        sandbox.avito.webhooks.subscribe(100_000_001, f"{running.url}/webhook/avito")
        sandbox.faults.add(AvitoFault(kind="status", status=503, count=1, **sends))
        sandbox.faults.add(AvitoFault(kind="status", status=500, taken=True, count=1, **sends))
        sandbox.faults.add(N8nFault(kind="status", status=500, count=2, path=hook))
        command_id = await running.send(chat_id, "hello")
        message = sandbox.avito.receive(chat_id, "a question")
        await eventually(lambda: bool(sandbox.n8n.received))
        await eventually(running.queue.empty)
        command = await shown(running, f"/api/commands/{command_id}")
        event = await shown(running, f"/api/events/{message.id}")

    assert [
        ("accepted", None, None),
        ("attempt", "unknown", 503),
        ("attempt", "unknown", 500),
        ("attempt", "found", None),
        ("sent", None, None),
    ] == steps(command)
    assert (True, sandbox.avito.sent()[0].id) == (command["reconciled"], command["message_id"])
    assert [
        ("accepted", None, None),
        ("attempt", "failed", 500),
        ("attempt", "failed", 500),
        ("attempt", "delivered", 200),
        ("delivered", None, None),
    ] == steps(event)
    assert "hello" not in str(command)


async def test_the_one_that_waits_is_not_the_one_that_sends(start: Start, sandbox: Sandbox) -> None:
    """
    The ingress that holds the request, the worker that is killed with it, and the one that ends it are three processes.
    """
    chat_id = first_chat(sandbox)
    sandbox.faults.add(AvitoFault(kind="hang", taken=True, count=1, method="POST", path="*/messages"))
    async with start() as running:
        _, victim = await running.start_all(("ingress",), ("dispatcher",))

        async def wait() -> dict[str, Any]:
            headers = {"Prefer": "wait=25", "Idempotency-Key": "k"}
            body = {"chat_id": chat_id, "text": "once"}
            answer = await running.client.post("/api/messages/send", json=body, headers=headers)
            return {"code": answer.status_code, **answer.json()}

        waiting = [asyncio.create_task(wait()) for _ in range(3)]
        await sandbox.avito.wait_for(lambda avito: len(avito.sent()) == 1)
        _, other = await asyncio.gather(running.stop(victim, signal.SIGKILL), running.start("dispatcher"))
        told = await asyncio.gather(*waiting)
        record = await shown(running, f"/api/commands/{told[0]['command_id']}")

    [message] = sandbox.avito.sent()
    assert [(200, "sent", message.id)] * 3 == [(one["code"], one["status"], one["message_id"]) for one in told]
    assert record["reconciled"] is True
    assert other.pid != victim.pid
