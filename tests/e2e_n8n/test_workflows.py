"""
Each workflow of n8n/workflows, imported into a real n8n and published, does its job.
"""

from __future__ import annotations

from typing import Any, Final

import httpx
import pytest

from sandbox import AvitoFault
from tests.e2e_n8n.neighbours import Neighbours
from tests.e2e_n8n.spreadsheets import csv, xlsx
from tests.e2e_n8n.stage import Stage
from tests.harness import eventually

UNKNOWN_CHAT: Final = "u2i-nobody-knows-this-chat"


async def test_echo_answers_each_text_once_and_nothing_else(stage: Stage) -> None:
    """
    A text is answered with itself; a picture is not answered, and counts as delivered.
    """
    chat, other, *_ = stage.chats
    async with stage.n8n.published("avito-echo"):
        picture = stage.sandbox.avito.receive(
            chat, type="image", content={"image": {"sizes": {"140x105": "http://x/y"}}}
        )
        stage.write(chat, "Is it still for sale?")
        stage.write(other, "Hello")
        shown = await stage.replies(2)
        await eventually(stage.gateway.queue.empty, 30)
        event = await stage.gateway.client.get(f"/api/events/{picture.id}")

    assert {chat: ["You wrote: Is it still for sale?"], other: ["You wrote: Hello"]} == shown
    assert event.json()["status"] == "delivered"


async def test_agent_answers_with_the_models_words_and_remembers_the_chat(stage: Stage, neighbours: Neighbours) -> None:
    """
    The model is told the ad and the chat so far; its words reach the customer.
    """
    neighbours.answers = ["Yes, it is.", "3 873 roubles."]
    chat = stage.chats[0]
    async with stage.n8n.published("avito-ai-agent"):
        stage.write(chat, "Still for sale?")
        await stage.replies(1)
        stage.write(chat, "And the price?")
        shown = await stage.replies(2)

    assert {chat: ["Yes, it is.", "3 873 roubles."]} == shown
    assert ["system", "user"] == [message["role"] for message in neighbours.asked[0]]
    assert ["Still for sale?", "Yes, it is.", "And the price?"] == [
        message["content"] for message in neighbours.asked[1][1:]
    ]


async def test_agent_that_is_asked_again_does_not_answer_twice(stage: Stage, neighbours: Neighbours) -> None:
    """
    A message that comes to n8n twice gets one answer, although the model says it in other words the second time.
    """
    neighbours.answers = ["First words.", "Other words."]
    chat = stage.chats[0]
    async with stage.n8n.published("avito-ai-agent"):
        stage.write(chat, "Still for sale?")
        await stage.replies(1)
        seen = (await stage.runs("avito-ai-agent"))[0]
        came = (await stage.n8n.run_of(seen["id"]))["Avito message"]
        headers = {"webhook-id": came["headers"]["webhook-id"]}
        async with httpx.AsyncClient(trust_env=False) as client:
            again = await client.post(
                f"{stage.n8n.url}/webhook/avito", json=came["body"], headers=headers, timeout=60.0
            )
        await eventually(stage.gateway.queue.empty, 30)

    assert 200 == again.status_code
    assert 2 == len(neighbours.asked)
    assert {chat: ["First words."]} == stage.shown()


async def test_agent_whose_answer_was_not_taken_is_asked_again(stage: Stage, neighbours: Neighbours) -> None:
    """
    While the gateway refuses the answer the message is not delivered; it comes again and is answered.
    """
    neighbours.answers = [" ", "Here is the answer."]
    chat = stage.chats[0]
    async with stage.n8n.published("avito-ai-agent"):
        stage.write(chat, "Still for sale?")
        shown = await stage.replies(1)

    assert {chat: ["Here is the answer."]} == shown


@pytest.mark.parametrize(("name", "write"), [("list.csv", csv), ("list.xlsx", xlsx)], ids=["csv", "xlsx"])
async def test_bulk_sends_each_row_of_a_spreadsheet(stage: Stage, name: str, write: Any) -> None:
    """
    A file handed in through the form: each row goes to its chat, in the order of the rows.
    """
    rows = [(stage.chats[number % 3], f"Заказ {number}, готов") for number in range(30)]
    async with stage.n8n.published("avito-bulk"):
        answer = await stage.form("avito-bulk", file=(name, write(rows)))
        shown = await stage.replies(30)

    assert 200 == answer.status_code
    assert {chat: [text for to, text in rows if to == chat] for chat in stage.chats[:3]} == shown


async def settled(stage: Stage) -> dict[str, Any]:
    """
    Wait until the execution of the waiting workflow has ended; return what its nodes gave out.
    """

    async def ended() -> bool:
        found = await stage.runs("avito-wait")
        return bool(found) and found[0]["status"] == "success"

    await eventually(ended, 60)
    return dict(await stage.n8n.run_of((await stage.runs("avito-wait"))[0]["id"]))


async def test_wait_goes_on_when_the_message_is_sent(stage: Stage) -> None:
    """
    The execution sleeps while Avito is away, and goes on with Avito's message id once it was sent.
    """
    chat = stage.chats[0]
    away = stage.sandbox.faults.add(AvitoFault(kind="status", status=429, retry_after_s=1, path="*/messages"))
    async with stage.n8n.published("avito-wait"):
        assert (await stage.webhook("avito-notify", {"chat_id": chat, "text": "Your order is ready."})).is_success

        async def sleeps() -> bool:
            found = await stage.runs("avito-wait")
            return bool(found) and found[0]["status"] == "waiting"

        await eventually(sleeps, 60)
        stage.sandbox.faults.remove(away)
        nodes = await settled(stage)

    sent = stage.sandbox.avito.sent(chat)
    assert ["Your order is ready."] == [message.content["text"] for message in sent]
    assert {"message_id": sent[0].id, "chat_id": chat} == nodes["Sent"]
    assert "Not sent" not in nodes


async def test_wait_takes_the_other_way_when_the_message_is_refused(stage: Stage) -> None:
    """
    A chat that Avito does not know: the execution goes on with status and problem.
    """
    async with stage.n8n.published("avito-wait"):
        assert (
            await stage.webhook("avito-notify", {"chat_id": UNKNOWN_CHAT, "text": "Your order is ready."})
        ).is_success
        nodes = await settled(stage)

    assert {"status": "failed", "problem": "rejected: Avito refused with 404: Not found"} == nodes["Not sent"]
    assert "Sent" not in nodes


async def test_a_label_stops_the_bot_for_its_chat_alone(stage: Stage) -> None:
    """
    Who asks for a person is promised one, once; the bot is silent there until the form gives the chat back.
    """
    chat, other, *_ = stage.chats
    async with stage.n8n.published("avito-hand-over"):
        stage.write(chat, "Hello")
        await stage.replies(1)
        stage.write(chat, "Позовите человека")
        await stage.replies(2)
        silent = stage.write(chat, "Are you there?")

        async def delivered() -> bool:
            event = (await stage.gateway.client.get(f"/api/events/{silent}")).json()
            return bool(event.get("status") == "delivered")

        await eventually(delivered, 60)
        stage.write(other, "And here?")
        await stage.replies(3)
        assert (await stage.form("avito-label", [chat, "bot"])).status_code == 200
        stage.write(chat, "Hello again")
        shown = await stage.replies(4)

    assert {
        chat: ["You wrote: Hello", "A colleague will answer you soon.", "You wrote: Hello again"],
        other: ["You wrote: And here?"],
    } == shown


async def test_a_person_takes_a_chat_by_the_form(stage: Stage) -> None:
    """
    The label set by hand, before the customer has written at all, stops the bot.
    """
    chat, other, *_ = stage.chats
    async with stage.n8n.published("avito-hand-over"):
        assert (await stage.form("avito-label", [chat, "human"])).status_code == 200
        stage.write(chat, "Hello")
        stage.write(other, "Hello")
        await stage.replies(1)
        await eventually(stage.gateway.queue.empty, 30)

    assert {other: ["You wrote: Hello"]} == stage.shown()


async def test_dead_letters_are_told_once(stage: Stage, neighbours: Neighbours) -> None:
    """
    A refused send is told at once by its outcome, and once more when dead letters are counted; then there is silence.
    """
    async with stage.n8n.published("avito-dead-letters"):
        send = {"chat_id": UNKNOWN_CHAT, "text": "Hello", "callback_url": f"{stage.n8n.url}/webhook/avito-outcome"}
        answer = await stage.gateway.client.post("/api/messages/send", json=send)
        by_outcome, by_count = sorted(await neighbours.told(2), reverse=True)

        counted = len(await stage.runs("avito-dead-letters"))

        async def looked_again() -> bool:
            return len(await stage.runs("avito-dead-letters")) >= counted + 2

        await eventually(looked_again, 60)

    command_id = answer.json()["command_id"]
    why = "rejected: Avito refused with 404: Not found"
    assert f"Avito gateway: message {command_id} to chat {UNKNOWN_CHAT} is failed: {why}" == by_outcome
    stream = stage.gateway.queue.keys.commands.stream
    assert f"Avito gateway: 1 more dead letters of {stream}, 1 in all. See: avito-gateway dead list" == by_count
    assert 2 == len(neighbours.alerts)


async def test_signature_lets_the_gateway_through_and_nobody_else(stage: Stage) -> None:
    """
    What the gateway signs is answered; the same body with a forged signature, an old time or none gets 401.
    """
    chat = stage.chats[0]
    async with stage.n8n.published("avito-signature"):
        stage.write(chat, "Привет 🙂")
        shown = await stage.replies(1)
        seen = (await stage.runs("avito-signature"))[0]
        came = (await stage.n8n.run_of(seen["id"]))["Avito message"]
        signed = {name: came["headers"][name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        forged = [
            signed | {"webhook-signature": "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
            signed | {"webhook-timestamp": str(int(signed["webhook-timestamp"]) + 1)},
            signed | {"webhook-id": "other"},
            {},
        ]
        async with httpx.AsyncClient(trust_env=False) as client:
            url = f"{stage.n8n.url}/webhook/avito"
            statuses = [(await client.post(url, json=came["body"], headers=headers)).status_code for headers in forged]

    assert {chat: ["You wrote: Привет 🙂"]} == shown == stage.shown()
    assert [401] * len(forged) == statuses
