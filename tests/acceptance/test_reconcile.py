"""
Lost answers before the program as processes: nothing is shown twice, nothing is missing, each record names its own.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from common.queue.connection import Connections
from sandbox import AvitoFault, Options, Sandbox, WebhookFault
from sandbox.chats import Message
from tests.fleet import Fleet, fleet
from tests.harness import eventually

SETTINGS = {
    "RATE_LIMIT_REQUESTS": "1000",
    "RATE_LIMIT_WINDOW": "1",
    "BULK_RESERVE": "0",
    "RETRY_MIN_WAIT": "0.05",
    "RETRY_MAX_WAIT": "0.2",
    "CONNECTION_TIMEOUT": "1",
    "MAX_RETRIES": "20",
    "ALLOW_PRIVATE_HOSTS": "127.0.0.1",
    "RECONCILE_INTERVAL": "0",
}
TEXTS = ("same", "same", "other", "https://a.b/c", "two\nlines  and  spaces")
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100


@pytest.fixture(name="sandbox_options")
def _sandbox_options() -> Options:
    return Options(chats=6)


def troubles(chance: random.Random) -> list[AvitoFault | WebhookFault]:
    """
    Return faults of every kind, each as likely as chance will have it.
    """
    texts = {"method": "POST", "path": "*/messages"}
    pictures = {"method": "POST", "path": "*/messages/image"}
    reads = {"method": "GET", "path": "*/v3/*"}
    uploads = {"method": "POST", "path": "*/uploadImages"}
    losses: list[dict[str, Any]] = [
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 502, "taken": True},
        {"kind": "drop"},
        {"kind": "drop", "taken": True},
    ]
    found: list[AvitoFault | WebhookFault] = [
        AvitoFault(probability=chance.uniform(0.02, 0.12), **where, **loss)
        for where in (texts, pictures, reads, uploads)
        for loss in losses
    ]
    found += [AvitoFault(kind="hang", taken=taken, probability=0.03, **texts) for taken in (True, False)]
    found += [AvitoFault(kind="hang", count=1, skip=2, **reads)]
    found += [AvitoFault(kind="status", status=429, retry_after_s=1, count=1, skip=chance.randrange(20), **texts)]
    found += [AvitoFault(kind="expired_token", count=1, skip=chance.randrange(20))]
    found += [WebhookFault(kind="lost", probability=chance.uniform(0.05, 0.5))]
    found += [WebhookFault(kind="delay", delay_s=delay_s, probability=0.2) for delay_s in (0.1, 1.0)]
    found += [WebhookFault(kind=kind, probability=0.2) for kind in ("duplicate", "reorder")]
    return found


async def post(running: Fleet, chat_id: str, kind: str, body: dict[str, object]) -> str:
    """
    Send as n8n does and return the command's id.
    """
    path = "/api/messages/send" if kind == "text" else f"/api/messages/send/{kind}"
    answer = await running.client.post(path, json={"chat_id": chat_id, **body})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["command_id"])


async def records(running: Fleet, ids: Sequence[str]) -> list[dict[str, Any]]:
    """
    Return the records as the API shows them.
    """
    return [(await running.client.get(f"/api/commands/{command_id}")).json() for command_id in ids]


def said(message: Message) -> str:
    """
    Return the text of a message that the chat shows, `picture` for one.
    """
    content = message.content.get("link", message.content)
    return "picture" if message.type == "image" else str(content["text"])


async def mixed(
    connections: Connections, redis_url: str, sandbox: Sandbox, folder: Path, *, seed: int, each: int
) -> dict[str, int]:
    """
    Send texts, links and pictures to all chats through every kind of fault, and check what the customers have seen.

    Returns how many were sent, and how many of them were found in the chat.
    """
    chance = random.Random(seed)
    chats = [chat.id for chat in sandbox.avito.chats]
    sandbox.clock.shift_s = chance.choice((0.0, 600.0, -600.0))
    uploaded = sandbox.avito.upload(100_000_001, "a.png", "image/png", PNG).id
    by_address = f"{sandbox.control_url}/files/chat/32x32/a.png"
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(fleet(connections, redis_url, sandbox, folder, **SETTINGS))
        await running.start_all(("ingress", "forwarder"), ("dispatcher",), ("dispatcher",))
        sandbox.avito.webhooks.subscribe(100_000_001, f"{running.url}/webhook/avito")
        for fault in troubles(chance):
            sandbox.faults.add(fault)

        async def talk(number: int, chat_id: str, wanted: list[str]) -> list[str]:
            # Every other chat is written to in bulk: within one class a chat keeps its order.
            more: dict[str, object] = {"priority": "bulk" if number % 2 else "interactive"}
            ids = []
            for text in wanted:
                if text == "picture":
                    body = chance.choice(({"image_id": uploaded}, {"image_url": by_address}))
                    ids.append(await post(running, chat_id, "image", more | body))
                elif text.startswith("https"):
                    ids.append(await post(running, chat_id, "link", more | {"url": text}))
                else:
                    ids.append(await post(running, chat_id, "text", more | {"text": text}))
            return ids

        wanted = {chat_id: [chance.choice((*TEXTS, "picture", "picture")) for _ in range(each)] for chat_id in chats}
        posted = await asyncio.gather(*(talk(n, chat_id, wanted[chat_id]) for n, chat_id in enumerate(chats)))
        await eventually(running.queue.empty, 90)
        found = 0
        for chat_id, ids in zip(chats, posted, strict=True):
            shown = sandbox.avito.sent(chat_id)
            told = await records(running, ids)
            assert [said(message) for message in shown] == wanted[chat_id], f"seed {seed}"
            assert [message.id for message in shown] == [record["message_id"] for record in told], f"seed {seed}"
            assert {"sent"} == {record["status"] for record in told}
            found += sum(record.get("reconciled") is True for record in told)
    return {"sent": len(sandbox.avito.sent()), "found": found}


async def test_every_message_is_shown_once_through_every_fault(
    connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """
    Equal texts, links, pictures; answers and echoes lost or late; reads that fail: once each, in order, told rightly.
    """
    told = await mixed(connections, redis_url, sandbox, tmp_path, seed=1, each=6)

    assert told["sent"] == 36
    assert told["found"] > 0


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(100, 106))
async def test_every_message_is_shown_once_for_many_seeds(
    connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path, seed: int
) -> None:
    """
    The same for long, with other chances each time.
    """
    assert await mixed(connections, redis_url, sandbox, tmp_path, seed=seed, each=15) != {}


async def test_a_person_decides_what_is_held(
    connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """
    With AMBIGUOUS_SENDS=hold a lost answer waits as `unknown`, for POST .../resolve or for `avito-gateway resolve`.
    """
    chats = [chat.id for chat in sandbox.avito.chats][:2]
    sandbox.faults.add(AvitoFault(kind="drop", taken=True, count=1, path=f"*/{chats[0]}/messages"))
    sandbox.faults.add(AvitoFault(kind="drop", count=1, path=f"*/{chats[1]}/messages"))
    settings = SETTINGS | {"AMBIGUOUS_SENDS": "hold"}
    async with fleet(connections, redis_url, sandbox, tmp_path, **settings) as running:
        await running.start("ingress", "dispatcher")
        ids = [await post(running, chat_id, "text", {"text": "hello"}) for chat_id in chats]

        async def all_held() -> bool:
            return {"unknown"} == {record["status"] for record in await records(running, ids)}

        await eventually(all_held)
        early = await running.client.post(f"/api/commands/{ids[0]}/resolve", json={"outcome": "not_sent", "x": 1})
        seen = {"outcome": "sent", "message_id": sandbox.avito.sent(chats[0])[0].id}
        resolved = await running.client.post(f"/api/commands/{ids[0]}/resolve", json=seen)
        again = await running.client.post(f"/api/commands/{ids[0]}/resolve", json=seen)
        code, out = await running.command("resolve", ids[1], "not-sent")
        await eventually(running.queue.empty)
        told = await records(running, ids)
        late, _ = await running.command("resolve", ids[1], "sent")

    assert (422, 200, 409) == (early.status_code, resolved.status_code, again.status_code)
    assert (True, "sent", ids[0]) == tuple(resolved.json()[name] for name in ("success", "status", "command_id"))
    assert (0, f"{ids[1]} is sent again.\n", 1) == (code, out, late)
    assert [1, 1] == [len(sandbox.avito.sent(chat_id)) for chat_id in chats]
    assert [sandbox.avito.sent(chat_id)[0].id for chat_id in chats] == [record["message_id"] for record in told]
    assert [True, None] == [record.get("resolved") for record in told]


@pytest.mark.parametrize("taken", [True, False])
async def test_a_worker_is_killed_between_the_request_and_its_end(
    connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path, taken: bool
) -> None:
    """
    The first of two equal texts is with Avito, or on its way, when its worker is killed: both are shown, once each.
    """
    chat_id = next(iter(sandbox.avito.chats)).id
    sandbox.faults.add(AvitoFault(kind="hang", taken=taken, count=1, method="POST", path="*/messages"))
    settings = SETTINGS | {"CONNECTION_TIMEOUT": "30"}
    async with fleet(connections, redis_url, sandbox, tmp_path, **settings) as running:
        _, victim = await running.start_all(("ingress",), ("dispatcher",))
        ids = [await post(running, chat_id, "text", {"text": "same"}) for _ in range(2)]
        await sandbox.journal.wait_for(lambda journal: bool(journal.list("avito", path="/messages")))
        if taken:
            await sandbox.avito.wait_for(lambda avito: len(avito.sent()) == 1)
        await running.stop(victim, signal.SIGKILL)
        await running.start("dispatcher")
        await eventually(running.queue.empty, 40)
        told = await records(running, ids)

    assert [message.id for message in sandbox.avito.sent()] == [record["message_id"] for record in told]
    assert [taken, False] == [record.get("reconciled", False) for record in told]
