"""
The chat list and the chat call: facts 4.10, 4.11 and 9, samples 05, 06 and 18.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox import Options, Sandbox

if TYPE_CHECKING:
    from tests.sandbox.conftest import Seller


async def test_chat_shape(sandbox: Sandbox, seller: Seller) -> None:
    """
    A chat has the keys of sample 06, no unread counter, and the account among its users.
    """
    sandbox.avito.receive(seller.chat_id, "123")

    chat = (await seller.get("/v2/C")).json()

    assert ["id", "context", "created", "updated", "users", "last_message"] == list(chat)
    value = ["id", "title", "user_id", "images", "status_id", "price_string", "url", "location"]
    assert ("item", value) == (chat["context"]["type"], list(chat["context"]["value"]))
    last = ["id", "author_id", "created", "content", "type", "direction", "delivered"]
    assert last == list(chat["last_message"])
    assert seller.user_id in [user["id"] for user in chat["users"]]
    assert ["id", "name", "parsing_allowed", "public_user_profile"] == list(chat["users"][0])
    assert chat["context"]["value"]["id"] > 2**31


async def test_list_is_latest_first(sandbox: Sandbox, seller: Seller) -> None:
    """
    The chat that was written to last comes first; pages have `meta.has_more`.
    """
    ids = [chat.id for chat in sandbox.avito.chats]
    sandbox.avito.receive(ids[0], "x")

    page = (await seller.get("/v2/A/chats", limit=1)).json()
    rest = (await seller.get("/v2/A/chats/", offset=1)).json()

    assert ([ids[0]], {"has_more": True}) == ([chat["id"] for chat in page["chats"]], page["meta"])
    assert ([ids[2], ids[1]], {"has_more": False}) == ([chat["id"] for chat in rest["chats"]], rest["meta"])


async def test_default_is_u2i_only(sandbox: Sandbox, seller: Seller) -> None:
    """
    Chats by profile are listed only when asked for, and have no context.
    """
    other = sandbox.avito.create_chat(type="u2u")

    plain = (await seller.get("/v2/A/chats")).json()["chats"]
    asked = (await seller.get("/v2/A/chats", chat_types="u2u,a2u")).json()["chats"]

    assert other.id not in [chat["id"] for chat in plain]
    assert [(other.id, False)] == [(chat["id"], "context" in chat) for chat in asked]
    assert 400 == (await seller.get("/v2/A/chats", chat_types="x")).status_code


async def test_filters(sandbox: Sandbox, seller: Seller) -> None:
    """
    Item ids, joined or repeated, and unread_only narrow the list; reading a chat empties the unread list.
    """
    first, second, third = sandbox.avito.chats
    sandbox.avito.receive(second.id, "x")
    wanted = {first.id, third.id}

    joined = (await seller.get("/v2/A/chats", item_ids=f"{first.item_id},{third.item_id}")).json()["chats"]
    repeated = (await seller.get("/v2/A/chats", item_ids=[first.item_id, third.item_id])).json()["chats"]
    unread = (await seller.get("/v2/A/chats", unread_only="true")).json()["chats"]
    await seller.post(f"/v1/A/chats/{second.id}/read")

    assert (wanted, wanted) == ({chat["id"] for chat in joined}, {chat["id"] for chat in repeated})
    assert [second.id] == [chat["id"] for chat in unread]
    assert [] == (await seller.get("/v2/A/chats", unread_only="true")).json()["chats"]
    assert 400 == (await seller.get("/v2/A/chats", item_ids="x")).status_code


async def test_own_messages_are_not_unread(sandbox: Sandbox, seller: Seller) -> None:
    """
    A chat with nothing but our own messages is not unread.
    """
    await seller.send("x")

    assert [] == (await seller.get("/v2/A/chats", unread_only="true")).json()["chats"]


async def test_reset(sandbox: Sandbox, seller: Seller) -> None:
    """
    A reset leaves the demo chats and the tokens, and nothing else.
    """
    await seller.send("x")
    sandbox.avito.create_chat("u2i-extra")

    sandbox.reset()

    assert ([], 3, 0) == (sandbox.avito.sent(), len(sandbox.avito.chats), len(sandbox.journal.records))
    assert 3 == len((await seller.get("/v2/A/chats")).json()["chats"])


async def test_two_sandboxes_share_nothing() -> None:
    """
    Two sandboxes run in one process, each with ports and chats of its own.
    """
    async with Sandbox.start(Options(chats=1)) as one, Sandbox.start(chats=2) as two:
        assert one.avito_url != two.avito_url
        assert (1, 2) == (len(one.avito.chats), len(two.avito.chats))
