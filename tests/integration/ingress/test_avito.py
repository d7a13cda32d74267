"""
The addresses that ask Avito at once, against the Avito stand-in.
"""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import AvitoFault, Sandbox
from tests.conftest import USER_ID
from tests.integration.ingress.conftest import Gateway, Serve

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100


def first_chat(sandbox: Sandbox) -> str:
    """
    Return the id of the first demo chat.
    """
    return str(next(iter(sandbox.avito.chats)).id)


async def test_chats(with_avito: Gateway, sandbox: Sandbox) -> None:
    """
    Chats are listed as Avito gives them, a page at a time.
    """
    answer = await with_avito.http.get("/api/chats", params={"limit": 2, "item_ids": "", "unread_only": "false"})

    body = answer.json()
    assert (200, True, 2, True) == (answer.status_code, body["success"], body["count"], body["has_more"])
    assert {"id", "users", "context"} <= body["chats"][0].keys()


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/chats?limit=0", "limit"),
        ("/api/chats?limit=101", "limit"),
        ("/api/chats?offset=1001", "offset"),
        ("/api/chats?limit=x", "limit"),
        ("/api/chats?item_ids=1,x", "item_ids"),
        ("/api/chats?chat_types=u2x", "chat_types"),
        ("/api/chats?unread_only=perhaps", "unread_only"),
        ("/api/chats/search", "item_id"),
        ("/api/chats/search?item_id=-1", "item_id"),
        ("/api/messages/unread/all?limit=1000", "limit"),
        ("/api/chats/a%20b", "chat_id"),
        (f"/api/chats/{'x' * 200}/messages", "chat_id"),
    ],
)
async def test_bad_parameters(gateway: Gateway, path: str, field: str) -> None:
    """
    A parameter that is not valid is 422 and named; Avito is not asked.
    """
    answer = await gateway.http.get(path)

    assert (422, "validation_failed", [field]) == (
        answer.status_code,
        answer.json()["code"],
        [error["field"] for error in answer.json()["errors"]],
    )


async def test_chat_and_messages(with_avito: Gateway, sandbox: Sandbox) -> None:
    """
    A chat and its messages are read without marking them as read.
    """
    chat_id = first_chat(sandbox)
    sandbox.avito.receive(chat_id, text="Добрый день")

    chat = await with_avito.http.get(f"/api/chats/{chat_id}")
    messages = await with_avito.http.get(f"/api/chats/{chat_id}/messages", params={"limit": 1})

    assert (200, chat_id) == (chat.status_code, chat.json()["chat"]["id"])
    body = messages.json()
    assert (200, 1, {"text": "Добрый день"}) == (messages.status_code, body["count"], body["messages"][0]["content"])


async def test_unknown_chat(with_avito: Gateway) -> None:
    """
    A chat Avito does not know is 404, with what Avito says.
    """
    answer = await with_avito.http.get("/api/chats/u2i-nobody")

    assert (404, "avito_not_found", 404) == (
        answer.status_code,
        answer.json()["code"],
        answer.json()["avito_status"],
    )


async def test_search(with_avito: Gateway, sandbox: Sandbox) -> None:
    """
    All chats about an ad are found, over several pages.
    """
    for _ in range(120):
        sandbox.avito.create_chat(item_id=7_463_700_009)

    answer = await with_avito.http.get("/api/chats/search", params={"item_id": 7_463_700_009})

    body = answer.json()
    assert (200, 120, False) == (answer.status_code, body["count"], body["truncated"])


async def test_unread(with_avito: Gateway, sandbox: Sandbox) -> None:
    """
    Unread chats and messages are counted and read; many chats are counted in part, and the answer says so.
    """
    chats = [sandbox.avito.create_chat().id for _ in range(3)]
    for number, chat_id in enumerate(chats):
        for _ in range(number + 1):
            sandbox.avito.receive(chat_id, text="?")

    count = (await with_avito.http.get("/api/chats/unread/count")).json()
    messages = (await with_avito.http.get("/api/messages/unread/all")).json()
    part = (await with_avito.http.get("/api/messages/unread/all", params={"limit": 1})).json()

    expected = {one["chat"]["id"]: len(one["messages"]) for one in messages["data"]}
    assert {chat_id: number + 1 for number, chat_id in enumerate(chats)}.items() <= expected.items()
    assert (True, len(expected), sum(expected.values()), True) == (
        count["success"],
        count["unread_chats"],
        count["total_unread"],
        count["exact"],
    )
    assert (len(expected), False) == (messages["chats_with_unread"], messages["truncated"])
    assert (1, len(expected), True) == (len(part["data"]), part["chats_with_unread"], part["truncated"])


async def test_subscriptions(serve: Serve, sandbox: Sandbox) -> None:
    """
    An address is registered with the secret at its end, listed, and removed by the address without it.
    """
    url = "https://gateway.example.com/webhook/avito"
    async with serve(avito_base_url=sandbox.avito_url, webhook_secret="s3cret") as gateway:
        subscribed = await gateway.http.post("/api/webhook/subscribe", json={"url": url, "version": "2"})
        listed = await gateway.http.get("/api/webhook/subscriptions")
        removed = await gateway.http.post("/api/webhook/unsubscribe", json={"url": url})
        empty = await gateway.http.get("/api/webhook/subscriptions")
        all_removed = await gateway.http.post("/api/webhook/unsubscribe")

    body = subscribed.json()
    assert (200, True, f"{url}/s3cret", "3") == (
        subscribed.status_code,
        body["success"],
        body["url"],
        body["version"],
    )
    assert "version 2 was asked for" in body["note"]
    assert [f"{url}/s3cret"] == [one["url"] for one in listed.json()["subscriptions"]]
    assert (200, [f"{url}/s3cret"]) == (removed.status_code, removed.json()["urls"])
    assert [] == empty.json()["subscriptions"]
    assert (200, []) == (all_removed.status_code, all_removed.json()["urls"])


async def test_token(with_avito: Gateway) -> None:
    """
    The token is shown masked, and a refresh gives another one.
    """
    none = await with_avito.http.get("/api/token")
    refreshed = await with_avito.http.post("/api/token/refresh")
    shown = await with_avito.http.get("/api/token")

    assert (200, None) == (none.status_code, none.json()["token"])
    assert (200, True, refreshed.json()["token"]) == (
        refreshed.status_code,
        refreshed.json()["success"],
        shown.json()["token"],
    )
    stored = await with_avito.connections.commands.get(with_avito.keys.token)
    assert "..." in shown.json()["token"]
    assert shown.json()["token"] not in str(stored)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (AvitoFault(kind="status", status=500, path="*/chats"), 502, "avito_unavailable"),
        (AvitoFault(kind="drop", path="*/chats"), 502, "avito_unavailable"),
        (AvitoFault(kind="status", status=402, path="*/chats"), 503, "avito_blocked"),
        (AvitoFault(kind="status", status=403, path="*/chats"), 503, "avito_blocked"),
        (AvitoFault(kind="status", status=400, path="*/chats"), 422, "avito_invalid_request"),
        (AvitoFault(kind="status", status=405, path="*/chats"), 502, "avito_refused"),
        (AvitoFault(kind="status", status=429, path="*/chats"), 429, "rate_limited"),
    ],
    ids=lambda value: str(value) if isinstance(value, str | int) else None,
)
async def test_what_avito_says_becomes_a_problem(
    with_avito: Gateway, sandbox: Sandbox, fault: AvitoFault, status: int, code: str
) -> None:
    """
    Each way in which Avito fails has its status and code, the second time too, when the gate is paused.
    """
    sandbox.faults.add(fault)
    answer = await with_avito.http.get("/api/chats")

    assert (status, code) == (answer.status_code, answer.json()["code"])
    assert (status in (429, 503)) <= ("retry-after" in answer.headers)
    if code == "avito_blocked":
        again = await with_avito.http.get("/api/chats")
        assert (503, "avito_blocked") == (again.status_code, again.json()["code"])
        health = await with_avito.http.get("/health")
        assert (200, False) == (health.status_code, health.json()["checks"]["gate"]["ok"])
        assert str(fault.status) in health.json()["checks"]["gate"]["paused"][USER_ID]["reason"]


async def test_wrong_credentials(serve: Serve, sandbox: Sandbox) -> None:
    """
    A refresh with a wrong secret says so.
    """
    async with serve(avito_base_url=sandbox.avito_url, avito_client_secret="wrong") as gateway:
        answer = await gateway.http.post("/api/token/refresh")

    assert (502, "avito_token_refused") == (answer.status_code, answer.json()["code"])


async def test_used_up_limit(serve: Serve, sandbox: Sandbox) -> None:
    """
    A read that gets no token in the time it may wait is 429 with Retry-After.
    """
    async with serve(
        avito_base_url=sandbox.avito_url, rate_limit_requests=2, rate_limit_window=60, bulk_reserve=0
    ) as gateway:
        statuses = [(await gateway.http.get("/api/chats")).status_code for _ in range(2)]
        answer = await gateway.http.get("/api/chats")

    assert [200, 429] == [statuses[0], answer.status_code]
    assert 0 < int(answer.headers["retry-after"]) <= 62
    assert "rate_limited" == answer.json()["code"]


async def upload(gateway: Gateway, chat_id: str, content: bytes = PNG, **fields: str) -> Any:
    """
    Send an image as a form.
    """
    return await gateway.http.post(
        "/api/messages/send/image", data={"chat_id": chat_id} | fields, files={"file": ("a.txt", content, "text/plain")}
    )


async def test_uploaded_image(with_avito: Gateway, sandbox: Sandbox) -> None:
    """
    A file goes to Avito at once and is queued by its image id; the same file with the same key is one command.
    """
    chat_id = first_chat(sandbox)
    first = await upload(with_avito, chat_id, idempotency_key="image", expires_in="60")
    again = await upload(with_avito, chat_id, idempotency_key="image", expires_in="60")
    other = await upload(with_avito, chat_id, PNG + b"1", idempotency_key="image", expires_in="60")

    assert [202, 202, 422] == [answer.status_code for answer in (first, again, other)]
    assert first.json()["command_id"] == again.json()["command_id"]
    (entry,) = await with_avito.commands()
    assert "image" == entry["kind"]
    assert '"image_id"' in entry["body"]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "validation_failed"),
        (b"<svg/>", 415, "unsupported_image"),
        (b"RIFF0000WEBP", 415, "unsupported_image"),
        (PNG + b"0" * (24 * 1024 * 1024), 413, "image_too_large"),
        (PNG + b"0" * (25 * 1024 * 1024), 413, "image_too_large"),
    ],
    ids=["empty", "svg", "webp", "over 24 MB", "over 25 MB"],
)
async def test_bad_files(with_avito: Gateway, sandbox: Sandbox, content: bytes, status: int, code: str) -> None:
    """
    What is no image Avito takes is refused before Avito is asked.
    """
    answer = await upload(with_avito, first_chat(sandbox), content)

    assert (status, code) == (answer.status_code, answer.json()["code"])
    assert [] == await with_avito.commands()


BOUNDARY = {"Content-Type": "multipart/form-data; boundary=b"}
DISPOSITION = b'--b\r\nContent-Disposition: form-data; name="chat_id"'


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        ({"Content-Type": "multipart/form-data"}, b"x", 400, "bad_multipart"),
        ({"Content-Type": "multipart/form-data; boundary="}, b"x", 400, "bad_multipart"),
        (BOUNDARY, b"", 422, "validation_failed"),
        (BOUNDARY, b"no form at all", 400, "bad_multipart"),
        (BOUNDARY, DISPOSITION + b"\r\n\r\n\xff\xfe\r\n--b--\r\n", 400, "bad_multipart"),
        (
            BOUNDARY,
            DISPOSITION + b"\r\nContent-Type: text/plain; charset=nothing\r\n\r\nx\r\n--b--\r\n",
            400,
            "bad_multipart",
        ),
        (BOUNDARY, DISPOSITION + b"\r\n\r\nx\r\n--b--\r\n", 422, "validation_failed"),
    ],
    ids=["no boundary", "empty boundary", "empty", "no form", "not UTF-8", "unknown charset", "no file"],
)
async def test_broken_forms(gateway: Gateway, headers: dict[str, str], content: bytes, status: int, code: str) -> None:
    """
    A form that cannot be read is a problem, never 500.
    """
    answer = await gateway.http.post("/api/messages/send/image", content=content, headers=headers)

    assert (status, code) == (answer.status_code, answer.json()["code"])
