"""
Whatever strangers post: an answer, never a 500, and nothing that holds up what comes next.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ingress.catalogue import CATALOGUE
from sandbox import Sandbox
from tests.conftest import USER_ID
from tests.fuzz.webhooks import GOOD, kept, one, samples
from tests.integration.ingress.conftest import CHAT, Gateway
from tests.integration.ingress.test_webhook import event

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        0,
        -1,
        2**63,
        10**400,
        1e308,
        "",
        " ",
        "\x00",
        "\ud800",
        "ü" * 200,
        "a" * 200,
        "{x}",
        "~retry",
        "*",
        True,
        None,
        [],
        {},
    ]
)
JSON = st.recursive(
    ODD | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
# Names of types that the normaliser knows, so that the fuzz gets behind its first question.
TYPES = st.sampled_from(
    ["text", "image", "voice", "video", "link", "item", "location", "call", "file", "deleted", "system"]
)
CONTENT = st.dictionaries(
    st.sampled_from(["text", "image", "voice", "video", "link", "item", "location", "call", "file"]),
    JSON | st.dictionaries(st.sampled_from(["sizes", "voice_id", "url", "preview", "lat", "lon", "title"]), JSON),
    max_size=4,
)
VALUE = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON | st.uuids().map(str),
        "chat_id": st.just(CHAT) | JSON,
        "user_id": st.just(int(USER_ID)) | st.just(USER_ID) | JSON,
        "author_id": st.integers(0, 9) | JSON,
        "created": st.integers(0, 2**33) | JSON,
        "published_at": st.text(max_size=30) | JSON,
        "type": TYPES | JSON,
        "chat_type": st.sampled_from(["u2i", "u2u"]) | JSON,
        "content": CONTENT | JSON,
        "item_id": JSON,
        "read": JSON,
    },
)
ENVELOPE = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "version": JSON,
        "timestamp": st.integers(0, 2**33) | JSON,
        "payload": st.fixed_dictionaries({"type": st.just("message") | JSON, "value": VALUE | JSON}) | JSON,
    },
)


def encoded(document: Any) -> bytes:
    """
    Write JSON with what Python's own writer adds to it: lone surrogates, NaN, Infinity.
    """
    return json.dumps(document).encode()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """
    A good webhook with some bytes replaced, cut out or put in.
    """
    body = bytearray(encoded(event(id=secrets.token_hex(4))))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        body[start : start + draw(st.integers(0, 12))] = draw(st.binary(max_size=12))
    return bytes(body)


WEBHOOKS = st.one_of(
    ENVELOPE.map(encoded), VALUE.map(lambda value: encoded(event(**value))), damaged(), st.binary(max_size=300)
)

OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "priority": st.sampled_from(["interactive", "bulk"]) | JSON,
    "send_at": st.datetimes().map(str) | st.integers(0, 2**36) | JSON,
    "expires_in": st.floats() | JSON,
    "callback_url": st.sampled_from(["http://n8n.test:5678/x", "http://[::1", "http://a:b@c:99999/"]) | JSON,
    "idempotency_key": st.text(max_size=300) | JSON,
    "split": st.booleans() | JSON,
    "chat_id": st.just(CHAT) | JSON,
}
TEXTS = st.text(max_size=50) | st.just("x" * 5000) | JSON
BODIES = {
    "/api/messages/send": st.fixed_dictionaries({}, optional=OPTIONS | {"text": TEXTS}),
    "/api/messages/send/link": st.fixed_dictionaries({}, optional=OPTIONS | {"text": TEXTS, "url": TEXTS}),
    "/api/messages/send/image": st.fixed_dictionaries({}, optional=OPTIONS | {"image_url": TEXTS, "image_id": TEXTS}),
    "/api/messages/send/bulk": st.fixed_dictionaries(
        {},
        optional=OPTIONS
        | {
            "messages": st.lists(st.fixed_dictionaries({}, optional=OPTIONS | {"text": TEXTS}) | JSON, max_size=4)
            | JSON
        },
    ),
    "/api/webhook/subscribe": st.fixed_dictionaries({}, optional={"url": TEXTS, "version": JSON}),
    "/api/webhook/unsubscribe": st.fixed_dictionaries({}, optional={"url": TEXTS}),
}
HEADERS = st.dictionaries(
    st.sampled_from(["Idempotency-Key", "Prefer", "X-Avito-Account", "Content-Type", "Content-Encoding", "Accept"]),
    st.sampled_from(
        ["application/json", "multipart/form-data", "multipart/form-data; boundary=x", "wait=x", "gzip", "-1"]
    )
    | st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=30).map(str.strip),
    max_size=3,
)
FORMS = st.lists(
    st.tuples(st.sampled_from(["chat_id", "file", "send_at", "priority", "x"]), st.binary(max_size=30)), max_size=4
).map(
    lambda parts: (
        b"".join(
            b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
            % (name.encode(), b'; filename="a.png"' if name == "file" else b"", value)
            for name, value in parts
        )
        + b"--x--\r\n"
    )
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes, dict[str, str]]:
    """
    A request that looks like one of n8n's: address, body, headers.
    """
    path = draw(st.sampled_from(sorted(BODIES)))
    body = draw(st.one_of(BODIES[path].map(encoded), FORMS, st.binary(max_size=200)))
    return path, body, draw(HEADERS)


NO_HURRY = settings(
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


async def post_webhook(whole: Gateway, sandbox: Sandbox, body: bytes) -> None:
    """
    Post a body, then a good webhook in the same chat; n8n gets the good one, and nothing is left behind.
    """
    answer = await whole.http.post("/webhook/avito", content=body)
    assert answer.status_code in (200, 400), answer.text
    mark = secrets.token_hex(16)
    answer = await whole.http.post("/webhook/avito", json=event(id=mark, content={"text": f"text {mark}"}))
    assert 200 == answer.status_code, answer.text

    got = await sandbox.n8n.wait_for(lambda calls: bool(calls) and calls[-1].headers["webhook-id"] == mark)
    assert (f"text {mark}", CHAT) == (got[-1].json["text"], got[-1].json["external_chat_id"])
    sandbox.n8n.clear()


async def post_request(gateway: Gateway, path: str, body: bytes, headers: dict[str, str]) -> None:
    """
    Post a request, then a good one: the first gets an answer that is no 5xx, the second is accepted.
    """
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await gateway.http.post(path, content=body, headers=raw)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] in CATALOGUE

    good = await gateway.http.post("/api/messages/send", json={"chat_id": CHAT, "text": "x"})
    assert 202 == good.status_code, good.text


@pytest.mark.parametrize("text", [b"\xff", b"\xb8", b"\xed\xa0\x80", b"\xd0"])
async def test_a_text_that_is_no_utf8_is_400(gateway: Gateway, text: bytes) -> None:
    """
    A webhook whose texts are cut in the middle of a character is not JSON: 400, as a problem.
    """
    body = encoded(event(content={"text": "cut"})).replace(b"cut", text)

    answer = await gateway.http.post("/webhook/avito", content=body)

    assert (400, "bad_json") == (answer.status_code, answer.json()["code"])


@settings(NO_HURRY, max_examples=60)
@given(body=WEBHOOKS)
async def test_no_webhook_holds_up_the_next(whole: Gateway, sandbox: Sandbox, body: bytes) -> None:
    """
    A good webhook right behind an odd one, in the same chat, is stored and reaches n8n normalised.
    """
    await post_webhook(whole, sandbox, body)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@settings(NO_HURRY, max_examples=2000)
@given(body=WEBHOOKS)
async def test_no_webhook_of_thousands_holds_up_the_next(whole: Gateway, sandbox: Sandbox, body: bytes) -> None:
    """
    The same with many times as many.
    """
    await post_webhook(whole, sandbox, body)


@settings(NO_HURRY, max_examples=80)
@given(asked=requests())
async def test_no_request_is_a_fault(with_avito: Gateway, asked: tuple[str, bytes, dict[str, str]]) -> None:
    """
    Whatever is posted to the REST API gets a problem of the catalogue or is accepted; the next one is accepted.
    """
    await post_request(with_avito, *asked)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@settings(NO_HURRY, max_examples=2000)
@given(asked=requests())
async def test_no_request_of_thousands_is_a_fault(
    with_avito: Gateway, asked: tuple[str, bytes, dict[str, str]]
) -> None:
    """
    The same with many times as many.
    """
    await post_request(with_avito, *asked)


@pytest.mark.parametrize("body", [*samples(), *kept(), GOOD])
def test_what_was_found_before_stays_harmless(body: bytes) -> None:
    """
    Samples, and all that `make fuzz` has found, go through what reads webhooks, and a good one behind them.
    """
    one(body)


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(DEEP, id="deep"),
        pytest.param(
            encoded(event(id="d")).replace(b'"text"', b'"deep": ' + DEEP[99_200:-99_200] + b', "text"'), id="d"
        ),
        pytest.param(encoded(event(created=0)).replace(b" 0", b" " + b"7" * 5000), id="number of 5000 digits"),
        pytest.param(encoded(event(user_id="\ud800")), id="user id that is no text"),
        pytest.param(encoded(event(id="k")).replace(b'"message"', b'"\\udfff"'), id="type that is no text"),
        pytest.param(encoded(event(chat_id="..")), id="chat id that is a step up"),
        pytest.param(encoded(event(id="a\r\nX-Header: 1")), id="id with a header in it"),
        pytest.param(encoded(event(id="n", created=float("nan"), item_id=float("inf"))), id="no numbers"),
    ],
)
async def test_nothing_odd_is_a_fault_or_in_the_way(whole: Gateway, sandbox: Sandbox, body: bytes) -> None:
    """
    What strangers may think of gets 200 or 400, and a good webhook behind it in the same chat reaches n8n.
    """
    await post_webhook(whole, sandbox, body)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("x", DEEP),
        ("expires_in", b"9" * 100_000),
        ("expires_in", b"NaN"),
        ("expires_in", b"1e999"),
        ("send_at", b"9" * 400),
        ("idempotency_key", b'"\\udfff"'),
        ("chat_id", b'".."'),
        ("callback_url", b'"http://n8n.test:5678/a\\r\\nX: y"'),
        ("callback_url", b'"http://n8n.test:5678@evil.test/"'),
        ("callback_url", b'"http://evil.test\\\\@n8n.test:5678/"'),
        ("callback_url", b'"http://evil.test#@n8n.test:5678/"'),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_odd_field_is_a_problem(gateway: Gateway, field: str, value: bytes, chunked: bool) -> None:
    """
    It is refused with 400 or 422, whether its length was announced or not; of a name given twice the last one counts.
    """
    body = b'{"chat_id": "c", "text": "x", "%s": %s}' % (field.encode(), value)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 30_000):
            yield body[at : at + 30_000]

    answer = await gateway.http.post("/api/messages/send", content=pieces() if chunked else body)

    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["code"] in ("bad_json", "validation_failed", "callback_not_allowed")


@pytest.mark.parametrize("path", ["/webhook/avito", "/api/messages/send", "/api/messages/send/image"])
async def test_a_body_whose_length_nobody_told_has_the_same_limit(gateway: Gateway, path: str) -> None:
    """
    A chunked body of more than 1 MiB is 413.
    """

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 65_536

    answer = await gateway.http.post(path, content=pieces())

    assert (413, "body_too_large") == (answer.status_code, answer.json()["code"])
