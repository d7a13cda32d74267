"""
Avito's calls as values, and as they look on the wire.
"""

from __future__ import annotations

import httpx
import pytest

from common.avito import calls
from common.avito.calls import Call
from common.avito.client import _request

CHAT = "u2i-AbC~d_1"


async def on_the_wire(call: Call) -> tuple[str, str]:
    """
    Return method and raw target of a call.
    """
    async with httpx.AsyncClient(base_url="http://avito.test") as client:
        request = _request(client, call, "token")
    return request.method, request.url.raw_path.decode()


@pytest.mark.parametrize(
    ("call", "method", "target"),
    [
        (calls.send_text("7", CHAT, "x"), "POST", "/messenger/v1/accounts/7/chats/u2i-AbC%7Ed_1/messages"),
        (calls.send_image("7", CHAT, "i"), "POST", "/messenger/v1/accounts/7/chats/u2i-AbC%7Ed_1/messages/image"),
        (calls.delete("7", CHAT, "a/b"), "POST", "/messenger/v1/accounts/7/chats/u2i-AbC%7Ed_1/messages/a%2Fb"),
        (calls.delete("7", "..", "."), "POST", "/messenger/v1/accounts/7/chats/%2E%2E/messages/%2E"),
        (calls.chat("7", "../8"), "GET", "/messenger/v2/accounts/7/chats/..%2F8"),
        (calls.read("7", "../x?"), "POST", "/messenger/v1/accounts/7/chats/..%2Fx%3F/read"),
        (calls.upload_image("7", "a", b"", "image/png"), "POST", "/messenger/v1/accounts/7/uploadImages"),
        (calls.chats("7"), "GET", "/messenger/v2/accounts/7/chats?limit=100&offset=0"),
        (
            calls.chats("7", item_ids=[7463793992, 2], unread_only=True, chat_types=["u2i", "u2u"], limit=5, offset=10),
            "GET",
            "/messenger/v2/accounts/7/chats?limit=5&offset=10&item_ids=7463793992%2C2&unread_only=true&chat_types=u2i%2Cu2u",
        ),
        (calls.chat("7", CHAT), "GET", "/messenger/v2/accounts/7/chats/u2i-AbC%7Ed_1"),
        (
            calls.messages("7", CHAT, 10, 20),
            "GET",
            "/messenger/v3/accounts/7/chats/u2i-AbC%7Ed_1/messages/?limit=10&offset=20",
        ),
        (
            calls.voice_files("7", ["a", "b"]),
            "GET",
            "/messenger/v1/accounts/7/getVoiceFiles?voice_ids=a&voice_ids=b",
        ),
        (calls.subscribe("https://a.b/c"), "POST", "/messenger/v3/webhook"),
        (calls.unsubscribe("https://a.b/c"), "POST", "/messenger/v1/webhook/unsubscribe"),
        (calls.subscriptions(), "POST", "/messenger/v1/subscriptions"),
        (calls.me(), "GET", "/core/v1/accounts/self"),
        (calls.token("id", "secret"), "POST", "/token"),
    ],
)
async def test_method_and_path(call: Call, method: str, target: str) -> None:
    """
    Each call has the path of the facts, its parts encoded, `~` as well.
    """
    assert (method, target) == await on_the_wire(call)


async def test_bodies_and_headers() -> None:
    """
    Sends are JSON, the token call is a form without Authorization, the upload one part named `uploadfile[]`.
    """
    async with httpx.AsyncClient(base_url="http://avito.test") as client:
        text = _request(client, calls.send_text("7", CHAT, "привет"), "abc")
        token = _request(client, calls.token("i d", "s&c"), None)
        upload = _request(client, calls.upload_image("7", "a.png", b"\x89PNG", "image/png"), "abc")

    assert text.content.decode() == '{"message":{"text":"привет"},"type":"text"}'
    assert text.headers["authorization"] == "Bearer abc"
    assert token.content == b"grant_type=client_credentials&client_id=i+d&client_secret=s%26c"
    assert "authorization" not in token.headers
    body = await upload.aread()
    assert b'name="uploadfile[]"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n' in body


def test_only_sends_must_not_be_repeated() -> None:
    """
    A second text or image is a second message; all else may be repeated.
    """
    every = [
        calls.send_text("7", CHAT, "x"),
        calls.send_image("7", CHAT, "i"),
        calls.delete("7", CHAT, "m"),
        calls.read("7", CHAT),
        calls.upload_image("7", "a", b"", "image/png"),
        calls.chats("7"),
        calls.chat("7", CHAT),
        calls.messages("7", CHAT),
        calls.voice_files("7", []),
        calls.subscribe("u"),
        calls.unsubscribe("u"),
        calls.subscriptions(),
        calls.me(),
        calls.token("i", "s"),
    ]

    assert [call.name for call in every if not call.repeatable] == ["send_text", "send_image"]


def test_secrets_and_texts_are_not_in_a_repr() -> None:
    """
    A call in a log line or a traceback shows its name alone.
    """
    assert repr(calls.token("id", "secret")) == "Call(token)"
    assert repr(calls.send_text("7", CHAT, "private")) == "Call(send_text)"
    assert (
        repr(calls.upload_image("7", "name", b"abc", "image/png").upload)
        == "Upload('uploadfile[]', 3 bytes, 'image/png')"
    )
