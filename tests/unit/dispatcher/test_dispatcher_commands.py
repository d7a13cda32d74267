"""
Reading commands from entries, also from those added by hand.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.commands import KINDS, Command, DeleteMessage, Malformed, MarkRead, SendImage, SendText, parse


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("text", '{"text":"привет"}', SendText("c", "привет")),
        ("text", '{"text":"x","extra":1}', SendText("c", "x")),
        ("link", '{"url":"https://a.b"}', SendText("c", "https://a.b")),
        ("link", '{"url":"https://a.b","text":"Look"}', SendText("c", "Look\nhttps://a.b")),
        ("image", '{"image_id":"1.a"}', SendImage("c", image_id="1.a")),
        ("image", '{"image_url":"https://a.b/i.png"}', SendImage("c", image_url="https://a.b/i.png")),
        ("read", "{}", MarkRead("c")),
        ("read", "", MarkRead("c")),
        ("delete", '{"message_id":"m"}', DeleteMessage("c", "m")),
    ],
)
def test_commands(kind: str, body: str, expected: Command) -> None:
    """
    Each kind has its body; further fields are left alone.
    """
    assert expected == parse(kind, "c", body)


@pytest.mark.parametrize(
    ("kind", "chat_id", "body", "field"),
    [
        ("", "c", "{}", "kind"),
        ("voice", "c", "{}", "kind"),
        ("text", "", '{"text":"x"}', "chat_id"),
        ("text", "c", "", "body.text"),
        ("text", "c", '{"text":""}', "body.text"),
        ("text", "c", '{"text":5}', "body.text"),
        ("text", "c", "not json", "body"),
        ("text", "c", "[]", "body"),
        ("link", "c", '{"text":"x"}', "body.url"),
        ("image", "c", "{}", "body"),
        ("image", "c", '{"image_id":"1","image_url":"2"}', "body"),
        ("delete", "c", "{}", "body.message_id"),
    ],
)
def test_malformed(kind: str, chat_id: str, body: str, field: str) -> None:
    """
    What cannot be read is named by its field.
    """
    found = parse(kind, chat_id, body)

    assert isinstance(found, Malformed)
    assert field == found.field
    assert str(found).startswith(f"{field}: ")


def test_the_reason_does_not_repeat_the_text() -> None:
    """
    A malformed body is not quoted in the dead letter's detail.
    """
    assert "private" not in str(parse("text", "c", '{"text":["private"]}'))


@given(
    kind=st.sampled_from(sorted(KINDS)) | st.text(max_size=5), chat_id=st.text(max_size=3), body=st.text(max_size=30)
)
def test_nothing_raises(kind: str, chat_id: str, body: str) -> None:
    """
    Whatever an entry holds, it is a command or malformed.
    """
    assert parse(kind, chat_id, body) is not None
