"""
Accepting sends: what is stored, what is answered, and what is refused with nothing stored.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.queue.entry import Entry
from common.queue.outcomes import Dead, Done, Outcome
from tests.integration.ingress.conftest import CHAT, Gateway, Serve


async def test_text_is_in_the_stream_when_202_comes(gateway: Gateway) -> None:
    """
    A 202 names a command whose entry is in the stream.
    """
    answer = await gateway.http.post("/api/messages/send", json={"chat_id": CHAT, "text": "Привет"})

    body = answer.json()
    command_id = body.pop("command_id")
    assert 202 == answer.status_code
    assert {
        "success": True,
        "status": "queued",
        "chat_id": CHAT,
        "message": body["message"],
        "eta_seconds": 0.0,
        "links": {"self": f"/api/commands/{command_id}"},
    } == body
    (entry,) = await gateway.commands()
    assert (command_id, "text", CHAT, {"text": "Привет"}) == (
        entry["id"],
        entry["kind"],
        entry["chat_id"],
        json.loads(entry["body"]),
    )


async def test_body_without_content_type_is_understood(gateway: Gateway) -> None:
    """
    JSON is JSON, whatever the Content-Type says.
    """
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    content = json.dumps({"chat_id": CHAT, "text": "x"})

    answer = await gateway.http.post("/api/messages/send", content=content, headers=headers)

    assert 202 == answer.status_code


@pytest.mark.parametrize(
    ("path", "sent", "kind", "body"),
    [
        ("/api/messages/send/link", {"url": "https://a.example/x"}, "link", {"url": "https://a.example/x"}),
        (
            "/api/messages/send/link",
            {"url": "https://a.example/x", "text": "See"},
            "link",
            {"url": "https://a.example/x", "text": "See"},
        ),
        ("/api/messages/send/image", {"image_id": "12345.abc"}, "image", {"image_id": "12345.abc"}),
        (
            "/api/messages/send/image",
            {"image_url": "https://a.example/x.png"},
            "image",
            {"image_url": "https://a.example/x.png"},
        ),
    ],
)
async def test_kinds(gateway: Gateway, path: str, sent: dict[str, Any], kind: str, body: dict[str, Any]) -> None:
    """
    Links and images are commands of their own kind.
    """
    answer = await gateway.http.post(path, json={"chat_id": CHAT} | sent)

    (entry,) = await gateway.commands()
    assert (202, kind, body) == (answer.status_code, entry["kind"], json.loads(entry["body"]))


async def test_read_and_delete(gateway: Gateway) -> None:
    """
    Marking as read and deleting are queued, too, and need no body.
    """
    read = await gateway.http.post(f"/api/chats/{CHAT}/read")
    delete = await gateway.http.delete(f"/api/chats/{CHAT}/messages/e1db89671023344e771c480b69a48f4f")

    assert [202, 202] == [read.status_code, delete.status_code]
    assert [("read", "{}"), ("delete", '{"message_id":"e1db89671023344e771c480b69a48f4f"}')] == [
        (entry["kind"], entry["body"]) for entry in await gateway.commands()
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "fields"),
    [
        ("/api/messages/send", b"{", 400, "bad_json", []),
        ("/api/messages/send", b'{"chat_id": "\xff"}', 400, "bad_json", []),
        ("/api/messages/send", b"[" * 100_000, 400, "bad_json", []),
        ("/api/messages/send", b"", 422, "validation_failed", ["(body)"]),
        ("/api/messages/send", b"[]", 422, "validation_failed", ["(body)"]),
        ("/api/messages/send", {}, 422, "validation_failed", ["chat_id", "text"]),
        ("/api/messages/send", {"chat_id": 5, "text": True}, 422, "validation_failed", ["chat_id", "text"]),
        ("/api/messages/send", {"chat_id": CHAT, "text": ""}, 422, "validation_failed", ["text"]),
        ("/api/messages/send", {"chat_id": CHAT, "text": "  \n"}, 422, "validation_failed", ["text"]),
        ("/api/messages/send", {"chat_id": CHAT, "text": "x" * 1001}, 422, "validation_failed", ["text"]),
        ("/api/messages/send", {"chat_id": CHAT, "text": "x", "typo": 1}, 422, "validation_failed", ["typo"]),
        ("/api/messages/send", {"chat_id": "a b", "text": "x"}, 422, "validation_failed", ["chat_id"]),
        ("/api/messages/send", {"chat_id": CHAT, "text": "x", "split": "yes"}, 422, "validation_failed", ["split"]),
        ("/api/messages/send", {"chat_id": CHAT, "text": "x", "send_at": 1e300}, 422, "validation_failed", ["send_at"]),
        (
            "/api/messages/send",
            {"chat_id": CHAT, "text": "x", "callback_url": "https://evil.example/"},
            422,
            "callback_not_allowed",
            ["callback_url"],
        ),
        ("/api/messages/send/link", {"chat_id": CHAT, "url": "ftp://a/b"}, 422, "validation_failed", ["url"]),
        ("/api/messages/send/image", {"chat_id": CHAT}, 422, "validation_failed", ["image_url"]),
        ("/api/messages/send/image", b"", 422, "validation_failed", ["(body)"]),
        (
            "/api/messages/send/image",
            {"chat_id": CHAT, "image_url": "file:///etc/passwd"},
            422,
            "validation_failed",
            ["image_url"],
        ),
        ("/api/messages/send/bulk", {"messages": []}, 422, "validation_failed", ["messages"]),
        (
            "/api/messages/send/bulk",
            {"messages": [{"chat_id": CHAT, "text": "x"}] * 3 + [{"chat_id": CHAT, "text": 5}]},
            422,
            "validation_failed",
            ["messages[3].text"],
        ),
    ],
)
async def test_bad_bodies_store_nothing(
    gateway: Gateway, path: str, body: Any, status: int, code: str, fields: list[str]
) -> None:
    """
    What is not valid is a problem that names its fields, and nothing is stored.
    """
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    answer = await gateway.http.post(path, content=content, headers={"Content-Type": "application/json"})

    problem = answer.json()
    assert (status, code, "application/problem+json") == (
        answer.status_code,
        problem["code"],
        answer.headers["content-type"],
    )
    assert fields == [error["field"] for error in problem.get("errors", [])]
    assert {"success", "type", "title", "status", "detail", "code", "message"} <= problem.keys()
    assert [] == await gateway.commands()
    assert [] == await gateway.entries(gateway.keys.bulk.stream)


async def test_split_sends_parts_in_order(gateway: Gateway) -> None:
    """
    A long text with `split` becomes several commands of one chat, in order.
    """
    text = " ".join(f"word{number}" for number in range(400))

    answer = await gateway.http.post("/api/messages/send", json={"chat_id": CHAT, "text": text, "split": True})

    entries = await gateway.commands()
    texts = [json.loads(entry["body"])["text"] for entry in entries]
    assert (202, text) == (answer.status_code, " ".join(texts))
    assert all(len(part) <= 1000 for part in texts)
    assert [entry["id"] for entry in entries] == [one["command_id"] for one in answer.json()["commands"]]


async def test_huge_body_is_refused(gateway: Gateway) -> None:
    """
    More than 1 MiB is 413, as a problem.
    """
    answer = await gateway.http.post("/api/messages/send", content=b" " * (1024 * 1024 + 1))

    assert (413, "body_too_large") == (answer.status_code, answer.json()["code"])


async def test_same_key_gives_the_first_answer(gateway: Gateway) -> None:
    """
    The same Idempotency-Key with the same body is one command; header and body are the same key.
    """
    body = {"chat_id": CHAT, "text": "once"}
    first = await gateway.http.post("/api/messages/send", json=body, headers={"Idempotency-Key": "k 1"})
    second = await gateway.http.post("/api/messages/send", json=body | {"idempotency_key": "k 1"})

    assert [202, 202] == [first.status_code, second.status_code]
    assert first.json()["command_id"] == second.json()["command_id"]
    assert [None, "true"] == [answer.headers.get("idempotency-replayed") for answer in (first, second)]
    assert 1 == len(await gateway.commands())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/messages/send", {"chat_id": CHAT, "text": "other"}),
        ("/api/messages/send", {"chat_id": CHAT, "text": "x" * 1500, "split": True}),
        ("/api/messages/send/link", {"chat_id": CHAT, "url": "https://a.example/"}),
        ("/api/messages/send/bulk", {"messages": [{"chat_id": CHAT, "text": "once"}] * 3}),
        (f"/api/chats/{CHAT}/read", {}),
    ],
)
async def test_same_key_with_another_body_is_refused(gateway: Gateway, path: str, body: dict[str, Any]) -> None:
    """
    A key belongs to one request: another body, or another address, is 422 and stores nothing.
    """
    headers = {"Idempotency-Key": "k"}
    await gateway.http.post("/api/messages/send", json={"chat_id": CHAT, "text": "once"}, headers=headers)

    answer = await gateway.http.post(path, json=body, headers=headers)

    assert (422, "idempotency_conflict") == (answer.status_code, answer.json()["code"])
    assert 1 == len(await gateway.commands())
    assert [] == await gateway.entries(gateway.keys.bulk.stream)


async def test_bulk_is_stored_whole(gateway: Gateway) -> None:
    """
    A bulk request is stored in order in the bulk stream, and repeated with its key it adds nothing.
    """
    messages = [{"chat_id": f"{CHAT}{number}", "text": f"text {number}"} for number in range(2500)]
    headers = {"Idempotency-Key": "campaign"}

    first = await gateway.http.post("/api/messages/send/bulk", json={"messages": messages}, headers=headers)
    again = await gateway.http.post("/api/messages/send/bulk", json={"messages": messages}, headers=headers)

    assert (202, 2500, 2500) == (first.status_code, first.json()["total"], first.json()["accepted"])
    entries = await gateway.entries(gateway.keys.bulk.stream)
    assert [message["chat_id"] for message in messages] == [entry["chat_id"] for entry in entries]
    assert first.json()["commands"] == again.json()["commands"]
    assert first.json()["batch_id"] == again.json()["batch_id"]
    assert "true" == again.headers["idempotency-replayed"]


async def test_a_full_queue_is_429_and_completes_later(serve: Serve) -> None:
    """
    What would wait longer than MAX_QUEUE_WAIT is refused with Retry-After; the problem names the key that completes.
    """
    async with serve(rate_limit_requests=10, rate_limit_window=10, max_queue_wait=5, bulk_reserve=1) as gateway:
        messages = [{"chat_id": CHAT, "text": f"{number}"} for number in range(8)]

        answer = await gateway.http.post("/api/messages/send/bulk", json={"messages": messages})

        problem = answer.json()
        assert (429, "queue_full", 5) == (answer.status_code, problem["code"], problem["accepted"])
        assert int(answer.headers["retry-after"]) == problem["retry_after"]
        await gateway.connections.commands.xtrim(gateway.keys.bulk.stream, maxlen=0, approximate=False)
        headers = {"Idempotency-Key": problem["idempotency_key"]}
        again = await gateway.http.post("/api/messages/send/bulk", json={"messages": messages}, headers=headers)
        assert (202, 8) == (again.status_code, again.json()["accepted"])
        assert 3 == len(await gateway.entries(gateway.keys.bulk.stream))


async def test_send_at_is_scheduled(gateway: Gateway) -> None:
    """
    A send for a given time is `scheduled`, and `expires_in` counts from that time.
    """
    body = {"chat_id": CHAT, "text": "later", "send_at": "2026-12-31T23:59:59+03:00", "expires_in": 60}

    answer = await gateway.http.post("/api/messages/send", json=body)

    (entry,) = await gateway.commands()
    assert (202, "scheduled") == (answer.status_code, answer.json()["status"])
    assert ("1798750799000", "1798750859000") == (entry["not_before"], entry["expires_at"])


def _sent(entry: Entry) -> Outcome:
    return Done("sent", record={"response": '{"id":"m1"}'}, message_id=f"m-{entry.id}")


async def test_waiting_gets_the_end(gateway: Gateway) -> None:
    """
    Prefer: wait=N answers 200 with Avito's answer once it is sent, and the same again to a repeated request.
    """
    headers = {"Prefer": "respond-async, wait=20", "Idempotency-Key": "w"}
    async with gateway.dispatching(_sent):
        body = {"chat_id": CHAT, "text": "x"}
        answer = await gateway.http.post("/api/messages/send", json=body, headers=headers)
        again = await gateway.http.post("/api/messages/send?wait=20", json=body, headers={"Idempotency-Key": "w"})

    shown = answer.json()
    assert (200, "sent", {"id": "m1"}) == (answer.status_code, shown["status"], shown["response"])
    assert f"m-{shown['command_id']}" == shown["message_id"]
    assert "wait=20" == answer.headers["preference-applied"]
    assert (200, shown, "true") == (again.status_code, again.json(), again.headers["idempotency-replayed"])


async def test_waiting_for_all_parts(gateway: Gateway) -> None:
    """
    A split text is sent when its last part is.
    """
    async with gateway.dispatching(_sent):
        body = {"chat_id": CHAT, "text": "word " * 500, "split": True}
        answer = await gateway.http.post("/api/messages/send?wait=20", json=body)

    assert (200, "sent") == (answer.status_code, answer.json()["status"])
    assert [] == await gateway.commands()


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (Dead("rejected", "Avito: 404 Not found"), 502, "command_failed"),
        (Done("expired"), 502, "command_expired"),
    ],
)
async def test_waiting_gets_the_failure(gateway: Gateway, outcome: Outcome, status: int, code: str) -> None:
    """
    A command that ends unsent while its caller waits is a problem that names the command.
    """
    async with gateway.dispatching(lambda _: outcome):
        answer = await gateway.http.post("/api/messages/send?wait=20", json={"chat_id": CHAT, "text": "x"})

    problem = answer.json()
    assert (status, code, CHAT) == (answer.status_code, problem["code"], problem["chat_id"])
    record = await gateway.http.get(problem["links"]["self"])
    assert (200, problem["command_id"]) == (record.status_code, record.json()["command_id"])


async def test_waiting_in_vain_is_202(gateway: Gateway) -> None:
    """
    Nobody sends: after the wait the answer is the usual 202.
    """
    answer = await gateway.http.post("/api/messages/send?wait=1", json={"chat_id": CHAT, "text": "x"})

    assert (202, "queued", "wait=1") == (
        answer.status_code,
        answer.json()["status"],
        answer.headers["preference-applied"],
    )


async def test_record_and_cancel(gateway: Gateway) -> None:
    """
    A command can be asked for and taken back; then it has ended, and an unknown one is 404.
    """
    command_id = (await gateway.http.post("/api/messages/send", json={"chat_id": CHAT, "text": "x"})).json()[
        "command_id"
    ]
    path = f"/api/commands/{command_id}"

    before = await gateway.http.get(path)
    cancelled = await gateway.http.delete(path)
    after = await gateway.http.get(path)
    again = await gateway.http.delete(path)
    unknown = await gateway.http.delete("/api/commands/nothing")

    assert (200, "queued", True) == (before.status_code, before.json()["status"], before.json()["success"])
    assert (200, "cancelled", True) == (cancelled.status_code, cancelled.json()["status"], cancelled.json()["success"])
    assert ("cancelled", ["accepted", "cancelled"]) == (
        after.json()["status"],
        [step["event"] for step in after.json()["timeline"]],
    )
    assert (409, "command_ended") == (again.status_code, again.json()["code"])
    assert (404, "unknown_command") == (unknown.status_code, unknown.json()["code"])
    assert [] == await gateway.commands()
