"""
Avito's webhook: stored before it is answered, once, and only with the right secret.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.conftest import USER_ID
from tests.integration.ingress.conftest import CHAT, Gateway, Serve

PAYLOADS = {
    file.stem: json.loads(file.read_text(encoding="utf-8"))
    for file in sorted((Path(__file__).parents[2] / "payloads").glob("*webhook*.json"))
}


def event(**value: Any) -> dict[str, Any]:
    """
    Return a webhook for the tests' account.
    """
    given = {
        "id": "e1db89671023344e771c480b69a48f4f",
        "chat_id": CHAT,
        "user_id": int(USER_ID),
        "author_id": 5,
        "created": 1754916284,
        "type": "text",
        "content": {"text": "Здравствуйте"},
    }
    return {
        "id": "c061cb80-2ff3-4bf9-a9ea-6cc6418dbfbd",
        "version": "v3.0.0",
        "timestamp": 1754916287,
        "payload": {"type": "message", "value": given | value},
    }


async def test_event_is_kept_as_it_came(gateway: Gateway) -> None:
    """
    The 200 comes after the event is in its stream, byte for byte.
    """
    body = json.dumps(event(), indent=3, ensure_ascii=False)

    answer = await gateway.http.post("/webhook/avito", content=body.encode())

    (entry,) = await gateway.events()
    assert (200, b'{"ok":true}', "application/json") == (
        answer.status_code,
        answer.content,
        answer.headers["content-type"],
    )
    assert ("e1db89671023344e771c480b69a48f4f", "message", CHAT, body) == (
        entry["id"],
        entry["kind"],
        entry["chat_id"],
        entry["body"],
    )


async def test_event_has_a_record(gateway: Gateway) -> None:
    """
    What came in can be asked for by its message id; what did not is 404.
    """
    await gateway.http.post("/webhook/avito", json=event())

    known = await gateway.http.get("/api/events/e1db89671023344e771c480b69a48f4f")
    unknown = await gateway.http.get("/api/events/nothing")

    assert (200, True, ["accepted"]) == (
        known.status_code,
        known.json()["success"],
        [step["event"] for step in known.json()["timeline"]],
    )
    assert (404, "unknown_event") == (unknown.status_code, unknown.json()["code"])


async def test_repeated_event_is_one(gateway: Gateway) -> None:
    """
    A repeated webhook is answered like the first and stored once.
    """
    answers = [await gateway.http.post("/webhook/avito", json=event()) for _ in range(3)]

    assert [200] * 3 == [answer.status_code for answer in answers]
    assert 1 == len(await gateway.events())


@pytest.mark.parametrize("sample", PAYLOADS.values(), ids=PAYLOADS)
async def test_samples_are_taken(serve: Serve, sample: Any) -> None:
    """
    Every sample of a webhook is stored, each of its messages once.
    """
    listed = sample if isinstance(sample, list) else [sample] if "payload" in sample else list(sample.values())
    webhooks = [one for one in listed if isinstance(one, dict) and "payload" in one]
    async with serve(avito_base_url="http://127.0.0.1:9") as gateway:
        answers = [await gateway.http.post("/webhook/avito", json=one) for one in webhooks]

        assert webhooks
        assert {200} == {answer.status_code for answer in answers}
        ids = {one["payload"]["value"]["id"] for one in webhooks}
        assert ids == {entry["id"] for entry in await gateway.events()}


async def test_probe_is_answered(gateway: Gateway) -> None:
    """
    The empty object with which Avito tests an address is 200 and no event.
    """
    answer = await gateway.http.post("/webhook/avito", content=b"{}")

    assert (200, b'{"ok":true}') == (answer.status_code, answer.content)
    assert [] == await gateway.events()


@pytest.mark.parametrize("body", [b"", b"nothing", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000])
async def test_what_is_not_json_is_400(gateway: Gateway, body: bytes) -> None:
    """
    What is no JSON object is 400, as a problem, and never 500.
    """
    answer = await gateway.http.post("/webhook/avito", content=body)

    assert (400, "bad_json") == (answer.status_code, answer.json()["code"])
    assert [] == await gateway.events()


async def test_huge_webhook_is_413(gateway: Gateway) -> None:
    """
    More than 1 MiB is 413.
    """
    answer = await gateway.http.post("/webhook/avito", content=b" " * (1024 * 1024 + 1))

    assert (413, "body_too_large") == (answer.status_code, answer.json()["code"])


async def test_unknown_type_is_answered_and_logged_once(gateway: Gateway) -> None:
    """
    A payload of a type nobody knows is 200, so that Avito does not repeat it, and one line in the log.
    """
    with capture_logs() as logs:
        for number in range(3):
            body = {"id": f"{number}", "payload": {"type": "chat_closed", "value": {"user_id": int(USER_ID)}}}
            assert 200 == (await gateway.http.post("/webhook/avito", json=body)).status_code

    assert 1 == len([line for line in logs if line["event"] == "webhook.unknown_type"])
    assert [] == await gateway.events()


async def test_message_without_id_is_not_lost(gateway: Gateway) -> None:
    """
    Without an id of its own a message has that of the envelope, else one made of the body; repeated it is still one.
    """
    with_envelope = event(id=None)
    without = event(id=None) | {"id": None}
    for body in (with_envelope, without, with_envelope, without):
        assert 200 == (await gateway.http.post("/webhook/avito", json=body)).status_code

    ids = [entry["id"] for entry in await gateway.events()]
    assert (2, "c061cb80-2ff3-4bf9-a9ea-6cc6418dbfbd") == (len(ids), ids[0])


async def test_half_an_emoji_is_no_reason_to_lose_a_message(gateway: Gateway) -> None:
    """
    A lone surrogate is stored as it came, also in an echo.
    """
    body = json.dumps(event(author_id=int(USER_ID), content={"text": "cut \ud83d"}))

    answer = await gateway.http.post("/webhook/avito", content=body.encode())

    assert 200 == answer.status_code
    assert [body] == [entry["body"] for entry in await gateway.events()]


async def test_echo_is_a_receipt(gateway: Gateway) -> None:
    """
    An own message is noted among those the chat has shown.
    """
    await gateway.http.post("/webhook/avito", json=event(author_id=int(USER_ID)))

    ids = await gateway.connections.commands.zrange(gateway.keys.sent(CHAT), 0, -1)
    assert ["e1db89671023344e771c480b69a48f4f"] == ids


async def test_unknown_account_is_kept_and_warned_about(gateway: Gateway) -> None:
    """
    An event for an account nobody configured goes to the default account as `unknown_account`.
    """
    with capture_logs() as logs:
        answer = await gateway.http.post("/webhook/avito", json=event(user_id=77))

    (entry,) = await gateway.events()
    assert (200, "unknown_account") == (answer.status_code, entry["kind"])
    assert [("webhook.unknown_account", "77")] == [
        (line["event"], line["account"]) for line in logs if line["log_level"] == "warning"
    ]


async def test_secret_is_asked_for(serve: Serve) -> None:
    """
    With WEBHOOK_SECRET only its path exists, whatever the body; the probe is no exception.
    """
    async with serve(webhook_secret="s3cret") as gateway:
        statuses = {
            (path, body): (await gateway.http.post(path, content=body)).status_code
            for path in ("/webhook/avito", "/webhook/avito/wrong", "/webhook/avito/%FF", "/webhook/avito/s3cret")
            for body in (b"{}", b"nothing", json.dumps(event()).encode())
        }

        assert {404} == {status for (path, _), status in statuses.items() if not path.endswith("s3cret")}
        assert [200, 400, 200] == [status for (path, _), status in statuses.items() if path.endswith("s3cret")]
        assert 1 == len(await gateway.events())


async def test_accounts_have_secrets_of_their_own(serve: Serve, tmp_path: Path) -> None:
    """
    The secret of one account does not open another one's webhook.
    """
    accounts = tmp_path / "accounts.toml"
    accounts.write_text('[[account]]\nuser_id = "2"\nclient_id = "b"\nclient_secret = "b"\nwebhook_secret = "second"\n')
    async with serve(webhook_secret="first", accounts_file=accounts) as gateway:
        second = event(user_id=2)
        wrong = await gateway.http.post("/webhook/avito/first", json=second)
        right = await gateway.http.post("/webhook/avito/second", json=second)
        foreign = await gateway.http.post("/webhook/avito/second", json=event())

        assert [404, 200, 404] == [answer.status_code for answer in (wrong, right, foreign)]
        assert [] == await gateway.events()


async def test_webhook_needs_no_key(gateway: Gateway) -> None:
    """
    Avito does not know the API key.
    """
    del gateway.http.headers["X-API-Key"]

    assert 200 == (await gateway.http.post("/webhook/avito", json=event())).status_code
