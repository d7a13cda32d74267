"""
The program on a Redis Cluster: its three roles in one process, the sandbox on both sides.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.queue.connection import connect
from sandbox import Options, Sandbox
from tests import topologies
from tests.fleet import Fleet, fleet
from tests.harness import USER_ID, eventually

PAYLOAD = Path(__file__).resolve().parents[1] / "payloads" / "01_webhook_v3_text_in_2023.json"


@pytest.fixture(name="sandbox_options")
def _sandbox_options() -> Options:
    return Options(chats=3)


async def test_the_program_runs_on_a_cluster(sandbox: Sandbox, tmp_path: Path) -> None:
    """
    A message goes out and one comes in, both with their records, and the health is good.
    """
    with topologies.cluster() as cluster:
        connections = connect(cluster.url)
        try:
            async with fleet(connections, cluster.url, sandbox, tmp_path, RECONCILE_INTERVAL="0.2") as running:
                program = await running.start("ingress", "dispatcher", "forwarder")
                await _passes_messages(running, sandbox)
                answers = [await running.client.get(path) for path in ("/health", "/health/ready", "/info", "/metrics")]
        finally:
            await connections.aclose()

        log = running.log_of(program)

    lines = [json.loads(line) for line in log.splitlines()]
    assert {line["event"] for line in lines if line["level"] != "info"} == {"setting.missing"}
    assert [200] * 4 == [answer.status_code for answer in answers]


async def _passes_messages(running: Fleet, sandbox: Sandbox) -> None:
    chat_id = next(iter(sandbox.avito.chats)).id
    answer = await running.client.post(
        "/api/messages/send", json={"chat_id": chat_id, "text": "hello"}, params={"wait": 20}
    )
    assert (200, "sent") == (answer.status_code, answer.json()["status"])

    webhook = json.loads(PAYLOAD.read_text(encoding="utf-8"))
    webhook["payload"]["value"]["user_id"] = int(USER_ID)
    assert (await running.webhook(webhook)).status_code == 200
    message_id = webhook["payload"]["value"]["id"]
    await eventually(
        lambda: any(call.json["meta"]["external_message_id"] == message_id for call in sandbox.n8n.received)
    )
