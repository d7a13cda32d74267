"""
What requests may contain.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ingress.bodies import BulkMessage, SendBulk, SendFile, SendImage, SendLink, SendText, Subscribe
from ingress.decoding import check, decode, path
from ingress.problems import MAX_FIELD_ERRORS, ProblemError

CHAT = "u2i-AbCdEfGhIjKlMnOpQrStUg"
TEXT = {"chat_id": CHAT, "text": "x"}


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (SendText, TEXT),
        (SendText, TEXT | {"text": "ж" * 1000}),
        (SendText, TEXT | {"text": "😀" * 1000}),
        (SendText, TEXT | {"text": "x" * 100_000, "split": True}),
        (SendText, TEXT | {"priority": "bulk", "expires_in": 1, "idempotency_key": "ключ 1"}),
        (SendText, TEXT | {"send_at": "2026-12-31T23:59:59Z"}),
        (SendText, TEXT | {"send_at": 1_700_000_000}),
        (SendText, TEXT | {"send_at": 1_700_000_000.5}),
        (SendText, TEXT | {"callback_url": "http://[::1]:8080/x?y=1"}),
        (SendText, TEXT | {"chat_id": "u2i-a~b_c"}),
        (SendText, TEXT | {"priority": None, "send_at": None, "expires_in": None, "callback_url": None}),
        (SendLink, {"chat_id": CHAT, "url": "https://пример.рф/x"}),
        (SendLink, {"chat_id": CHAT, "url": "https://a.example/", "text": "x" * 900}),
        (SendImage, {"chat_id": CHAT, "image_id": "12345.abc"}),
        (SendImage, {"chat_id": CHAT, "image_url": "https://a.example/x.png", "image_id": None}),
        (SendBulk, {"messages": [TEXT] * 10_000}),
        (SendBulk, {"messages": [TEXT | {"priority": "interactive", "idempotency_key": "1"}], "expires_in": 5.5}),
        (Subscribe, {"url": "https://a.example/webhook/avito", "version": 3}),
        (Subscribe, {"url": "https://a.example/webhook/avito", "version": "v3"}),
    ],
)
def test_good(model: Any, body: dict[str, Any]) -> None:
    """
    What is within the limits is taken as it is.
    """
    assert isinstance(decode(model, json.dumps(body).encode()), model)


@pytest.mark.parametrize(
    ("model", "body", "errors"),
    [
        (SendText, [], [("(body)", "model_type")]),
        (SendText, {}, [("chat_id", "missing"), ("text", "missing")]),
        (SendText, TEXT | {"text": "x" * 1001}, [("text", "text_too_long")]),
        (SendText, TEXT | {"text": "x" * 100_001, "split": True}, [("text", "string_too_long")]),
        (SendText, TEXT | {"text": "   "}, [("text", "blank")]),
        (SendText, TEXT | {"text": 5}, [("text", "string_type")]),
        (SendText, TEXT | {"text": None}, [("text", "string_type")]),
        (SendText, TEXT | {"chat_id": 5}, [("chat_id", "string_type")]),
        (SendText, TEXT | {"chat_id": ""}, [("chat_id", "string_too_short")]),
        (SendText, TEXT | {"chat_id": "чат"}, [("chat_id", "identifier")]),
        (SendText, TEXT | {"chat_id": "a\nb"}, [("chat_id", "identifier")]),
        (SendText, TEXT | {"txt": 1}, [("txt", "extra_forbidden")]),
        (SendText, TEXT | {"split": 1}, [("split", "bool_type")]),
        (SendText, TEXT | {"priority": "high"}, [("priority", "literal_error")]),
        (SendText, TEXT | {"send_at": True}, [("send_at", "moment")]),
        (SendText, TEXT | {"send_at": "tomorrow"}, [("send_at", "moment")]),
        (SendText, TEXT | {"send_at": "2026-12-31T23:59:59"}, [("send_at", "moment")]),
        (SendText, TEXT | {"send_at": 1_700_000_000_000}, [("send_at", "moment")]),
        (SendText, TEXT | {"send_at": 10**400}, [("send_at", "moment")]),
        (SendText, TEXT | {"send_at": -(10**400)}, [("send_at", "moment")]),
        (SendText, TEXT | {"send_at": [1]}, [("send_at", "moment")]),
        (SendText, TEXT | {"send_at": time.time() + 400 * 86_400}, [("send_at", "moment")]),
        (SendText, TEXT | {"expires_in": 0}, [("expires_in", "greater_than")]),
        (SendText, TEXT | {"expires_in": "60"}, [("expires_in", "float_type")]),
        (SendText, TEXT | {"expires_in": 1e12}, [("expires_in", "less_than_equal")]),
        (SendText, TEXT | {"callback_url": "javascript:alert(1)"}, [("callback_url", "url")]),
        (SendText, TEXT | {"callback_url": "http://[::1"}, [("callback_url", "url")]),
        (SendText, TEXT | {"callback_url": "http://a:99999/"}, [("callback_url", "url")]),
        (SendText, TEXT | {"callback_url": "http://a/\r\nX: y"}, [("callback_url", "url")]),
        (SendText, TEXT | {"idempotency_key": ""}, [("idempotency_key", "string_too_short")]),
        (SendText, TEXT | {"idempotency_key": "a\x00"}, [("idempotency_key", "control")]),
        (SendLink, {"chat_id": CHAT, "url": "https://a.example/", "text": "x" * 990}, [("text", "text_too_long")]),
        (SendLink, {"chat_id": CHAT, "url": "https://a.example/" + "x" * 990}, [("url", "text_too_long")]),
        (SendImage, {"chat_id": CHAT}, [("image_url", "image_source")]),
        (
            SendImage,
            {"chat_id": CHAT, "image_id": "1", "image_url": "https://a.example/"},
            [("image_url", "image_source")],
        ),
        (SendBulk, {"messages": []}, [("messages", "too_short")]),
        (SendBulk, {"messages": [TEXT] * 10_001}, [("messages", "too_long")]),
        (SendBulk, {"messages": "x"}, [("messages", "list_type")]),
        (
            SendBulk,
            {"messages": [TEXT] * 17 + [TEXT | {"text": "x" * 1001}, 5]},
            [("messages[17].text", "string_too_long"), ("messages[18]", "model_type")],
        ),
    ],
)
def test_bad(model: Any, body: Any, errors: list[tuple[str, str]]) -> None:
    """
    Each wrong field is named with its path and a code.
    """
    with pytest.raises(ProblemError) as caught:
        decode(model, json.dumps(body).encode())

    assert "validation_failed" == caught.value.kind.code
    assert errors == [(error.field, error.code) for error in caught.value.errors]


def test_values_are_not_repeated() -> None:
    """
    An error says nothing of the text that was sent.
    """
    with pytest.raises(ProblemError) as caught:
        decode(SendBulk, json.dumps({"messages": [{"chat_id": CHAT, "text": ["secret text"]}]}).encode())

    assert "secret text" not in str(caught.value.body())


def test_many_errors_are_cut() -> None:
    """
    10 000 wrong items do not make a huge answer; the detail tells how many there are.
    """
    with pytest.raises(ProblemError) as caught:
        decode(SendBulk, json.dumps({"messages": [{"chat_id": CHAT}] * 10_000}).encode())

    body = caught.value.body()
    errors = body["errors"]
    assert isinstance(errors, list)
    assert (MAX_FIELD_ERRORS, True) == (len(errors), "(9999 more)" in str(body["detail"]))


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"nul", b'{"chat_id": "\\ud800"}', b"[" * 100_000])
def test_not_json(raw: bytes) -> None:
    """
    What is not JSON is `bad_json`.
    """
    with pytest.raises(ProblemError) as caught:
        decode(SendText, raw)

    assert "bad_json" == caught.value.kind.code


def test_form_fields_are_checked_alike() -> None:
    """
    The fields of a form follow the same rules.
    """
    assert 60.0 == check(SendFile, {"chat_id": CHAT, "expires_in": 60.0}).expires_in
    with pytest.raises(ProblemError):
        check(SendFile, {"chat_id": CHAT, "text": "x"})


def test_bulk_options_are_left_open() -> None:
    """
    A message that says nothing leaves its options to the request.
    """
    assert (None, None, None) == (
        (message := BulkMessage(chat_id=CHAT, text="x")).priority,
        message.send_at,
        message.callback_url,
    )


@pytest.mark.parametrize(
    ("location", "text"),
    [((), "(body)"), (("text",), "text"), (("messages", 17, "text"), "messages[17].text"), ((0, "a", "b"), "[0].a.b")],
)
def test_path(location: tuple[str | int, ...], text: str) -> None:
    """
    Locations are written as one would in JavaScript.
    """
    assert text == path(location)
