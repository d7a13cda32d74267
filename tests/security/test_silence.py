"""
Secrets and the texts of messages: not in logs, not in metrics, not in what the API says about itself.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from common.queue.connection import Connections
from sandbox import Account, AvitoFault, N8nFault, Options, Sandbox
from tests.fleet import Fleet, fleet
from tests.harness import eventually
from tests.integration.ingress.test_webhook import event

SIGNING = base64.b64encode(b"marker-signing-secret-0123456789").decode()
API_KEY = "marker-api-key"
WRONG_KEY = "marker-wrong-key"
CLIENT_SECRET = "marker-client-secret"
WEBHOOK_SECRET = "marker-webhook-secret"
WRONG_WEBHOOK = "marker-wrong-webhook"
N8N_PATH = "marker-n8n-path"
N8N_HEADER = "marker-n8n-header"
REDIS_PASSWORD = "marker-redis-password"
CALLBACK_PASSWORD = "marker-callback-password"
IMAGE_QUERY = "marker-image-query"
TEXT_OUT = "marker-text-out"
TEXT_IN = "marker-text-in"
TEXT_REFUSED = "marker-text-refused"
TEXT_BROKEN = "marker-text-broken"
TEXT_FAILED = "marker-text-failed"
MARKS = [
    SIGNING,
    API_KEY,
    WRONG_KEY,
    CLIENT_SECRET,
    WEBHOOK_SECRET,
    WRONG_WEBHOOK,
    N8N_PATH,
    N8N_HEADER,
    REDIS_PASSWORD,
    CALLBACK_PASSWORD,
    IMAGE_QUERY,
    TEXT_OUT,
    TEXT_IN,
    TEXT_REFUSED,
    TEXT_BROKEN,
    TEXT_FAILED,
]


@dataclass
class Heard:
    """
    What the gateway said: bodies of answers by name, and whole logs.
    """

    said: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, answer: httpx.Response) -> httpx.Response:
        """
        Keep an answer's head and body.
        """
        self.said[f"{name} ({answer.status_code})"] = f"{answer.headers}\n{answer.text}"
        return answer

    def leaks(self) -> list[str]:
        """
        Name each marker with the place where it was found.
        """
        return [f"{mark} in {where}" for where, text in self.said.items() for mark in MARKS if mark in text]


@pytest.fixture(name="sandbox_options")
def _sandbox_options() -> Options:
    account = Account(client_secret=CLIENT_SECRET)
    return Options(accounts=(account,))


def environment(sandbox: Sandbox, redis_url: str, log_format: str) -> dict[str, str]:
    """
    Return settings with a marker wherever a secret can be.
    """
    redis = urlsplit(redis_url)
    n8n = urlsplit(sandbox.n8n_webhook_url)
    return {
        "API_KEY": API_KEY,
        "AVITO_CLIENT_SECRET": CLIENT_SECRET,
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
        "N8N_WEBHOOK_URL": f"{n8n.scheme}://{n8n.netloc}/webhook/{N8N_PATH}",
        "N8N_WEBHOOK_SECRET": f"whsec_{SIGNING}",
        "N8N_AUTH_HEADER": f"Authorization: Bearer {N8N_HEADER}",
        # The default user takes any password where none is set.
        "REDIS_URL": f"redis://default:{REDIS_PASSWORD}@{redis.netloc.rpartition('@')[2]}",
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": log_format,
        "FORWARD_MAX_ATTEMPTS": "2",
        "FORWARD_RETRY_MIN": "0.02",
        "FORWARD_RETRY_MAX": "0.05",
        "RETRY_MIN_WAIT": "0.02",
        "RETRY_MAX_WAIT": "0.05",
    }


async def sends(client: httpx.AsyncClient, heard: Heard, chat_id: str) -> None:
    """
    Send what goes well and what is refused at the door.
    """
    link = {"chat_id": chat_id, "url": f"https://example.com/?{IMAGE_QUERY}", "text": TEXT_OUT}
    image = {"chat_id": chat_id, "image_url": f"http://u:{CALLBACK_PASSWORD}@127.0.0.1:9/a.png?{IMAGE_QUERY}"}
    bulk = {"messages": [{"chat_id": chat_id, "text": TEXT_OUT}] * 3}
    refused: list[dict[str, Any]] = [
        {"chat_id": chat_id, "text": TEXT_REFUSED * 100},
        {"chat_id": [TEXT_REFUSED], "text": {TEXT_REFUSED: TEXT_REFUSED}},
        {"chat_id": chat_id, "text": TEXT_REFUSED, "send_at": TEXT_REFUSED, "priority": TEXT_REFUSED},
        {"chat_id": chat_id, "text": TEXT_REFUSED, "callback_url": f"http://u:{CALLBACK_PASSWORD}@evil.test/"},
    ]
    for path, body in (
        ("", {"chat_id": chat_id, "text": TEXT_OUT}),
        ("/link", link),
        ("/image", image),
        ("/bulk", bulk),
    ):
        answer = heard.note(f"send{path}", await client.post(f"/api/messages/send{path}", json=body))
        assert 202 == answer.status_code, answer.text
    for body in refused:
        answer = heard.note("refused", await client.post("/api/messages/send", json=body))
        assert 422 == answer.status_code, answer.text
    cut = json.dumps({"chat_id": chat_id, "text": TEXT_BROKEN})[:-2].encode()
    assert 400 == heard.note("cut", await client.post("/api/messages/send", content=cut)).status_code
    form = {"files": {"file": ("a.png", TEXT_BROKEN.encode())}, "data": {"chat_id": chat_id}}
    assert 415 == heard.note("form", await client.post("/api/messages/send/image", **form)).status_code  # type: ignore[arg-type]


async def webhooks(client: httpx.AsyncClient, heard: Heard, chat_id: str) -> None:
    """
    Post good webhooks and all kinds of bad ones.
    """
    good = json.dumps(event(chat_id=chat_id, content={"text": TEXT_IN})).encode()
    odd = json.dumps({"payload": {"type": "chat_closed", "value": {"content": {"text": TEXT_BROKEN}}}}).encode()
    stranger = json.dumps(event(id="stranger", user_id=5, content={"text": TEXT_BROKEN})).encode()
    for secret, body, status in (
        (WEBHOOK_SECRET, good, 200),
        (WEBHOOK_SECRET, good, 200),
        (WEBHOOK_SECRET, odd, 200),
        (WEBHOOK_SECRET, stranger, 200),
        (WEBHOOK_SECRET, good[:-9] + TEXT_BROKEN.encode(), 400),
        (WEBHOOK_SECRET, good.replace(TEXT_IN.encode(), TEXT_BROKEN.encode() + b"\xff"), 400),
        (WRONG_WEBHOOK, good, 404),
    ):
        answer = heard.note("webhook", await client.post(f"/webhook/avito/{secret}", content=body))
        assert status == answer.status_code, answer.text


async def failures(running: Fleet, heard: Heard, chat_id: str) -> None:
    """
    Let Avito and n8n refuse, fail and cut off, until there are dead letters on both sides.
    """
    faults = running.sandbox.faults
    faults.add(AvitoFault(kind="status", status=400, count=1, method="POST", path="*/messages"))
    faults.add(AvitoFault(kind="drop", taken=True, count=1, skip=1, method="POST", path="*/messages"))
    faults.add(AvitoFault(kind="expired_token", count=1))
    faults.add(AvitoFault(kind="status", status=500, count=2))
    faults.add(N8nFault(kind="drop", count=1))
    faults.add(N8nFault(kind="status", status=500, count=8, skip=1))
    body = {"chat_id": chat_id, "text": TEXT_FAILED}
    for _ in range(4):
        answer = await running.client.post("/api/messages/send?wait=5", json=body)
        if answer.status_code >= 400:
            # What was sent is answered with what Avito says of it, the text as well.
            heard.note("failed", answer)
    for number in range(3):
        webhook = event(id=f"failed-{number}", chat_id=chat_id, content={"text": TEXT_FAILED})
        await running.client.post(f"/webhook/avito/{WEBHOOK_SECRET}", json=webhook)


async def questions(client: httpx.AsyncClient, heard: Heard) -> None:
    """
    Ask for what the gateway says of itself, with the key and with wrong ones.
    """
    for path in ("/info", "/metrics", "/health", "/health/ready", "/openapi.json", "/api/token", "/nothing"):
        heard.note(path, await client.get(path))
    for headers in ({"X-API-Key": WRONG_KEY}, {"X-API-Key": "", "Authorization": f"Bearer {WRONG_KEY}"}):
        answer = heard.note("wrong key", await client.get("/api/chats", headers=headers))
        assert 401 == answer.status_code


async def console(running: Fleet, heard: Heard, chat_id: str) -> None:
    """
    Log in to the console with a wrong key and the right one, look around, answer a chat, send what is refused.
    """
    async with httpx.AsyncClient(base_url=running.url, timeout=30.0) as browser:
        form = {"api_key": WRONG_KEY, "next": "/console"}
        assert 401 == heard.note("console", await browser.post("/console/login", data=form)).status_code
        form = {"api_key": API_KEY, "next": "/console"}
        assert 303 == (await browser.post("/console/login", data=form)).status_code
        page = heard.note("console", await browser.get("/console"))
        assert 200 == page.status_code
        token = re.findall(r"[0-9a-f]{64}", page.text)[0]
        about = f"/console/chats/{quote(chat_id, safe='')}"
        # The conversation and the answer are there to show the text.
        assert 200 == (await browser.get(about)).status_code
        for text, status in ((TEXT_OUT, 200), (TEXT_REFUSED * 100, 422)):
            answer = await browser.post(
                f"{about}/send", data={"text": text, "key": "k" * 9}, headers={"X-CSRF-Token": token}
            )
            assert status == answer.status_code, answer.text
        for path in ("/console/state", "/console/hour", "/console/nothing", "/console/login"):
            heard.note(path, await browser.get(path))


@pytest.mark.parametrize("log_format", ["json", pytest.param("console", marks=pytest.mark.chaos)])
async def test_nothing_secret_is_said(
    connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path, log_format: str
) -> None:
    """
    After a round with every kind of failure, at debug level: no secret and no text of a message is in the logs of any
    role, in `/info`, in metrics, in health, in a problem or in the console's own pages.
    """
    heard = Heard()
    async with fleet(
        connections, redis_url, sandbox, tmp_path, **environment(sandbox, redis_url, log_format)
    ) as running:
        running.client.headers["X-API-Key"] = API_KEY
        process = await running.start("ingress", "dispatcher", "forwarder")
        chat_id = next(iter(sandbox.avito.chats)).id
        await sends(running.client, heard, chat_id)
        await webhooks(running.client, heard, chat_id)
        await eventually(running.queue.empty, 20)
        await failures(running, heard, chat_id)
        await eventually(running.queue.empty, 20)
        dead = [depth.dead for depth in await running.queue.records.depths("100000001")]
        await questions(running.client, heard)
        await console(running, heard, chat_id)
        assert 0 == await running.stop(process)
    logs = await asyncio.to_thread(lambda: [path.read_text(encoding="utf-8") for path in tmp_path.glob("*.log")])

    assert dead[0] >= 1
    assert dead[2] >= 1
    assert {TEXT_OUT, TEXT_FAILED} <= {message.content.get("text") for message in sandbox.avito.sent()}
    assert {f"/webhook/{N8N_PATH}"} == {call.path for call in sandbox.n8n.received}
    heard.said |= {f"log {number}": text for number, text in enumerate(logs)}
    assert any("avito.called" in log for log in logs)
    assert [] == heard.leaks()
