"""
The stand-in's answers against the payload samples: the same keys, in the same order, with values of the same kind.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sandbox import Sandbox
    from tests.sandbox.conftest import Seller

PAYLOADS = Path(__file__).parents[1] / "payloads"
PNG = b"\x89PNG\r\n\x1a\n"


def sample(name: str) -> Any:
    """
    Return a sample.
    """
    return json.loads((PAYLOADS / name).read_text(encoding="utf-8"))


def shape(value: Any) -> Any:
    """
    Return the kind of a value: keys and types, of a list its first element.
    """
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return float if isinstance(value, float) else type(value)


def same_shape(expected: Any, actual: Any) -> None:
    """
    Compare shapes, the order of keys at the top included.
    """
    assert shape(expected) == shape(actual)
    if isinstance(expected, dict):
        assert list(expected) == list(actual)


async def test_webhook(sandbox: Sandbox, seller: Seller) -> None:
    """
    A delivered message looks like the dump of 2025 (sample 02), an echo like sample 03.
    """
    sandbox.avito.webhooks.subscribe(seller.user_id, sandbox.n8n_webhook_url)
    sandbox.avito.receive(seller.chat_id, "123")
    await seller.send("Здравствуйте!")

    inbound, echo = await sandbox.n8n.wait_for(lambda received: len(received) == 2)

    for name, call in (
        ("02_webhook_v3_text_in_2025_published_at", inbound),
        ("03_webhook_v3_echo_own_message_2025", echo),
    ):
        same_shape(sample(f"{name}.json"), call.json)
        assert list(sample(f"{name}.json")["payload"]["value"]) == list(call.json["payload"]["value"])


@pytest.mark.parametrize("index", range(len(sample("21_webhook_v3_all_types_synthetic.json"))))
async def test_every_type_of_webhook(sandbox: Sandbox, seller: Seller, index: int) -> None:
    """
    Every type of message can arrive, with the content of its sample.
    """
    expected = sample("21_webhook_v3_all_types_synthetic.json")[index]["payload"]["value"]
    sandbox.avito.webhooks.subscribe(seller.user_id, sandbox.n8n_webhook_url)
    sandbox.avito.receive(
        seller.chat_id, type=expected["type"], content=expected["content"], author_id=expected["author_id"]
    )

    [call] = await sandbox.n8n.wait_for(bool)

    kept = ("type", "content", "author_id")
    assert [expected[key] for key in kept] == [call.json["payload"]["value"][key] for key in kept]


async def test_chat(sandbox: Sandbox, seller: Seller) -> None:
    """
    A chat looks like the dump of 2025 (sample 06), in the chat call and in the list (sample 18).
    """
    sandbox.avito.receive(seller.chat_id, "123")
    expected = sample("06_chat_v2_detail_2025_stub_avatars.json")

    chat = (await seller.get("/v2/C")).json()
    listed = (await seller.get("/v2/A/chats", limit=1)).json()

    same_shape(expected, chat)
    same_shape(expected, listed["chats"][0])
    same_shape(sample("18_chats_list_envelope_observed.json")["meta"], listed["meta"])


async def test_messages(sandbox: Sandbox, seller: Seller) -> None:
    """
    The messages list looks like sample 19, once the customer has read the message.
    """
    await seller.send("Hello world")
    sandbox.avito.sent()[0].read_s = 1_713_262_434

    same_shape(sample("19_messages_v3_envelope_observed.json"), (await seller.get("/v3/C/messages/")).json())


async def test_sends(seller: Seller) -> None:
    """
    Sent text and image are answered as in samples 13 and 14.
    """
    text = (await seller.send("привет")).json()
    upload = await seller.http.post(
        f"/messenger/v1/accounts/{seller.user_id}/uploadImages", files={"uploadfile[]": ("x.png", PNG, "image/png")}
    )
    [(image_id, sizes)] = upload.json().items()
    image = (await seller.post("/v1/C/messages/image", {"image_id": image_id})).json()

    same_shape(sample("13_send_text_request_response_spec.json")["response_clients"], text)
    expected = sample("14_upload_and_send_image_spec.json")
    [expected_sizes] = expected["uploadImages_response"].values()
    same_shape(expected_sizes, sizes)
    assert shape(expected["send_response"]) == shape(image)


@pytest.mark.parametrize(
    ("name", "status"), [("authError_spec", 401), ("notFoundError_spec", 404), ("kong_unknown_route_observed", 404)]
)
async def test_errors(seller: Seller, name: str, status: int) -> None:
    """
    Errors have the bodies of sample 23.
    """
    expected = sample("23_errors.json")[name]
    if status == 401:
        del seller.http.headers["Authorization"]
    path = "/v9/nothing" if name.startswith("kong") else "/v2/A/chats/u2i-nobody"

    answer = await seller.get(path)

    assert (expected["_status"], expected["body"]) == (answer.status_code, answer.json())
