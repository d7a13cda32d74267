"""
Totals of an installation: whichever process counted, whichever answers, whoever is killed.
"""

from __future__ import annotations

import copy
import json
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from common.queue.connection import Connections
from sandbox import AvitoFault, N8nFault, Options, Sandbox
from tests.fleet import Fleet, fleet
from tests.harness import USER_ID, eventually

PAYLOAD = Path(__file__).resolve().parents[1] / "payloads" / "01_webhook_v3_text_in_2023.json"
SENT, REPLAYED, EVENTS, DUPLICATES = 12, 2, 6, 3
LABELS = ("kind", "priority", "side", "destination", "outcome", "reason", "answer", "meaning", "result")


@pytest.fixture(name="sandbox_options")
def _sandbox_options() -> Options:
    return Options(chats=3)


async def _scrape(running: Fleet) -> str:
    # A connection of its own, so that any worker may answer.
    async with httpx.AsyncClient(base_url=running.url, timeout=60.0) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return answer.text


async def _totals(running: Fleet) -> dict[str, int]:
    """
    Return what a scrape says of the messages, by family and the label that matters.
    """
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(await _scrape(running)):
        name = family.name.removeprefix("avito_gateway_")
        if name.startswith(("commands_", "events_", "avito_answers", "n8n_answers", "settled")):
            for sample in family.samples:
                label = next((sample.labels[one] for one in ("outcome", "answer") if one in sample.labels), "")
                if not sample.name.endswith(("_bucket", "_sum")):
                    key = f"{name} {label}".strip()
                    found[key] = found.get(key, 0) + sample.value
    return {name: round(value) for name, value in found.items()}


async def _post(running: Fleet, path: str, body: object, **headers: str) -> None:
    async with httpx.AsyncClient(base_url=running.url, timeout=60.0, headers=headers) as client:
        assert (await client.post(path, json=body)).is_success


async def _work(running: Fleet, sandbox: Sandbox, name: str) -> None:
    """
    Accept commands and events, some of them twice, by whichever worker listens.
    """
    chats = [chat.id for chat in sandbox.avito.chats]
    for n in range(SENT):
        body = {"chat_id": chats[n % len(chats)], "text": f"{name} {n}"}
        key = {"Idempotency-Key": f"{name}-{n}"}
        for _ in range(2 if n < REPLAYED else 1):
            await _post(running, "/api/messages/send", body, **key)
    webhook: dict[str, Any] = json.loads(PAYLOAD.read_text(encoding="utf-8"))
    for n in range(EVENTS):
        event = copy.deepcopy(webhook)
        event["payload"]["value"] |= {"user_id": int(USER_ID), "id": f"{name}-{n}"}
        for _ in range(2 if n < DUPLICATES else 1):
            await _post(running, "/webhook/avito", event)


def _expected(rounds: int) -> dict[str, int]:
    return {
        "commands_accepted": SENT * rounds,
        "commands_replayed": REPLAYED * rounds,
        "commands_finished sent": SENT * rounds,
        "events_accepted": EVENTS * rounds,
        "events_duplicate": DUPLICATES * rounds,
        "events_finished delivered": EVENTS * rounds,
        "n8n_answers 2xx": EVENTS * rounds,
        "settled_seconds": (SENT + EVENTS) * rounds,
    }


def _children(pid: int) -> list[int]:
    """
    Return the ingress' workers, without multiprocessing's helper.
    """
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(child) for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


async def test_totals_are_those_of_all_processes(
    connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """
    Two ingress workers, a dispatcher and a forwarder apart: every scrape shows what all of them did, and a
    killed worker or dispatcher takes nothing back.
    """
    # Echoes of our own messages would be events, too.
    async with fleet(connections, redis_url, sandbox, tmp_path, RECONCILE_INTERVAL="0") as running:
        ingress, dispatcher, _ = await running.start_all(("ingress", "--workers", "2"), ("dispatcher",), ("forwarder",))

        async def shows(rounds: int) -> bool:
            found = await _totals(running)
            return {name: found.get(name) for name in _expected(rounds)} == _expected(rounds)

        await _work(running, sandbox, "first")
        await eventually(lambda: shows(1))
        assert await running.stop(dispatcher, signal.SIGKILL) == -signal.SIGKILL
        killed = _children(ingress.pid)[0]
        os.kill(killed, signal.SIGKILL)
        await eventually(lambda: killed not in _children(ingress.pid) and len(_children(ingress.pid)) == 2, 60)
        await running.start("dispatcher")
        await _work(running, sandbox, "second")
        await eventually(lambda: shows(2))
        # Whoever answers says the same.
        for _ in range(8):
            assert await shows(2)
        totals = await _totals(running)

    assert totals["avito_answers ok"] >= 2 * SENT


async def test_every_end_and_every_answer_is_counted(
    connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """
    Sent, found in the chat, refused, expired, cancelled, put off by a 429; and an event for which n8n was down once.
    """
    chat_id, limited = [chat.id for chat in sandbox.avito.chats][:2]
    sandbox.faults.add(AvitoFault(kind="drop", taken=True, skip=1, count=1, path=f"*/{chat_id}/messages"))
    sandbox.faults.add(AvitoFault(kind="status", status=429, retry_after_s=1, count=1, path=f"*/{limited}/messages"))
    sandbox.faults.add(N8nFault(kind="status", status=503, count=1))
    webhook = json.loads(PAYLOAD.read_text(encoding="utf-8"))
    webhook["payload"]["value"]["user_id"] = int(USER_ID)
    quick = {"RECONCILE_INTERVAL": "0", "RETRY_MIN_WAIT": "0.05", "RETRY_MAX_WAIT": "0.2"}
    async with fleet(connections, redis_url, sandbox, tmp_path, **quick) as running:
        await running.start("ingress")
        for text in ("sent", "found"):
            await running.send(chat_id, text)
        await running.send("u2i-nobody", "refused")
        await running.send(chat_id, "expired", expires_in=0.001)
        await running.send(limited, "limited")
        cancelled = await running.send(chat_id, "cancelled")
        assert (await running.client.delete(f"/api/commands/{cancelled}")).status_code == 200
        await running.webhook(webhook)
        await running.start("dispatcher", "forwarder")
        await eventually(running.queue.empty, 30)
        for process in running.processes[1:]:
            # What it has not reported yet it reports now.
            await running.stop(process)
        text = await _scrape(running)

    found = {
        (sample.name.removeprefix("avito_gateway_"), *(sample.labels[one] for one in LABELS if one in sample.labels)): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.type == "counter"
    }
    http = {key for key in found if key[0] == "http_requests_total"}
    assert {
        ("commands_accepted_total", "text", "interactive"): 6,
        ("commands_finished_total", "text", "sent"): 3,
        ("commands_finished_total", "text", "failed"): 1,
        ("commands_finished_total", "text", "expired"): 1,
        ("commands_finished_total", "text", "cancelled"): 1,
        ("dead_letters_added_total", "commands", "rejected"): 1,
        ("events_accepted_total", "message"): 1,
        ("events_finished_total", "message", "delivered"): 1,
        ("webhooks_total", "accepted"): 1,
        # An access token, two sends, and the look into the chat.
        ("avito_answers_total", "ok"): 4,
        ("avito_answers_total", "refused"): 1,
        ("avito_answers_total", "limited"): 1,
        ("avito_answers_total", "unknown"): 1,
        ("reconciliations_total", "found"): 1,
        ("gate_pauses_total", "avito", "rate_limited"): 1,
        ("gate_pauses_total", "n8n", "down"): 1,
        ("n8n_answers_total", "5xx", "down"): 1,
        ("n8n_answers_total", "2xx", "delivered"): 1,
        ("leases_lost_total",): 0,
        ("redis_outages_total",): 0,
    } == {key: value for key, value in found.items() if key not in http}
    assert http
