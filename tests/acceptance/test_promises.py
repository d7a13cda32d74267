"""
The promises, shown with the program as processes against the sandbox.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from common.queue.connection import Connections
from sandbox import AvitoFault, N8nFault, Options, Sandbox
from tests.fleet import Fleet, fleet
from tests.harness import eventually

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads"
FAST = {
    "RATE_LIMIT_REQUESTS": "1000",
    "RATE_LIMIT_WINDOW": "1",
    "RETRY_MIN_WAIT": "0.05",
    "RETRY_MAX_WAIT": "0.2",
    "CONNECTION_TIMEOUT": "5",
}

Start = Callable[..., AbstractAsyncContextManager[Fleet]]


@pytest.fixture(name="sandbox_options")
def _sandbox_options() -> Options:
    return Options(chats=10)


@pytest.fixture(name="start")
def _start(connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path) -> Start:
    def start(**environment: str) -> AbstractAsyncContextManager[Fleet]:
        return fleet(connections, redis_url, sandbox, tmp_path, **environment)

    return start


def chats_of(sandbox: Sandbox) -> list[str]:
    """
    Return the ids of the seeded chats.
    """
    return [chat.id for chat in sandbox.avito.chats]


def shown(sandbox: Sandbox) -> dict[str, list[str]]:
    """
    Return the texts that each chat shows, in order.
    """
    texts: dict[str, list[str]] = defaultdict(list)
    for message in sandbox.avito.sent():
        texts[message.chat_id].append(message.content["text"])
    return texts


async def post_in_order(running: Fleet, count: int) -> dict[str, list[str]]:
    """
    Post texts to all chats in turn and return them by chat.
    """
    chats = chats_of(running.sandbox)
    posted: dict[str, list[str]] = defaultdict(list)
    for n in range(count):
        chat_id = chats[n % len(chats)]
        await running.send(chat_id, f"text {n}")
        posted[chat_id].append(f"text {n}")
    return posted


async def test_every_accepted_message_is_shown_once_and_in_order(start: Start, sandbox: Sandbox) -> None:
    """
    200 messages over 10 chats with 5 % 5xx, 5 % dropped answers and one 429: each once, each chat in order.
    """
    texts = {"method": "POST", "path": "*/messages"}
    sandbox.faults.add(AvitoFault(kind="status", status=503, probability=0.025, **texts))
    sandbox.faults.add(AvitoFault(kind="status", status=500, taken=True, probability=0.025, **texts))
    sandbox.faults.add(AvitoFault(kind="drop", taken=True, probability=0.05, **texts))
    sandbox.faults.add(AvitoFault(kind="status", status=429, retry_after_s=1, skip=50, count=1, **texts))
    async with start(**FAST, MAX_RETRIES="8") as running:
        await running.start("ingress", "dispatcher", "forwarder")
        posted = await post_in_order(running, 200)
        await eventually(running.queue.empty, 60)

    attempts = sandbox.journal.list("avito", path="/messages")
    assert {200, 429, 500, 503, None} == {attempt.status for attempt in attempts if attempt.method == "POST"}
    assert posted == shown(sandbox)


@pytest.mark.timeout(180)
async def test_three_dispatchers_stay_within_the_limit(start: Start, sandbox: Sandbox) -> None:
    """
    300 queued sends, 3 processes: no window of the sandbox's clock above the limit, no more connections than allowed.
    """
    sandbox.faults.add(AvitoFault(kind="latency", delay_s=0.01, delay_max_s=0.15))
    limits = {"RATE_LIMIT_REQUESTS": "40", "RATE_LIMIT_WINDOW": "2", "MAX_CONNECTIONS": "6", "BULK_RESERVE": "2"}
    async with start(**FAST | limits) as running:
        await running.start("ingress")
        posted = await post_in_order(running, 300)
        began_s = time.monotonic()
        await asyncio.gather(*(running.start("dispatcher") for _ in range(3)))
        await eventually(running.queue.empty, 120)
        took_s = time.monotonic() - began_s

    assert posted == shown(sandbox)
    assert sandbox.journal.worst(2.0) <= 40
    assert sandbox.journal.open_max["avito"] <= 6
    # The limit is used, not only kept: 300 at 20 a second, and the start of three processes.
    assert took_s < 45


def webhooks() -> list[dict[str, Any]]:
    """
    Return every webhook sample.
    """
    found: list[dict[str, Any]] = []
    for path in sorted(PAYLOADS.glob("*webhook*.json")):
        loaded = json.loads(path.read_text(encoding="utf-8"))
        found += loaded if isinstance(loaded, list) else [loaded]
    return found


async def test_every_sample_arrives_normalised_and_a_repeated_one_once(start: Start, sandbox: Sandbox) -> None:
    """
    Each webhook sample is posted three times; n8n gets each once, but for echoes and system messages.
    """
    samples = webhooks()
    wanted = []
    for sample in samples:
        value = sample["payload"]["value"]
        if value["author_id"] != value["user_id"] and value["type"] != "system":
            wanted.append(value)
    async with start(**FAST, AVITO_USER_ID="353000001") as running:
        await running.start("ingress", "forwarder")
        for sample in [*samples, *random.sample(samples, len(samples)), *samples]:
            answer = await running.webhook(sample)
            assert (200, {"ok": True}) == (answer.status_code, answer.json())
        await eventually(running.queue.empty, 30)
        received = [call.json for call in sandbox.n8n.received]

    assert [value["id"] for value in wanted] == sorted(
        (event["meta"]["external_message_id"] for event in received),
        key=[value["id"] for value in wanted].index,
    )
    by_id = {event["meta"]["external_message_id"]: event for event in received}
    for value in wanted:
        event = by_id[value["id"]]
        assert ("avito", value["chat_id"], str(value["author_id"]), value["type"], value) == (
            event["channel"],
            event["external_chat_id"],
            event["external_user_id"],
            event["meta"]["original_media_type"],
            event["meta"]["raw"],
        )


async def test_n8n_that_is_not_ready_gets_everything_later_in_order(start: Start, sandbox: Sandbox) -> None:
    """
    While n8n answers 404 "not registered" nothing is lost, nobody loses an attempt, and the order per chat stays.
    """
    refusal = sandbox.faults.add(N8nFault(kind="not_registered"))
    async with start(**FAST) as running:
        await running.start("ingress", "forwarder")
        posted: dict[str, list[str]] = defaultdict(list)
        for n in range(40):
            chat_id = chats_of(sandbox)[n % 4]
            message = sandbox.avito.receive(chat_id, f"text {n}", announce=False)
            sample = webhooks()[0]
            value = {"id": message.id, "chat_id": chat_id, "user_id": 100000001, "content": {"text": f"text {n}"}}
            sample["payload"]["value"] |= value
            assert (await running.webhook(sample)).status_code == 200
            posted[chat_id].append(f"text {n}")
        await eventually(lambda: bool(sandbox.journal.list("n8n")))
        assert not await running.queue.empty()
        sandbox.faults.remove(refusal)
        await eventually(running.queue.empty, 60)

    got: dict[str, list[str]] = defaultdict(list)
    delivered = sandbox.n8n.received
    for call in delivered:
        got[call.json["external_chat_id"]].append(call.json["text"])
    assert posted == got
    assert {"1"} == {call.headers["webhook-attempt"] for call in delivered}


@pytest.mark.timeout(120)
async def test_a_killed_worker_loses_nothing(start: Start, sandbox: Sandbox) -> None:
    """
    A kill -9 in the middle of sending: what it held goes on within 15 s, and every message is shown once, in order.
    """
    sandbox.faults.add(AvitoFault(kind="latency", delay_s=0.3, delay_max_s=0.4, path="*/messages"))
    # After ten texts nothing is answered any more: who holds something for longer than an answer takes, keeps it.
    silence = sandbox.faults.add(AvitoFault(kind="hang", taken=True, method="POST", path="*/messages", skip=10))
    async with start(**FAST | {"CONNECTION_TIMEOUT": "10"}) as running:
        _, *workers = await running.start_all(("ingress",), ("dispatcher",), ("dispatcher",))
        posted = await post_in_order(running, 300)

        holders: list[asyncio.subprocess.Process] = []

        async def held() -> bool:
            holders[:] = [worker for worker in workers if await running.held_by(worker, for_s=1.0)]
            return bool(holders)

        await eventually(held)
        victim = holders[0]
        await running.stop(victim, signal.SIGKILL)
        killed_s = time.monotonic()
        sandbox.faults.remove(silence)
        assert await running.held_by(victim) > 0

        async def taken_over() -> bool:
            depths = await running.queue.records.depths("100000001")
            return not await running.held_by(victim) and depths[0].retrying == 0

        await eventually(taken_over, 40)
        went_on_s = time.monotonic() - killed_s
        await eventually(running.queue.empty, 60)

    assert posted == shown(sandbox)
    assert went_on_s < 15


async def test_a_stopped_worker_repeats_nothing_and_loses_nothing(start: Start, sandbox: Sandbox) -> None:
    """
    SIGTERM in the middle: exit code 0, what was finished is not sent again, the rest is sent by the next worker.
    """
    sandbox.faults.add(AvitoFault(kind="latency", delay_s=0.1, delay_max_s=0.2, path="*/messages"))
    async with start(**FAST) as running:
        await running.start("ingress")
        first = await running.start("dispatcher")
        posted = await post_in_order(running, 60)
        await sandbox.avito.wait_for(lambda avito: len(avito.sent()) >= 10, timeout_s=20)
        assert await running.stop(first) == 0
        assert not await running.queue.empty()
        await running.start("dispatcher")
        await eventually(running.queue.empty, 60)

    assert posted == shown(sandbox)
