"""
One Idempotency-Key from many connections at once, over several replicas: one command, and everybody learns of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from common.queue.entry import Entry
from common.queue.outcomes import Done, Outcome
from sandbox import Sandbox
from tests.harness import eventually
from tests.integration.ingress.conftest import API_KEY, CHAT, Gateway, Serve

CALLERS = 50
TEXT = {"chat_id": CHAT, "text": "once"}


@pytest.fixture(name="replicas")
async def _replicas(serve: Serve, sandbox: Sandbox) -> AsyncIterator[list[Gateway]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(serve(avito_base_url=sandbox.avito_url)) for _ in range(2)]


async def at_once(replicas: Sequence[Gateway], path: str, requests: Sequence[dict[str, Any]]) -> list[httpx.Response]:
    """
    Post all requests at the same time, each over a connection of its own that is open before.
    """
    start = asyncio.Event()
    opened = 0

    async def one(number: int, request: dict[str, Any]) -> httpx.Response:
        nonlocal opened
        async with httpx.AsyncClient(
            base_url=replicas[number % len(replicas)].http.base_url,
            headers={"X-API-Key": API_KEY},
            timeout=60.0,
            trust_env=False,
        ) as client:
            await client.get("/health/live")
            opened += 1
            await start.wait()
            return await client.post(path, **request)

    answers = [asyncio.create_task(one(number, request)) for number, request in enumerate(requests)]
    await eventually(lambda: opened == len(requests), 60)
    start.set()
    return list(await asyncio.gather(*answers))


def keyed(body: dict[str, Any], **more: str) -> dict[str, Any]:
    """
    Return a request with the key `k`.
    """
    return {"json": body, "headers": {"Idempotency-Key": "k", **more}}


async def test_fifty_connections_make_one_command(replicas: list[Gateway]) -> None:
    """
    Fifty equal requests with one key: one is the first, the others are told its command.
    """
    answers = await at_once(replicas, "/api/messages/send", [keyed(TEXT)] * CALLERS)

    assert {202} == {answer.status_code for answer in answers}
    assert {None: 1, "true": CALLERS - 1} == Counter(answer.headers.get("idempotency-replayed") for answer in answers)
    [entry] = await replicas[0].commands()
    assert {entry["id"]} == {answer.json()["command_id"] for answer in answers}


async def test_of_two_bodies_with_one_key_one_wins(replicas: list[Gateway]) -> None:
    """
    Requests with the same key and another body are 422, whoever came first.
    """
    bodies = [TEXT, TEXT | {"text": "other"}]

    answers = await at_once(replicas, "/api/messages/send", [keyed(bodies[n // 2 % 2]) for n in range(CALLERS)])

    [entry] = await replicas[0].commands()
    won = '{"text":"once"}' == entry["body"]
    statuses = [{answer.status_code for answer in answers[which::4] + answers[which + 1 :: 4]} for which in (0, 2)]
    assert [{202}, {422}] == (statuses if won else statuses[::-1])


async def test_fifty_connections_wait_for_one_end(replicas: list[Gateway]) -> None:
    """
    All wait for the same command: it is carried out once, and all get its message id with 200.
    """
    handled = []

    def send(entry: Entry) -> Outcome:
        handled.append(entry.id)
        return Done("sent", record={"response": '{"id":"m1"}'}, message_id="m1")

    requests = [keyed(TEXT, Prefer="wait=20")] * CALLERS
    async with replicas[0].dispatching(send):
        answers = await at_once(replicas, "/api/messages/send", requests)

    assert {(200, "m1")} == {(answer.status_code, answer.json()["message_id"]) for answer in answers}
    assert 1 == len(handled)


async def test_a_bulk_request_from_many_connections_is_stored_once(replicas: list[Gateway]) -> None:
    """
    Each of its messages is stored once, in order, though all the requests store at the same time.
    """
    messages = [{"chat_id": CHAT, "text": f"{number}"} for number in range(300)]

    answers = await at_once(replicas, "/api/messages/send/bulk", [keyed({"messages": messages})] * 10)

    entries = await replicas[0].entries(replicas[0].keys.bulk.stream)
    assert [f'{{"text":"{number}"}}' for number in range(300)] == [entry["body"] for entry in entries]
    assert {202} == {answer.status_code for answer in answers}
    ids = [entry["id"] for entry in entries]
    assert all(ids == [one["command_id"] for one in answer.json()["commands"]] for answer in answers)


async def test_a_file_from_many_connections_is_one_picture(replicas: list[Gateway]) -> None:
    """
    A file is known by its content, whatever image id its upload got.
    """
    form = {
        "data": {"chat_id": CHAT},
        "files": {"file": ("a.png", b"\x89PNG\r\n\x1a\n" + b"0" * 100, "image/png")},
        "headers": {"Idempotency-Key": "k"},
    }

    answers = await at_once(replicas, "/api/messages/send/image", [form] * 10)

    assert {202} == {answer.status_code for answer in answers}
    [entry] = await replicas[0].commands()
    assert {entry["id"]} == {answer.json()["command_id"] for answer in answers}


async def test_a_replay_while_it_is_being_sent(replicas: list[Gateway]) -> None:
    """
    While the first is being sent, a repetition gets the same command: 202 at once, or its end if it waits.
    """
    release = asyncio.Event()

    async def send(entry: Entry) -> Outcome:
        await release.wait()
        return Done("sent", message_id="m1")

    first, second = replicas
    async with first.dispatching(send):
        command_id = (await first.http.post("/api/messages/send", **keyed(TEXT))).json()["command_id"]

        async def is_being_sent() -> bool:
            shown = (await second.http.get(f"/api/commands/{command_id}")).json()
            return bool(shown["status"] == "sending")

        await eventually(is_being_sent)
        at_once = await second.http.post("/api/messages/send", **keyed(TEXT))
        waiting = asyncio.create_task(second.http.post("/api/messages/send", **keyed(TEXT, Prefer="wait=20")))
        late = asyncio.create_task(second.http.post("/api/messages/send", **keyed(TEXT, Prefer="wait=1")))
        given_up = await late
        release.set()
        ended = await waiting

    assert [202, 202, 200] == [answer.status_code for answer in (at_once, given_up, ended)]
    assert {(command_id, "true")} == {
        (answer.json()["command_id"], answer.headers["idempotency-replayed"]) for answer in (at_once, given_up, ended)
    }
    assert "m1" == ended.json()["message_id"]


async def test_a_caller_that_hangs_up_changes_nothing(replicas: list[Gateway]) -> None:
    """
    Its command is carried out, nobody waits for it any more, and a repetition gets the end.
    """
    release = asyncio.Event()

    async def send(entry: Entry) -> Outcome:
        await release.wait()
        return Done("sent", message_id="m1")

    first, _ = replicas
    async with first.dispatching(send):
        with capture_logs() as logs:
            waiting = first.services.records._ends._listeners
            leaving = asyncio.create_task(first.http.post("/api/messages/send", **keyed(TEXT, Prefer="wait=25")))
            await eventually(lambda: bool(waiting))
            leaving.cancel()
            await eventually(lambda: not waiting)
            release.set()
            again = await first.http.post("/api/messages/send", **keyed(TEXT, Prefer="wait=20"))

    assert (200, "m1", "true") == (
        again.status_code,
        again.json()["message_id"],
        again.headers["idempotency-replayed"],
    )
    assert [] == [line for line in logs if line["log_level"] in ("warning", "error")]
