"""
Webhook delivery: facts, section 6. The n8n stand-in is the subscriber.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from sandbox import Behaviour, N8nFault, WebhookFault, Webhooks

if TYPE_CHECKING:
    from sandbox import Received, Sandbox
    from sandbox.journal import Journal
    from tests.sandbox.conftest import Seller

VALUE_KEYS = [
    "id",
    "chat_id",
    "user_id",
    "author_id",
    "created",
    "type",
    "chat_type",
    "content",
    "item_id",
    "published_at",
]
# An attempt of this test's own machine may take its time.
PATIENT = Behaviour(webhooks=Webhooks(deadline_s=30.0))
QUICK = Behaviour(webhooks=Webhooks(retry_after_s=(0.01, 0.01, 0.01)))


@pytest.fixture
def subscribed(sandbox: Sandbox) -> Sandbox:
    """
    A sandbox whose webhooks go to its own n8n.
    """
    sandbox.avito.webhooks.subscribe(sandbox.avito.default_user_id, f"{sandbox.n8n_url}/webhook/x")
    return sandbox


def texts(received: list[Received]) -> list[str]:
    """
    Return the texts of webhooks in the order they came.
    """
    return [call.json["payload"]["value"]["content"]["text"] for call in received]


def ended(journal: Journal, outcome: str) -> int:
    """
    Count the deliveries that ended so.
    """
    return sum(record.outcome == outcome for record in journal.list("webhook"))


async def test_subscriptions(sandbox: Sandbox, seller: Seller) -> None:
    """
    A URL is subscribed with version 3, once, listed, and unsubscribed.
    """
    url = {"url": "http://127.0.0.1:9/hook"}
    answers = [await seller.post("/v3/webhook", url) for _ in range(2)]
    listed = (await seller.post("/v1/subscriptions")).json()
    await seller.post("/v1/webhook/unsubscribe", url)

    assert [{"ok": True}] * 2 == [answer.json() for answer in answers]
    assert {"subscriptions": [{**url, "version": "3"}]} == listed
    assert {"subscriptions": []} == (await seller.post("/v1/subscriptions")).json()
    assert 400 == (await seller.post("/v3/webhook", {"url": 5})).status_code


async def test_echo(subscribed: Sandbox, seller: Seller) -> None:
    """
    What the account sends comes back in the shape of sample 03, signed with 64 hex characters.
    """
    sent = (await seller.send("Здравствуйте!")).json()

    [call] = await subscribed.n8n.wait_for(lambda received: len(received) == 1)

    assert ["id", "version", "timestamp", "payload"] == list(call.json)
    assert ("v3.0.0", "message") == (call.json["version"], call.json["payload"]["type"])
    value = call.json["payload"]["value"]
    assert VALUE_KEYS == list(value)
    assert (sent["id"], seller.user_id, seller.user_id) == (value["id"], value["user_id"], value["author_id"])
    assert 64 == len(call.headers["x-avito-messenger-signature"])


async def test_echo_can_be_switched_off(subscribed: Sandbox, seller: Seller) -> None:
    """
    Without echo only what the customer writes is delivered.
    """
    subscribed.avito.behaviour = Behaviour(webhooks=Webhooks(echo=False))
    await seller.send("ours")
    subscribed.avito.receive(seller.chat_id, "theirs")

    assert ["theirs"] == texts(await subscribed.n8n.wait_for(bool))


async def test_inbound_in_order(subscribed: Sandbox, seller: Seller) -> None:
    """
    Without a fault, the messages of a chat are delivered in order.
    """
    for number in range(20):
        subscribed.avito.receive(seller.chat_id, str(number))

    received = await subscribed.n8n.wait_for(lambda received: len(received) == 20)

    assert [str(number) for number in range(20)] == texts(received)
    assert received[0].json["payload"]["value"]["author_id"] != seller.user_id


async def test_every_type(subscribed: Sandbox, seller: Seller) -> None:
    """
    A message of any type and content can be injected; a system message has author 0.
    """
    content = {"voice": {"voice_id": "v"}}
    subscribed.avito.receive(seller.chat_id, type="voice", content=content)
    subscribed.avito.receive(seller.chat_id, "Оставьте отзыв", type="system")

    calls = await subscribed.n8n.wait_for(lambda received: len(received) == 2)

    voice, system = (call.json["payload"]["value"] for call in calls)
    assert ("voice", content) == (voice["type"], voice["content"])
    assert ("system", 0) == (system["type"], system["author_id"])


async def test_retries(subscribed: Sandbox, seller: Seller) -> None:
    """
    Anything but 200 is tried three times more, then given up; the next message is not held up for ever.
    """
    subscribed.avito.behaviour = QUICK
    subscribed.faults.add(N8nFault(kind="status", status=500, count=4))
    subscribed.avito.receive(seller.chat_id, "lost")
    subscribed.avito.receive(seller.chat_id, "found")

    received = await subscribed.n8n.wait_for(bool)

    assert ["found"] == texts(received)
    await subscribed.journal.wait_for(lambda journal: ended(journal, "answered") == 5)
    tries = [(record.attempt, record.status) for record in subscribed.journal.list("webhook")]
    assert [(1, 500), (2, 500), (3, 500), (4, 500), (1, 200)] == tries


async def test_deadline(subscribed: Sandbox, seller: Seller) -> None:
    """
    A receiver slower than the deadline gets the webhook again: a duplicate.
    """
    subscribed.avito.behaviour = Behaviour(webhooks=Webhooks(deadline_s=0.5, retry_after_s=(0.01,)))
    subscribed.faults.add(N8nFault(kind="hang", taken=True, count=1))
    subscribed.avito.receive(seller.chat_id, "x")

    received = await subscribed.n8n.wait_for(lambda received: len(received) == 2)

    assert received[0].body == received[1].body
    assert ended(subscribed.journal, "too slow") >= 1


async def test_nobody_listens(sandbox: Sandbox, seller: Seller) -> None:
    """
    A refused connection is an attempt like any other.
    """
    sandbox.avito.behaviour = QUICK
    sandbox.avito.webhooks.subscribe(seller.user_id, f"{sandbox.n8n_url}/webhook/x")
    await sandbox.n8n_down()
    sandbox.avito.receive(seller.chat_id, "x")

    await sandbox.journal.wait_for(lambda journal: ended(journal, "ConnectError") == 4)


async def test_duplicates(subscribed: Sandbox, seller: Seller) -> None:
    """
    A duplicated webhook is the same body, byte for byte.
    """
    subscribed.faults.add(WebhookFault(kind="duplicate", copies=2, count=1))
    subscribed.avito.receive(seller.chat_id, "x")
    subscribed.avito.receive(seller.chat_id, "y")

    received = await subscribed.n8n.wait_for(lambda received: len(received) == 4)

    assert ["x", "x", "x", "y"] == texts(received)
    assert 2 == len({call.body for call in received})


async def test_lost(subscribed: Sandbox, seller: Seller) -> None:
    """
    A lost webhook is never delivered, but its message is in the chat.
    """
    subscribed.faults.add(WebhookFault(kind="lost", count=1))
    subscribed.avito.receive(seller.chat_id, "x")
    subscribed.avito.receive(seller.chat_id, "y")

    assert ["y"] == texts(await subscribed.n8n.wait_for(bool))
    assert 1 == ended(subscribed.journal, "lost")
    assert 2 == len((await seller.get("/v3/C/messages")).json()["messages"])


async def test_reordered(subscribed: Sandbox, seller: Seller) -> None:
    """
    A reordered webhook comes after the next one; alone it comes when its time is up.
    """
    subscribed.faults.add(WebhookFault(kind="reorder", count=1, delay_s=5))
    for text in "abc":
        subscribed.avito.receive(seller.chat_id, text)
    first = await subscribed.n8n.wait_for(lambda received: len(received) == 3)
    subscribed.faults.add(WebhookFault(kind="reorder", count=1, delay_s=0.01))
    subscribed.avito.receive(seller.chat_id, "alone")
    last = await subscribed.n8n.wait_for(lambda received: len(received) == 4)

    assert (["b", "a", "c"], "alone") == (texts(first), texts(last)[-1])


async def test_delayed(subscribed: Sandbox, seller: Seller) -> None:
    """
    A delayed webhook does not hold up what follows.
    """
    subscribed.faults.add(WebhookFault(kind="delay", count=1, delay_s=0.3))
    subscribed.avito.receive(seller.chat_id, "late")
    subscribed.avito.receive(seller.chat_id, "in time")

    assert ["in time", "late"] == texts(await subscribed.n8n.wait_for(lambda received: len(received) == 2))


async def test_ping(sandbox: Sandbox, seller: Seller) -> None:
    """
    The self-test of the specification, `{}`, can be switched on.
    """
    sandbox.avito.behaviour = Behaviour(webhooks=Webhooks(ping=True))
    await seller.post("/v3/webhook", {"url": f"{sandbox.n8n_url}/webhook/x"})

    [call] = await sandbox.n8n.wait_for(bool)

    assert {} == call.json


async def test_samples_pass_as_they_are(subscribed: Sandbox) -> None:
    """
    Any body can be delivered unchanged.
    """
    sample: dict[str, Any] = {"id": "1", "version": "v3.0.0", "payload": {"type": "unknown", "value": {}}}
    subscribed.avito.webhooks.post(subscribed.avito.default_user_id, sample)

    [call] = await subscribed.n8n.wait_for(bool)

    assert sample == call.json


async def test_many_chats_all_arrive(subscribed: Sandbox) -> None:
    """
    A burst over many chats arrives whole, each chat in order.
    """
    subscribed.avito.behaviour = PATIENT
    chats = [subscribed.avito.create_chat().id for _ in range(40)]
    for number in range(5):
        for chat_id in chats:
            subscribed.avito.receive(chat_id, str(number))

    received = await subscribed.n8n.wait_for(lambda received: len(received) == 200, timeout_s=30)

    order: dict[str, list[str]] = {}
    for call in received:
        value = call.json["payload"]["value"]
        order.setdefault(value["chat_id"], []).append(value["content"]["text"])
    assert Counter({"01234": 40}) == Counter("".join(seen) for seen in order.values())
