"""
The community node, built, packed and installed into a clean n8n, does in workflows what it promises.
"""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any

import httpx

from sandbox.control import PIXEL
from tests.e2e_n8n.stage import Stage
from tests.harness import eventually


def kinds(stage: Stage) -> list[tuple[str, Any]]:
    """
    Return what was sent, in order: its type, and its text where it has one.
    """
    return [(message.type, message.content.get("text")) for message in stage.sandbox.avito.sent()]


async def test_each_action_runs(stage: Stage) -> None:
    """
    Image from a file, long text, link, delete, mark as read, send later, status, cancel, chat, search and lists.
    """
    chat = stage.chats[0]
    stage.sandbox.avito.receive(chat, "Hello", announce=False)
    async with stage.n8n.published("node-actions"):
        picture = base64.b64encode(PIXEL).decode()
        answer = await stage.webhook("node-actions", {"chat_id": chat, "picture": picture})
        run = (await stage.runs("node-actions"))[0]
        nodes = await stage.n8n.run_of(run["id"])

    assert 200 == answer.status_code, answer.text
    assert ["image", "text", "text", "deleted"] == [kind for kind, _ in kinds(stage)]
    assert f"Text {'x' * 1200}" == "".join(text for kind, text in kinds(stage) if kind == "text")
    assert 0 == stage.sandbox.avito.chats[chat].unread
    assert ("scheduled", "cancelled") == (nodes["Status"]["status"], nodes["Cancel"]["status"])
    assert chat == nodes["Chat"]["id"] == nodes["Search"]["id"]
    assert set(nodes) == {
        *("Webhook", "Picture", "File", "Text", "Link", "Delete", "Read", "Later"),
        *("Status", "Cancel", "Chat", "Search", "Messages", "Chats"),
    }


async def test_trigger_starts_a_workflow_for_what_the_gateway_signed(stage: Stage) -> None:
    """
    A customer's text starts the workflow and is answered once; the same body without a signature gets 401.
    """
    chat = stage.chats[0]
    async with stage.n8n.published("node-trigger"):
        stage.sandbox.avito.receive(chat, type="image", content={"image": {"sizes": {"140x105": "http://x/y"}}})
        stage.write(chat, "Is it still for sale?")
        shown = await stage.replies(1)
        await eventually(stage.gateway.queue.empty, 30)
        runs = await stage.runs("node-trigger")
        came = (await stage.n8n.run_of(runs[0]["id"]))["Avito Gateway Trigger"]
        forged = await stage.webhook("avito", {name: value for name, value in came.items() if name != "webhook"})

    assert {chat: ["You wrote: Is it still for sale?"]} == shown == stage.shown()
    assert ["success"] == [run["status"] for run in runs]
    assert 401 == forged.status_code


async def test_trigger_that_the_gateway_does_not_know_says_what_to_set(stage: Stage) -> None:
    """
    Publishing it fails, and the reason names N8N_WEBHOOK_URL and the address to put there; nothing listens.
    """
    workflow = await stage.n8n.call("GET", "/workflows/node-elsewhere")
    said = f"N8N_WEBHOOK_URL.*{stage.n8n.url}/webhook/elsewhere"
    await stage.n8n.call("POST", "/workflows/node-elsewhere/activate", {"versionId": workflow["versionId"]})
    await eventually(lambda: re.search(said, stage.n8n.log) is not None, 30)
    answer = await stage.webhook("elsewhere", {})
    await stage.n8n.call("POST", "/workflows/node-elsewhere/deactivate", {})

    assert 404 == answer.status_code


async def test_items_that_fail_do_not_stop_the_others(stage: Stage) -> None:
    """
    Of three items the one with an empty text takes the way of errors; the others are sent, one by one and in bulk.
    """
    chat, other, *_ = stage.chats
    items = [
        {"chat_id": chat, "text": "one"},
        {"chat_id": chat, "text": ""},
        {"chat_id": other, "text": "three"},
    ]
    async with stage.n8n.published("node-items"):
        await stage.webhook("node-items", {"items": items})
        await stage.replies(6)
        await eventually(stage.gateway.queue.empty, 30)

    assert {chat: ["one", "one", "Bulk: one"], other: ["three", "three", "Bulk: three"]} == {
        name: sorted(texts, key=len) for name, texts in stage.shown().items()
    }


async def test_loop_with_a_lost_answer_sends_each_message_once(stage: Stage) -> None:
    """
    The same text three times in a loop is three messages, although the first answer is lost and the node tries again.
    """
    chat = stage.chats[0]
    async with stage.n8n.published("node-loop"), httpx.AsyncClient(trust_env=False, timeout=90.0) as client:
        stage.proxy.lose = 1.0
        call = client.post(f"{stage.n8n.url}/webhook/node-loop", json={"chat_id": chat, "items": [1, 2, 3]})
        running = asyncio.create_task(call)
        await eventually(lambda: stage.proxy.lost == 1, 30)
        stage.proxy.lose = 0.0
        stage.proxy.cut()
        answer = await running
        await stage.replies(3)
        await eventually(stage.gateway.queue.empty, 30)

    assert 200 == answer.status_code, answer.text
    assert {chat: ["Again", "Again", "Again"]} == stage.shown()
