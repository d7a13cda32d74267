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
from sandbox import Options, Sandbox
from tests.fleet import Fleet, fleet
from tests.harness import USER_ID, eventually

PAYLOAD = Path(__file__).resolve().parents[1] / "payloads" / "01_webhook_v3_text_in_2023.json"
SENT, REPLAYED, EVENTS, DUPLICATES = 12, 2, 6, 3


@pytest.fixture(name="sandbox_options")
def _sandbox_options() -> Options:
    return Options(chats=3)


async def _scrape(running: Fleet) -> str:
    # A connection of its own, so that any worker may answer.
    async with httpx.AsyncClient(base_url=running.url, timeout=10.0) as client:
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
    async with httpx.AsyncClient(base_url=running.url, timeout=10.0, headers=headers) as client:
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
        await eventually(lambda: killed not in _children(ingress.pid) and len(_children(ingress.pid)) == 2)
        await running.start("dispatcher")
        await _work(running, sandbox, "second")
        await eventually(lambda: shows(2))
        # Whoever answers says the same.
        for _ in range(8):
            assert await shows(2)
        totals = await _totals(running)

    assert totals["avito_answers ok"] >= 2 * SENT
