"""
Sending, reading and deleting at the Avito stand-in: facts, sections 4, 5 and 8.
"""

from __future__ import annotations

import hashlib
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sandbox import Behaviour

if TYPE_CHECKING:
    from sandbox import Sandbox
    from tests.sandbox.conftest import Seller

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100
IMAGE_MAX = 24 * 1024 * 1024


async def test_sent_text(sandbox: Sandbox, seller: Seller) -> None:
    """
    The answer to a sent text has the keys of sample 13, and the message is in the chat.
    """
    answer = await seller.send("привет")

    body = answer.json()
    assert ["id", "author_id", "created", "content", "type", "direction"] == list(body)
    assert (200, {"text": "привет"}, "text", "out") == (
        answer.status_code,
        body["content"],
        body["type"],
        body["direction"],
    )
    assert [body["id"]] == [message.id for message in sandbox.avito.sent(seller.chat_id)]


@pytest.mark.parametrize("text", ["", "x" * 1001, None, 5, ["x"]])
async def test_bad_texts(sandbox: Sandbox, seller: Seller, text: Any) -> None:
    """
    What is not 1 to 1000 characters is a 400 that names the field, and nothing is stored.
    """
    answer = await seller.send(text)

    assert (400, ["message.text"]) == (answer.status_code, list(answer.json()["error"]["fields"]))
    assert [] == sandbox.avito.sent()


@pytest.mark.parametrize("text", ["x", "x" * 1000, "ж" * 1000])
async def test_limits_of_text(seller: Seller, text: str) -> None:
    """
    One character and a thousand are taken; letters are counted, not bytes.
    """
    assert 200 == (await seller.send(text)).status_code


@pytest.mark.parametrize(
    ("content", "status"), [(b"{", 400), (b"[]", 400), (b'{"type":"voice","message":{"text":"x"}}', 400)]
)
async def test_bad_bodies(seller: Seller, content: bytes, status: int) -> None:
    """
    Broken JSON, other shapes and other types are a 400.
    """
    path = f"/messenger/v1/accounts/{seller.user_id}/chats/{seller.chat_id}/messages"

    assert status == (await seller.http.post(path, content=content)).status_code


async def test_url_becomes_a_link(seller: Seller) -> None:
    """
    A text that is one URL becomes a link; a URL inside a text does not.
    """
    link = (await seller.send("https://avito.ru/x")).json()
    text = (await seller.send("see https://avito.ru/x")).json()

    assert ("link", "text") == (link["type"], text["type"])
    assert {"link": {"text": "https://avito.ru/x", "url": "https://avito.ru/x", "preview": None}} == link["content"]


async def test_unknown_chat_and_route(seller: Seller) -> None:
    """
    An unknown chat is the component's 404, an unknown route is Kong's, and so is an old version.
    """
    component = {"error": {"code": 404, "message": "Not found"}}
    kong = {"message": "no Route matched with those values"}

    answers = [
        await seller.send("x", chat_id="u2i-nobody"),
        await seller.get("/v3/A/chats/u2i-nobody/messages"),
        await seller.get("/v1/subscriptions"),
        await seller.post("/v2/webhook", {"url": "http://127.0.0.1/"}),
        await seller.get("/v1/A/chats"),
    ]

    assert [404] * 5 == [answer.status_code for answer in answers]
    assert [component, component, kong, kong, kong] == [answer.json() for answer in answers]


async def test_chat_ids_with_a_tilde(sandbox: Sandbox, seller: Seller) -> None:
    """
    A chat id with `~` is found percent-encoded and as it is.
    """
    sandbox.avito.create_chat("u2i-ddD430kaZhxk~xihAdJ8Ow")

    for chat_id in ("u2i-ddD430kaZhxk~xihAdJ8Ow", "u2i-ddD430kaZhxk%7ExihAdJ8Ow"):
        assert 200 == (await seller.get(f"/v2/A/chats/{chat_id}")).status_code


async def test_messages_newest_first(seller: Seller) -> None:
    """
    Messages come newest first, in pages, with `meta.has_more`; both paths work.
    """
    for number in range(5):
        await seller.send(f"text {number}")

    first = (await seller.get("/v3/C/messages/", limit=2)).json()
    last = (await seller.get("/v3/C/messages", limit=2, offset=4)).json()

    assert ["text 4", "text 3"] == [message["content"]["text"] for message in first["messages"]]
    assert ["text 0"] == [message["content"]["text"] for message in last["messages"]]
    assert ({"has_more": True}, {"has_more": False}) == (first["meta"], last["meta"])
    assert {"messages": [], "meta": {"has_more": False}} == (await seller.get("/v3/C/messages", offset=99)).json()


async def test_message_shape(sandbox: Sandbox, seller: Seller) -> None:
    """
    A message has the keys of samples 07 and 08: `read` only once it was read, `isRead` always.
    """
    sandbox.avito.receive(seller.chat_id, "Добрый день")
    unread = (await seller.get("/v3/C/messages")).json()["messages"][0]
    assert {"ok": True} == (await seller.post("/v1/C/read")).json()
    read = (await seller.get("/v3/C/messages")).json()["messages"][0]

    keys = ["id", "author_id", "created", "content", "type", "direction", "isRead"]
    assert (keys, [*keys, "read"]) == (list(unread), list(read))
    assert ("in", False, True) == (unread["direction"], unread["isRead"], read["isRead"])


async def test_shapes_of_the_specification(sandbox: Sandbox, seller: Seller) -> None:
    """
    The bare array and `is_read` of the specification can be switched on.
    """
    sandbox.avito.behaviour = Behaviour(lists="array", read_field="is_read")
    await seller.send("x")

    body = (await seller.get("/v3/C/messages")).json()

    assert isinstance(body, list)
    assert body[0]["is_read"] is False


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 101}, {"offset": 1001}, {"offset": -1}, {"limit": "x"}, {"limit": "9" * 5000}]
)
@pytest.mark.parametrize("path", ["/v2/A/chats", "/v3/C/messages"])
async def test_bad_pages(seller: Seller, path: str, query: dict[str, Any]) -> None:
    """
    A limit above 100 or an offset above 1000 is a 400 that names the parameter.
    """
    answer = await seller.get(path, **query)

    assert (400, list(query)) == (answer.status_code, list(answer.json()["error"]["fields"]))


async def test_delete_window(sandbox: Sandbox, seller: Seller) -> None:
    """
    A message can be deleted for an hour; it stays in the history as `deleted`, and what is older is refused.
    """
    young, old = [(await seller.send(text)).json()["id"] for text in ("young", "old")]

    assert (200, {}) == ((answer := await seller.post(f"/v1/C/messages/{young}")).status_code, answer.json())
    sandbox.clock.shift_s = 3605
    assert 400 == (await seller.post(f"/v1/C/messages/{old}")).status_code
    assert 404 == (await seller.post("/v1/C/messages/00")).status_code
    shown = (await seller.get("/v3/C/messages")).json()["messages"]
    assert [("text", {"text": "old"}), ("deleted", {})] == [(one["type"], one["content"]) for one in shown]


async def test_customers_messages_cannot_be_deleted(sandbox: Sandbox, seller: Seller) -> None:
    """
    Deleting what the customer wrote is forbidden.
    """
    message = sandbox.avito.receive(seller.chat_id, "x")

    assert 403 == (await seller.post(f"/v1/C/messages/{message.id}")).status_code


async def test_image(sandbox: Sandbox, seller: Seller) -> None:
    """
    An uploaded picture has one key, its id (sample 14), and can be sent; the bytes arrive as they were.
    """
    answer = await seller.http.post(
        f"/messenger/v1/accounts/{seller.user_id}/uploadImages",
        files={"uploadfile[]": ("part.png", PNG, "image/png")},
    )
    [(image_id, sizes)] = answer.json().items()
    sent = (await seller.post("/v1/C/messages/image", {"image_id": image_id})).json()

    assert ["1280x960", "140x105", "32x32"] == list(sizes)
    assert ("image", {"image": {"sizes": sizes}}) == (sent["type"], sent["content"])
    assert hashlib.sha256(PNG).hexdigest() == sandbox.avito.images.by_id[image_id].sha256
    async with httpx.AsyncClient() as anybody:
        assert "image/png" == (await anybody.get(sizes["1280x960"])).headers["content-type"]


@pytest.mark.parametrize(
    ("part", "content", "status"),
    [
        ("file", PNG, 400),
        ("uploadfile[]", b"%PDF-1.7", 400),
        ("uploadfile[]", PNG.ljust(IMAGE_MAX + 1), 400),
        ("uploadfile[]", PNG.ljust(IMAGE_MAX + 100_000), 413),
    ],
)
async def test_bad_uploads(sandbox: Sandbox, seller: Seller, part: str, content: bytes, status: int) -> None:
    """
    Another part name, another kind of file and more than 24 MB are refused.
    """
    answer = await seller.http.post(
        f"/messenger/v1/accounts/{seller.user_id}/uploadImages", files={part: ("x.png", content, "image/png")}
    )

    assert (status, {}) == (answer.status_code, sandbox.avito.images.by_id)


async def test_largest_upload(seller: Seller) -> None:
    """
    Exactly 24 MB are taken.
    """
    answer = await seller.http.post(
        f"/messenger/v1/accounts/{seller.user_id}/uploadImages",
        files={"uploadfile[]": ("x.png", PNG.ljust(IMAGE_MAX), "image/png")},
    )

    assert 200 == answer.status_code


async def test_unknown_image(seller: Seller) -> None:
    """
    Sending an image that was not uploaded names the field.
    """
    answer = await seller.post("/v1/C/messages/image", {"image_id": "1.x"})

    assert (400, ["image_id"]) == (answer.status_code, list(answer.json()["error"]["fields"]))


@pytest.mark.parametrize("query", [{"voice_ids": ["a", "b"]}, {"voice_ids": "a,b"}])
async def test_voice_links(seller: Seller, query: dict[str, Any]) -> None:
    """
    Voice ids may be repeated or joined by commas.
    """
    urls = (await seller.get("/v1/A/getVoiceFiles", **query)).json()["voices_urls"]

    assert ["a", "b"] == list(urls)
    assert 400 == (await seller.get("/v1/A/getVoiceFiles")).status_code


async def test_blacklist(sandbox: Sandbox, seller: Seller) -> None:
    """
    A block is answered by an empty body (sample 17); a reason outside 1 to 4 is refused.
    """
    user = {"user_id": 94235311, "context": {"item_id": 1768287444, "reason_id": 1}}
    answer = await seller.post("/v2/A/blacklist", {"users": [user]})
    bad = await seller.post("/v2/A/blacklist", {"users": [{**user, "context": {"item_id": 1, "reason_id": 5}}]})

    assert (200, b"", [user]) == (answer.status_code, answer.content, sandbox.avito.blacklist)
    assert 400 == bad.status_code


async def test_date_is_the_sandbox_clock(sandbox: Sandbox, seller: Seller) -> None:
    """
    The Date header and `created` follow the shifted clock together.
    """
    sandbox.clock.shift_s = 7200
    answer = await seller.send("x")

    date_s = parsedate_to_datetime(answer.headers["date"]).timestamp()
    assert abs(date_s - sandbox.clock.now_s()) < 5
    assert abs(date_s - answer.json()["created"]) <= 1
