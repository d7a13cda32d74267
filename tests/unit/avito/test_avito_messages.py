"""
Reading chats and messages of any shape.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.avito import messages
from common.avito.pictures import Picture, sniff

PAYLOADS = Path(__file__).parents[2] / "payloads"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "meta", "has_more", "content", "link", "text", "id", "image", "sizes", "x"]),
            children,
            max_size=4,
        )
    ),
    max_leaves=10,
)


def sample(name: str) -> Any:
    """
    Read a sample.
    """
    return json.loads(next(PAYLOADS.glob(f"{name}_*.json")).read_text(encoding="utf-8"))


def test_a_list_is_an_object_or_a_bare_array() -> None:
    """
    Both shapes of a list give the same messages (facts, 4.12).
    """
    live = sample("19")

    assert live["messages"] == messages.messages_of(live) == messages.messages_of(live["messages"])


@pytest.mark.parametrize(
    ("body", "limit", "expected"),
    [
        ({"messages": [], "meta": {"has_more": True}}, 100, True),
        ({"messages": [{}] * 2, "meta": {"has_more": False}}, 2, False),
        ([{}, {}], 2, True),
        ([{}], 2, False),
        ({"chats": [{}, {}]}, 2, True),
        ([{}], None, False),
        (None, 2, False),
    ],
)
def test_has_more(body: object, limit: int | None, expected: bool) -> None:
    """
    Without `meta.has_more` a full page has a next one.
    """
    assert expected is messages.has_more(body, limit=limit)


def test_texts_of_a_text_and_of_a_link() -> None:
    """
    A text that Avito turned into a link is found by its text and its address.
    """
    link = sample("10")

    assert (link["content"]["link"]["url"],) == messages.texts_of(link)
    assert messages.texts_of(sample("13")["response_spec"]) == ("привет",)
    assert messages.texts_of({"content": {"link": {"text": "see", "url": "https://a.b"}}}) == ("see", "https://a.b")


def test_image_helpers() -> None:
    """
    The image id is the upload's only key; the largest size is told by its numbers.
    """
    upload = sample("14")

    assert messages.uploaded_image_id(upload["uploadImages_response"]) == "12345.12345abcdefghijklm"
    sizes = messages.image_sizes(upload["send_response"])
    assert messages.largest(sizes) == "https://example.hosts.ru/image_1280_960.png"
    assert messages.largest({"odd": "odd"}) == "odd"
    assert messages.largest({}) is None
    assert messages.uploaded_image_id({}) is None


@pytest.mark.parametrize(
    ("message", "own", "system"),
    [
        ({"author_id": 7}, True, False),
        ({"author_id": "7"}, True, False),
        ({"author_id": 8, "type": "text"}, False, False),
        ({"author_id": 0}, False, True),
        ({"author_id": 1}, False, True),
        ({"author_id": 8, "type": "system"}, False, True),
        ({}, False, False),
    ],
)
def test_whose_message(message: dict[str, object], own: bool, system: bool) -> None:
    """
    Own is by author, system by type or by the authors 0 and 1.
    """
    assert (own, system) == (messages.is_own(message, "7"), messages.is_system(message))


def test_created_is_whole_seconds() -> None:
    """
    `created` becomes ms; anything but a number that can be a time is None.
    """
    odd = ("1", None, True, float("nan"), float("inf"), float("-inf"), 1e300, 0, -1)
    assert messages.created_ms(sample("13")["response_spec"]) == 1_563_202_313_000
    assert [messages.created_ms({"created": created}) for created in odd] == [None] * len(odd)


def test_a_link_is_sent_as_text() -> None:
    """
    A link goes out as its text and address, or as the address alone.
    """
    assert (
        messages.link_text("https://a.b", "Look"),
        messages.link_text("https://a.b", None),
    ) == ("Look\nhttps://a.b", "https://a.b")


@given(JSON)
def test_no_shape_raises(body: object) -> None:
    """
    Whatever JSON comes, reading it gives values.
    """
    messages.has_more(body, limit=1)
    messages.message_id(body)
    messages.uploaded_image_id(body)
    for message in [*messages.messages_of(body), *messages.chats_of(body), messages.mapping(body)]:
        messages.texts_of(message)
        messages.largest(messages.image_sizes(message))
        messages.created_ms(message)
        messages.is_own(message, "7")
        messages.is_system(message)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"\xff\xd8\xff\xe0", Picture("image/jpeg", "jpg")),
        (b"\x89PNG\r\n\x1a\n", Picture("image/png", "png")),
        (b"GIF87a", Picture("image/gif", "gif")),
        (b"GIF89a", Picture("image/gif", "gif")),
        (b"BM\x00", Picture("image/bmp", "bmp")),
        (b"\x00\x00\x00\x18ftypheic", Picture("image/heic", "heic")),
        (b"\x00\x00\x00\x18ftypmif1", Picture("image/heic", "heic")),
        (b"\x00\x00\x00\x18ftypmp42", None),
        (b"RIFF0000WEBP", None),
        (b"<svg ", None),
        (b"", None),
    ],
)
def test_the_kind_of_an_image_is_in_its_first_bytes(start: bytes, expected: Picture | None) -> None:
    """
    The five kinds Avito takes are told by their first bytes, all else is none.
    """
    assert expected == sniff(start)
