"""
What of a message is text to be searched.
"""

from __future__ import annotations

import json

import pytest

from common.queue.texts import message_text


def _webhook(content: object) -> str:
    return json.dumps({"payload": {"type": "message", "value": {"content": content}}})


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text", '{"text": "Привет"}', "Привет"),
        ("text", '{"text": 5}', ""),
        ("text", "no JSON", ""),
        ("text", "[]", ""),
        ("text", "", ""),
        ("link", '{"url": "https://a.test/", "text": "Price"}', "Price\nhttps://a.test/"),
        ("link", '{"url": "https://a.test/"}', "https://a.test/"),
        ("image", '{"image_url": "https://a.test/1.png"}', "https://a.test/1.png"),
        ("image", '{"image_id": "5"}', ""),
        ("read", "{}", ""),
        ("message", _webhook({"text": "hello"}), "hello"),
        ("message", _webhook({"item": {"title": "A bicycle"}}), "A bicycle"),
        ("message", _webhook(None), ""),
        ("message", '{"payload": NaN}', ""),
        ("unknown_account", _webhook({"text": "hello"}), "hello"),
        ("callback", '{"text": "not a message"}', ""),
        ("", "{}", ""),
    ],
)
def test_a_messages_text_is_what_a_person_reads(kind: str, body: str, text: str) -> None:
    """
    Of every kind of entry, whatever its body looks like.
    """
    assert text == message_text({"kind": kind, "body": body})


def test_a_text_is_kept_as_far_as_a_message_of_ours_goes() -> None:
    """
    A thousand characters.
    """
    assert 1000 == len(message_text({"kind": "text", "body": json.dumps({"text": "ж" * 1001})}))


def test_half_a_surrogate_pair_is_no_text_that_redis_takes() -> None:
    """
    It becomes a question mark.
    """
    assert "a?" == message_text({"kind": "message", "body": _webhook({"text": "a\ud83d"})})
