"""
What the gateway is there for, with a real n8n: killed, not ready yet, or without an answer to what it sent.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

from tests.e2e_n8n.stage import Stage
from tests.harness import eventually

MESSAGES: Final = 100


def write_in_turn(stage: Stage, count: int) -> dict[str, list[str]]:
    """
    Let the customers of all chats write in turn; return the replies that belong to each chat.
    """
    due: dict[str, list[str]] = defaultdict(list)
    for number in range(count):
        chat = stage.chats[number % len(stage.chats)]
        stage.write(chat, f"message {number}")
        due[chat].append(f"You wrote: message {number}")
    return dict(due)


async def test_n8n_killed_in_the_middle_answers_each_message_once_and_in_order(stage: Stage) -> None:
    """
    100 messages over 10 chats, n8n killed with -9 half way and started again: 100 replies, each once and in order.
    """
    async with stage.n8n.published("avito-echo"):
        due = write_in_turn(stage, MESSAGES)
        await stage.replies(MESSAGES // 2)
        await asyncio.to_thread(stage.n8n.kill)
        answered = len(stage.sandbox.avito.sent())
        await asyncio.to_thread(stage.n8n.start)
        await stage.replies(MESSAGES, 120)
        await eventually(stage.gateway.queue.empty, 60)

    assert MESSAGES // 2 <= answered < MESSAGES
    assert due == stage.shown()


async def test_a_workflow_that_is_not_active_yet_gets_its_messages_later(stage: Stage) -> None:
    """
    While n8n says "not registered" messages wait and lose no attempt; once the workflow is published they arrive.
    """
    chat = stage.chats[0]
    message_id = stage.write(chat, "Is anybody there?")

    async def waits() -> bool:
        (account,) = (await stage.gateway.client.get("/info")).json()["accounts"]
        return "not registered" in account["n8n_reason"]

    await eventually(waits, 30)
    async with stage.n8n.published("avito-echo"):
        shown = await stage.replies(1)
        await eventually(stage.gateway.queue.empty, 30)
    event = (await stage.gateway.client.get(f"/api/events/{message_id}")).json()

    assert {chat: ["You wrote: Is anybody there?"]} == shown
    assert "delivered" == event["status"]
    assert ["delivered"] == [attempt["outcome"] for attempt in event["timeline"] if "outcome" in attempt]


async def test_retry_on_fail_after_a_lost_answer_sends_one_message(stage: Stage) -> None:
    """
    The gateway takes a reply and its answer is lost on the way to n8n: the node tries again, the customer gets one.
    """
    chat = stage.chats[0]
    async with stage.n8n.published("avito-echo"):
        stage.proxy.lose = 1.0
        stage.write(chat, "Hello")
        await eventually(lambda: stage.proxy.lost == 1, 30)
        stage.proxy.lose = 0.0
        stage.proxy.cut()
        await eventually(stage.gateway.queue.empty, 60)
        runs = await stage.runs("avito-echo")
        replied = (await stage.n8n.run_of(runs[0]["id"]))["Reply"]
    stored = (await stage.gateway.client.get(replied["links"]["self"])).json()

    assert {chat: ["You wrote: Hello"]} == stage.shown()
    assert ["success"] == [run["status"] for run in runs]
    assert "sent" == stored["status"]
