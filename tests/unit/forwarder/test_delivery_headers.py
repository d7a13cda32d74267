"""
The headers of a delivery.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from forwarder.headers import Stamp, webhook_id

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = json.dumps({"text": "привет"}, ensure_ascii=False)


def test_a_receiver_can_verify_the_signature() -> None:
    """
    The signature is that of Standard Webhooks over id, time and the body's bytes.
    """
    headers = Stamp(SecretStr(SECRET), None).headers("message-1", 1, BODY)
    received = {name.decode(): value.decode() for name, value in headers.items()}

    assert Webhook(SECRET).verify(BODY.encode(), received) == {"text": "привет"}


def test_a_changed_body_does_not_verify() -> None:
    """
    Another body has another signature.
    """
    headers = Stamp(SecretStr(SECRET), None).headers("message-1", 1, BODY)
    received = {name.decode(): value.decode() for name, value in headers.items()}

    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY.encode() + b" ", received)


def test_the_headers_without_a_secret() -> None:
    """
    Without N8N_WEBHOOK_SECRET there is no signature; id, time and attempt are always there.
    """
    stamp = Stamp(None, None, now=lambda: datetime(2025, 12, 1, 17, 30, 0, 999_999, tzinfo=UTC))

    assert stamp.headers("message-1", 3, BODY) == {
        b"content-type": b"application/json",
        b"user-agent": b"avito-gateway",
        b"accept-encoding": b"identity",
        b"webhook-id": b"message-1",
        b"webhook-timestamp": b"1764610200",
        b"webhook-attempt": b"3",
    }


@pytest.mark.parametrize(
    ("line", "name", "content"),
    [
        ("Authorization: Bearer abc:def", b"authorization", b"Bearer abc:def"),
        ("X-Token:  ключ ", b"x-token", "ключ".encode()),
    ],
)
def test_n8n_s_own_header_goes_to_n8n_alone(line: str, name: bytes, content: bytes) -> None:
    """
    N8N_AUTH_HEADER is sent as it is, and only where it belongs.
    """
    stamp = Stamp(None, SecretStr(line))

    assert content == stamp.headers("m", 1, BODY)[name]
    assert name not in stamp.headers("m", 1, BODY, authorised=False)


@pytest.mark.parametrize(
    ("message_id", "expected"),
    [
        ("da47387aa97e86b10fdd51394262a815", "da47387aa97e86b10fdd51394262a815"),
        ("5d0b0c0e-1c7f-4f37-a6a4-6a1ae7a2f6d5.sent", "5d0b0c0e-1c7f-4f37-a6a4-6a1ae7a2f6d5.sent"),
        ("a\r\nx-evil: 1", "1-0"),
        ("два", "1-0"),
        ("a b", "1-0"),
        ("a" * 201, "1-0"),
        ("", "1-0"),
    ],
)
def test_an_id_that_no_header_can_hold_is_replaced(message_id: str, expected: str) -> None:
    """
    An id with line breaks or letters beyond ASCII gives way to the entry's, which is as lasting.
    """
    assert expected == webhook_id(message_id, "1-0")
