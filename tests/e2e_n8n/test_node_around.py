"""
Around the community node in a real n8n: as a tool of an agent, its credentials, its lists, and restarts.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
from litestar import Litestar, Response, post
from litestar.params import JSONBody
from standardwebhooks import Webhook

from sandbox.listener import Listener
from tests.e2e_n8n.stage import API_KEY, SIGNING_SECRET, Stage
from tests.fleet import free_port
from tests.harness import eventually

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

pytestmark = pytest.mark.timeout(300)

GATEWAY = "n8n-nodes-avito-gateway.avitoGateway"


async def test_agent_that_uses_the_tool_twice_sends_twice(stage: Stage, ports: dict[str, int]) -> None:
    """
    Two calls of the tool in one execution are two messages, even with the same words.
    """
    asked: list[dict[str, Any]] = []

    async def complete(data: JSONBody[dict[str, Any]]) -> Response[dict[str, Any]]:
        asked.append(data)
        call = {"name": data["tools"][0]["function"]["name"], "arguments": json.dumps({"text": "Same words"})}
        uses = {"role": "assistant", "content": None, "tool_calls": [{"id": "t", "type": "function", "function": call}]}
        says = {"role": "assistant", "content": "Done."}
        choice = {"index": 0, "message": uses if len(asked) <= 2 else says, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        body = {"id": "c", "object": "chat.completion", "created": 1, "model": data["model"], "choices": [choice]}
        return Response(body | {"usage": usage}, status_code=200)

    model = Litestar([post("/v1/chat/completions")(complete)], openapi_config=None)
    listener = Listener(cast("ASGI3Application", model), "127.0.0.1", ports["neighbours"])
    await listener.open()
    try:
        async with stage.n8n.published("node-tool"):
            answer = await stage.webhook("node-tool", {"chat_id": stage.chats[0], "text": "Tell them"})
            await eventually(stage.gateway.queue.empty, 30)
    finally:
        await listener.release()

    assert {"output": "Done."} == answer.json()
    assert {stage.chats[0]: ["Same words", "Same words"]} == stage.shown()


async def test_credentials_accounts_and_output_shape(stage: Stage, ports: dict[str, int]) -> None:
    """
    The credentials' test tells a wrong key, the account's list comes from the gateway, the trigger's output is typed.
    """
    tests = []
    for key in (API_KEY, "wrong"):
        data = {"baseUrl": f"http://127.0.0.1:{ports['gateway']}/", "apiKey": key, "signingSecret": ""}
        credentials = {"id": "avito-gateway-api", "name": "x", "type": "avitoGatewayApi", "data": data}
        tests.append(await stage.n8n.call("POST", "/credentials/test", {"credentials": credentials}))
    accounts = await stage.n8n.call(
        "POST",
        "/dynamic-node-parameters/options",
        {
            "nodeTypeAndVersion": {"name": GATEWAY, "version": 1},
            "path": "parameters.account",
            "methodName": "getAccounts",
            "currentNodeParameters": {},
            "credentials": {"avitoGatewayApi": {"id": "avito-gateway-api", "name": "Avito Gateway"}},
        },
    )
    async with httpx.AsyncClient(trust_env=False, cookies=stage.n8n._cookies) as client:
        shape = await client.get(f"{stage.n8n.url}/schemas/{GATEWAY}Trigger/1.0.0.json")

    assert ["OK", "Error"] == [test["status"] for test in tests]
    assert ["", str(stage.sandbox.avito.default_user_id)] == [account["value"] for account in accounts]
    assert {"webhook", "text", "external_chat_id"} <= set(shape.json()["properties"])


async def test_trigger_outlives_a_restart_while_the_gateway_is_away(stage: Stage) -> None:
    """
    n8n starts while the gateway does not answer: the workflow stays published, and messages come when both are there.
    """
    chat = stage.chats[0]
    async with stage.n8n.published("node-trigger"):
        await asyncio.to_thread(stage.n8n.stop)
        there, stage.proxy.target = stage.proxy.target, ("127.0.0.1", free_port())
        await asyncio.to_thread(stage.n8n.start)
        workflow = await stage.n8n.call("GET", "/workflows/node-trigger")
        stage.proxy.target = there
        stage.write(chat, "Hello")
        shown = await stage.replies(1)

    assert workflow["active"]
    assert {chat: ["You wrote: Hello"]} == shown


async def test_trigger_runs_a_repeat_once(stage: Stage) -> None:
    """
    The same webhook-id again is answered with 200 and starts nothing, after a restart of n8n, too.
    """
    repeat = '{"ignored":"it is a repeat"}'
    event = {
        "channel": "avito",
        "external_chat_id": stage.chats[0],
        "external_user_id": "7",
        "user_id": "1",
        "text": "x",
    }
    body = json.dumps(event)

    async def deliver(message_id: str) -> httpx.Response:
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(SIGNING_SECRET).sign(message_id, now, body),
        }
        async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client:
            return await client.post(f"{stage.n8n.url}/webhook/node-repeats", content=body, headers=headers)

    async with stage.n8n.published("node-repeats"):
        answers = [await deliver("m1"), await deliver("m1"), await deliver("m2")]
        await asyncio.to_thread(stage.n8n.stop)
        await asyncio.to_thread(stage.n8n.start)
        answers.append(await deliver("m1"))

    assert [200] * 4 == [answer.status_code for answer in answers]
    assert ["", repeat, "", repeat] == [answer.text for answer in answers]
    assert 2 == len(await stage.n8n.executions("node-repeats"))
