"""
The control API, and the sandbox as a process of its own.
"""

from __future__ import annotations

import ast
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest_asyncio

import sandbox as package

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox import Sandbox
    from tests.sandbox.conftest import Seller

ROOT = Path(__file__).parents[2]
GATEWAY = {"common", "ingress", "dispatcher", "forwarder", "gateway"}


@pytest_asyncio.fixture
async def control(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """
    A client of the control API.
    """
    async with httpx.AsyncClient(base_url=f"{sandbox.control_url}/control", timeout=10.0) as http:
        yield http


async def test_overview(sandbox: Sandbox, control: httpx.AsyncClient) -> None:
    """
    The overview names the addresses and all paths, and no secret.
    """
    body = (await control.get("")).json()

    assert (sandbox.avito_url, sandbox.n8n_url) == (body["avito_url"], body["n8n_url"])
    assert "client_secret" not in body
    assert {"/control/faults", "/control/journal", "/control/rate"} <= set(body["paths"])


async def test_faults(control: httpx.AsyncClient, seller: Seller) -> None:
    """
    Faults are switched on, listed with their hits, and off, one by one or all.
    """
    fault = {"face": "avito", "kind": "status", "status": 503, "path": "*/messages"}
    first = (await control.post("/faults", json=fault)).json()["id"]
    second = (await control.post("/faults", json={**fault, "status": 500})).json()["id"]
    answers = [(await seller.send("x")).status_code]
    listed = (await control.get("/faults")).json()
    await control.delete(f"/faults/{first}")
    answers.append((await seller.send("x")).status_code)
    await control.delete("/faults")
    answers.append((await seller.send("x")).status_code)

    assert [(first, 1, 1, 503), (second, 0, 0, 500)] == [
        (on["id"], on["matched"], on["hits"], on["status"]) for on in listed
    ]
    assert [503, 500, 200] == answers


async def test_bad_bodies(control: httpx.AsyncClient) -> None:
    """
    What does not fit is a 400 that says where.
    """
    answers = [
        await control.post("/faults", json={"face": "avito", "kind": "nonsense"}),
        await control.post("/faults", content=b"{"),
        await control.patch("/behaviour", json={"token_life_s": -1}),
        await control.patch("/behaviour", content=b"{"),
        await control.patch("/behaviour", json=[]),
        await control.post("/messages", json={"text": "no chat"}),
        await control.get("/rate", params={"window_s": 0}),
    ]

    assert [400] * len(answers) == [answer.status_code for answer in answers]
    assert ["avito", "kind"] == answers[0].json()["extra"][0]["loc"]
    assert 404 == (await control.post("/messages", json={"chat_id": "u2i-no", "text": "x"})).status_code
    assert 404 == (await control.get("/chats/u2i-no")).status_code
    assert 404 == (await control.post("/chats", json={"user_id": 5})).status_code
    assert 404 == (await control.post("/codes", json={"user_id": 5})).status_code
    assert 404 == (await control.post("/n8n/sideways")).status_code


async def test_behaviour(sandbox: Sandbox, control: httpx.AsyncClient) -> None:
    """
    Switches are changed one by one; the others stay.
    """
    changed = (await control.patch("/behaviour", json={"limit": {"requests": 40, "window_s": 4}})).json()

    assert changed == (await control.get("/behaviour")).json()
    assert (40, "403") == (changed["limit"]["requests"], changed["bad_token"])
    assert sandbox.avito.behaviour.limit is not None


async def test_journal_and_rate(control: httpx.AsyncClient, seller: Seller) -> None:
    """
    Every request is listed with arrival, status, open count and end; the rate report counts them.
    """
    await control.delete("/journal")
    for text in "abc":
        await seller.send(text)

    records = (await control.get("/journal", params={"kind": "avito"})).json()
    rate = (await control.get("/rate", params={"window_s": 60})).json()

    assert [("POST", 200, 1, "answered")] * 3 == [
        (one["method"], one["status"], one["open_count"], one["outcome"]) for one in records
    ]
    assert records[0]["arrived_mono_s"] <= records[0]["ended_mono_s"] <= records[1]["arrived_mono_s"]
    assert {"window_s": 60.0, "worst": 3, "open_max": 1} == rate
    assert 0 == (await control.get("/rate", params={"window_s": 60, "user_id": 5})).json()["worst"]
    after = (await control.get("/journal", params={"kind": "avito", "after": records[1]["seq"]})).json()
    assert [records[2]] == after


async def test_no_text_and_no_secret_in_the_journal(
    sandbox: Sandbox, control: httpx.AsyncClient, seller: Seller
) -> None:
    """
    The journal tells what happened without texts, tokens and secrets.
    """
    await seller.send("very private")
    token = await seller.log_in()

    journal = (await control.get("/journal")).text

    assert not [secret for secret in ("very private", token, "client_secret") if secret in journal]
    assert f"message {sandbox.avito.sent()[0].id}" in journal


async def test_chats_and_messages(sandbox: Sandbox, control: httpx.AsyncClient, seller: Seller) -> None:
    """
    Chats are created, messages arrive in them, and what was sent is listed in order.
    """
    account = {"user_id": 7, "client_id": "c", "client_secret": "s"}
    assert {"user_id": 7} == (await control.post("/accounts", json=account)).json()
    made = (await control.post("/chats", json={"chat_id": "u2i-new", "item_id": 9_000_000_001})).json()
    await control.post("/messages", json={"chat_id": "u2i-new", "text": "hello"})
    for text in "ab":
        await seller.send(text, chat_id="u2i-new")

    chat = (await control.get("/chats/u2i-new")).json()
    sent = (await control.get("/messages", params={"chat_id": "u2i-new"})).json()

    assert (9_000_000_001, seller.user_id) == (made["item_id"], made["user_id"])
    assert (["hello", "a", "b"], True) == ([one["content"]["text"] for one in chat["messages"]], chat["unread"])
    assert [one.id for one in sandbox.avito.sent("u2i-new")] == [one["id"] for one in sent]
    assert 4 == len((await control.get("/chats")).json())


async def test_subscription_and_webhooks(sandbox: Sandbox, control: httpx.AsyncClient) -> None:
    """
    A URL is subscribed without a token, any body delivered there, and n8n's calls listed and forgotten.
    """
    await control.post("/subscriptions", json={"url": sandbox.n8n_webhook_url})
    await control.post("/webhooks", json={"payload": {"value": {}}})
    await sandbox.n8n.wait_for(bool)

    [call] = (await control.get("/n8n/received")).json()
    await control.delete("/n8n/received")

    assert ("/webhook/avito", {"payload": {"value": {}}}) == (call["path"], call["body"])
    assert [] == (await control.get("/n8n/received")).json()


async def test_n8n_switches(sandbox: Sandbox, control: httpx.AsyncClient) -> None:
    """
    n8n goes down and up, and its reply mode on and off.
    """
    await control.post("/n8n/down")
    async with httpx.AsyncClient() as anybody:
        try:
            await anybody.post(sandbox.n8n_webhook_url)
            refused = False
        except httpx.ConnectError:
            refused = True
    await control.post("/n8n/up")
    await control.post("/n8n/reply", json={"gateway_url": "http://127.0.0.1:1"})
    reply = sandbox.n8n.reply
    await control.delete("/n8n/reply")

    assert refused
    assert reply is not None
    assert sandbox.n8n.reply is None


async def test_clock_tokens_and_reset(sandbox: Sandbox, control: httpx.AsyncClient, seller: Seller) -> None:
    """
    The clock is shifted, tokens expire, codes are given, and a reset takes the shift back.
    """
    shifted = (await control.post("/clock", json={"shift_s": 100})).json()
    expired = (await control.post("/tokens/expire")).json()
    code = (await control.post("/codes", json={})).json()["code"]
    refused = (await seller.send("x")).status_code
    await control.post("/reset")

    assert (100, {"expired": 1}, 403) == (shifted["shift_s"], expired, refused)
    assert code
    assert 0 == sandbox.clock.shift_s


async def test_files(sandbox: Sandbox, control: httpx.AsyncClient) -> None:
    """
    Voice links lead somewhere.
    """
    answer = await control.get(sandbox.avito.images.voice_url("v"))

    assert (200, "video/mp4") == (answer.status_code, answer.headers["content-type"])


async def test_process() -> None:
    """
    `python -m sandbox` prints its addresses in one line when it is ready, serves, and leaves cleanly on SIGTERM.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sandbox", "--limit", "1/60", "--chats", "2", "--user-id", "42"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            ready: dict[str, Any] = json.loads(await process.stdout.readline())
        form = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox"}
        async with httpx.AsyncClient(base_url=ready["avito_url"]) as http:
            answers = [(await http.post("/token", data=form)).status_code for _ in range(2)]
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()

    assert (42, 2, [200, 429]) == (ready["user_id"], len(ready["chats"]), answers)
    assert (0, b"") == (process.returncode, errors)


def test_exported_names() -> None:
    """
    The public names are there, and sorted.
    """
    assert sorted(package.__all__) == package.__all__
    assert all(hasattr(package, name) for name in package.__all__)


def test_imports_nothing_of_the_gateway() -> None:
    """
    The sandbox speaks of Avito independently of the gateway.
    """
    for module in (ROOT / "sandbox").glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not GATEWAY & {name.partition(".")[0] for name in names}, module
