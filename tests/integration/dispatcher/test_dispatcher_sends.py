"""
Each kind of command reaches Avito.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from common.queue.keys import AccountKeys
from tests.integration.dispatcher.gateway import Start

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100


async def test_a_text_is_sent_and_its_record_says_so(start: Start) -> None:
    """
    The record holds the message id, Avito's answer, and the attempt in its timeline.
    """
    gateway = await start()

    record = await gateway.done("text", {"text": "привет"})

    (message,) = gateway.sandbox.avito.sent(gateway.chat_id)
    assert ("sent", message.id) == (record.status, record.fields["message_id"])
    assert message.id == json.loads(record.fields["response"])["id"]
    attempt = next(step for step in record.timeline if step["event"] == "attempt")
    assert (attempt["step"], attempt["outcome"], attempt["status"]) == ("send", "ok", 200)
    assert "привет" not in json.dumps(attempt, ensure_ascii=False)


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ({"url": "https://a.b/c"}, "link", "https://a.b/c"),
        ({"url": "https://a.b/c", "text": "Look"}, "text", "Look\nhttps://a.b/c"),
    ],
)
async def test_a_link_is_sent_as_a_text(start: Start, body: dict[str, object], kind: str, text: str) -> None:
    """
    Avito has no call for links and makes a link of a lone address by itself.
    """
    gateway = await start()

    record = await gateway.done("link", body)

    (message,) = gateway.sandbox.avito.sent(gateway.chat_id)
    content = message.content["link"] if kind == "link" else message.content
    assert ("sent", kind, text) == (record.status, message.type, content["text"])


async def test_an_image_by_its_id(start: Start) -> None:
    """
    An uploaded image is sent without fetching anything.
    """
    gateway = await start()
    image = gateway.sandbox.avito.upload(int(gateway.user_id), "a.png", "image/png", PNG)

    record = await gateway.done("image", {"image_id": image.id})

    assert record.status == "sent"
    assert [message.type for message in gateway.sandbox.avito.sent(gateway.chat_id)] == ["image"]


async def test_an_image_by_its_address(start: Start) -> None:
    """
    An image is fetched, uploaded and sent; the fetch takes no token, the two calls take one each.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(PNG), PNG))
            await writer.drain()
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    gateway = await start()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a"
        record = await gateway.done("image", {"image_url": url})

    assert record.status == "sent"
    assert [message.type for message in gateway.sandbox.avito.sent(gateway.chat_id)] == ["image"]
    assert gateway.requests("uploadImages") == 1


async def test_an_address_without_an_image_is_a_dead_letter(start: Start) -> None:
    """
    The dead letter names what is wrong with the address.
    """
    gateway = await start(allow_private_hosts=())

    record = await gateway.done("image", {"image_url": f"{gateway.sandbox.control_url}/a.png"})

    letter = await gateway.letter(record.id)
    assert (record.status, letter.fields["reason"]) == ("failed", "rejected")
    assert "ALLOW_PRIVATE_HOSTS" in letter.fields["detail"]


async def test_read_and_delete(start: Start) -> None:
    """
    A chat is marked as read, and one of our messages deleted.
    """
    gateway = await start()
    inbound = gateway.sandbox.avito.receive(gateway.chat_id, "hello", announce=False)
    sent = await gateway.done("text", {"text": "oops"})

    read = await gateway.done("read", {})
    deleted = await gateway.done("delete", {"message_id": sent.fields["message_id"]})

    assert (read.status, deleted.status) == ("sent", "sent")
    assert inbound.read_s > 0
    assert [message.type for message in gateway.sandbox.avito.sent(gateway.chat_id)] == ["deleted"]


async def test_what_avito_refuses_is_a_dead_letter(start: Start) -> None:
    """
    An unknown chat is refused at once, with Avito's words.
    """
    gateway = await start()

    record = await gateway.done("text", {"text": "x"}, chat_id="u2i-nowhere")

    letter = await gateway.letter(record.id)
    assert (
        record.status,
        letter.fields["reason"],
        letter.fields["detail"],
    ) == ("failed", "rejected", "Avito refused with 404: Not found")
    assert gateway.requests("u2i-nowhere") == 1


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"kind": "text", "chat_id": "c", "body": "not json"}, "body: "),
        ({"kind": "sing", "chat_id": "c", "body": "{}"}, "kind: "),
        ({"kind": "text", "body": '{"text":"x"}'}, "chat_id: "),
    ],
)
async def test_what_somebody_added_by_hand_and_is_no_command(start: Start, fields: dict[Any, Any], detail: str) -> None:
    """
    An entry that is no command becomes a dead letter that names the field.
    """
    gateway = await start(run=False)
    keys = AccountKeys(gateway.settings.key_prefix, gateway.user_id)
    async with gateway.connections.blocking.pubsub(ignore_subscribe_messages=True) as ends:
        await ends.subscribe(keys.done)
        entry_id = str(await gateway.connections.commands.xadd(keys.commands.stream, fields))
        gateway.run()
        while await ends.get_message(timeout=10) is None:
            pass

    record = await gateway.end(entry_id)
    (letter,) = await gateway.dead.list(gateway.user_id, "commands")
    assert (record.status, letter.fields["reason"]) == ("failed", "malformed")
    assert letter.fields["detail"].startswith(detail)


async def test_a_command_added_by_hand_is_sent(start: Start) -> None:
    """
    Kind, chat and body are enough; the entry id is the command's id.
    """
    gateway = await start(run=False)
    keys = AccountKeys(gateway.settings.key_prefix, gateway.user_id)
    fields: dict[Any, Any] = {"kind": "text", "chat_id": gateway.chat_id, "body": '{"text":"by hand"}'}
    await gateway.connections.commands.xadd(keys.commands.stream, fields)
    gateway.run()

    await gateway.sandbox.avito.wait_for(lambda avito: len(avito.sent()) == 1)

    assert gateway.texts() == ["by hand"]


async def test_what_has_expired_is_not_sent(start: Start) -> None:
    """
    After `expires_at` nothing goes out.
    """
    gateway = await start(run=False)
    late = await gateway.queue("text", {"text": "late"}, expires_at_ms=int(time.time() * 1000) - 1)
    gateway.run()

    assert (await gateway.end(late)).status == "expired"
    assert gateway.texts() == []


async def test_a_chat_stays_in_order(start: Start) -> None:
    """
    Messages of one chat arrive as they were accepted, those of both priorities by themselves.
    """
    gateway = await start(run=False)
    ids = [await gateway.queue("text", {"text": str(number)}) for number in range(20)]
    gateway.run()
    for command_id in ids:
        await gateway.end(command_id)

    assert [str(number) for number in range(20)] == gateway.texts()
