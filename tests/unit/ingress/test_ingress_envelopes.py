"""
Reading webhooks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.queue.receipts import fingerprint
from ingress.envelopes import Envelope, NotJsonError, Probe, read

SAMPLES = Path(__file__).parents[2] / "payloads"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def found(document: Any) -> Envelope:
    """
    Read a document that is not the probe.
    """
    envelope = read(json.dumps(document).encode())
    assert isinstance(envelope, Envelope)
    return envelope


def test_sample() -> None:
    """
    A real webhook.
    """
    raw = (SAMPLES / "02_webhook_v3_text_in_2025_published_at.json").read_bytes()

    assert read(raw) == Envelope(
        kind="message",
        user_id="353000001",
        message_id="e1db89671023344e771c480b69a48f4f",
        chat_id="u2i-bbB2KIaZ9_mERi0AEbfPig",
        own=False,
        mark="",
        created_ms=None,
        body=raw.decode(),
    )


def test_echo() -> None:
    """
    An own message has the mark of its content.
    """
    raw = (SAMPLES / "03_webhook_v3_echo_own_message_2025.json").read_bytes()
    value = json.loads(raw)["payload"]["value"]

    envelope = read(raw)

    assert isinstance(envelope, Envelope)
    assert (True, fingerprint(value["type"], value["content"])) == (envelope.own, envelope.mark)
    assert envelope.mark


@pytest.mark.parametrize("raw", [b"{}", b" { } "])
def test_probe(raw: bytes) -> None:
    """
    The empty object is a probe.
    """
    assert Probe() == read(raw)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"5", b"null", b'"x"', b"\xff", b"[" * 100_000, b'{"a":' * 100_000])
def test_not_json(raw: bytes) -> None:
    """
    What is no JSON object is refused, however deep it goes.
    """
    with pytest.raises(NotJsonError):
        read(raw)


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"payload": {"type": "chat_closed", "value": {}}}, "chat_closed"),
        ({"payload": {"value": {"content": {}}}}, "message"),
        ({"payload": {"type": 5, "value": {}}}, ""),
        ({"payload": []}, ""),
        ({"other": 1}, ""),
    ],
)
def test_kinds(document: dict[str, Any], kind: str) -> None:
    """
    The type is the payload's; without one, what has content is a message.
    """
    assert kind == found(document).kind


@pytest.mark.parametrize("bad", [None, "", "a b", "x" * 129, "ж", True, {}, [], "a\nb"])
def test_ids_that_are_none(bad: object) -> None:
    """
    An id that cannot be part of a key is none: the envelope's stands in, else a hash of the body.
    """
    value = {"id": bad, "chat_id": bad, "content": {}}

    assert ("envelope", "") == (
        (one := found({"id": "envelope", "payload": {"type": "message", "value": value}})).message_id,
        one.chat_id,
    )
    hashed = found({"payload": {"type": "message", "value": value}}).message_id
    assert (32, hashed) == (len(hashed), found({"payload": {"type": "message", "value": value}}).message_id)


@given(st.dictionaries(st.sampled_from(["id", "payload", "version"]), JSON, max_size=3), JSON)
def test_nothing_raises(document: dict[str, Any], value: Any) -> None:
    """
    Whatever JSON comes, it is read; its body is kept as it came.
    """
    for one in (document, {"payload": value}, {"payload": {"type": "message", "value": value}}):
        raw = json.dumps(one).encode()
        envelope = read(raw)
        assert isinstance(envelope, Probe) or envelope.body == raw.decode()
