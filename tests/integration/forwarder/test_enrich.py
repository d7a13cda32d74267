"""
Names and ads, asked of the stand-in for Avito.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from common.avito.client import Avito
from common.queue.connection import Connections
from common.queue.keys import AccountKeys
from common.settings import Settings
from forwarder.enrich import Chats
from forwarder.voice import VoiceLinks
from sandbox import AvitoFault, Sandbox
from tests.integration.forwarder.stage import USER_ID, Configure

LONG_S = 10.0


class Desk:
    """
    Makes `Chats` that share one Avito client, as the processes of one account would share Redis.
    """

    def __init__(self, settings: Settings, connections: Connections, avito: Avito, sandbox: Sandbox) -> None:
        self.account = settings.accounts[0]
        self.keys = AccountKeys(settings.key_prefix, USER_ID)
        self.connections = connections
        self.avito = avito
        self.sandbox = sandbox

    def chats(self) -> Chats:
        """
        Return one process's look-ups.
        """
        return Chats(self.account, self.avito, self.connections, self.keys)

    def asked(self) -> tuple[int, int]:
        """
        Return how many lists and how many single chats Avito was asked for.
        """
        paths = [record.path.rstrip("/") for record in self.sandbox.journal.list("avito", path="/chats")]
        lists = sum(path.endswith("/chats") for path in paths)
        return lists, len(paths) - lists


@pytest.fixture(name="desk")
async def _desk(configure: Configure, connections: Connections, sandbox: Sandbox) -> AsyncIterator[Desk]:
    settings = configure(connection_timeout=0.5)
    avito = Avito(settings, connections)
    yield Desk(settings, connections, avito, sandbox)
    await avito.aclose()


async def test_many_unknown_chats_are_one_question(desk: Desk) -> None:
    """
    Forty chats asked for at once are named by one list; each is kept in Redis for a day.
    """
    created = [desk.sandbox.avito.create_chat(customer_name=f"Name {number}") for number in range(40)]
    chats = desk.chats()
    found = await asyncio.gather(*(chats.get(chat.id, LONG_S) for chat in created))
    names = [chat and chat.client_name(USER_ID, None) for chat in found]
    life_s = await desk.connections.commands.ttl(desk.keys.chat(created[0].id))

    assert [chat.customer_name for chat in created] == names
    assert desk.asked() == (1, 0)
    assert 86_000 < life_s <= 86_400


async def test_a_chat_is_asked_for_once(desk: Desk) -> None:
    """
    Neither the same process nor another one asks again for a chat that is known; all who wait share one answer.
    """
    chat = desk.sandbox.avito.create_chat(customer_name="Анна")
    first, second = desk.chats(), desk.chats()
    found = [
        *await asyncio.gather(*(first.get(chat.id, LONG_S) for _ in range(5))),
        await first.get(chat.id, LONG_S),
        await second.get(chat.id, LONG_S),
    ]

    assert [known and known.client_name(USER_ID, None) for known in found] == 7 * ["Анна"]
    assert desk.asked() == (1, 0)


async def test_the_list_names_chats_nobody_asked_for_yet(desk: Desk) -> None:
    """
    A list names up to a hundred fresh chats: their first messages need no question.
    """
    one, other = desk.sandbox.avito.create_chat(), desk.sandbox.avito.create_chat()
    chats = desk.chats()

    assert None not in [await chats.get(chat.id, LONG_S) for chat in (one, other)]
    assert desk.asked() == (1, 0)


async def test_a_chat_the_list_does_not_show_is_got_by_itself(desk: Desk) -> None:
    """
    Behind the first hundred a chat is got by itself; one that does not exist is not asked for again.
    """
    old = desk.sandbox.avito.create_chat(customer_name="Олег")
    for _ in range(100):
        desk.sandbox.avito.create_chat()
    chats = desk.chats()
    found, nobody = await asyncio.gather(chats.get(old.id, LONG_S), chats.get("u2i-nobody", LONG_S))
    again = await chats.get("u2i-nobody", LONG_S)

    assert found is not None
    assert (found.client_name(USER_ID, None), nobody, again) == ("Олег", None, None)
    assert desk.asked() == (1, 2)


async def test_all_kinds_of_chats_are_listed(desk: Desk) -> None:
    """
    Chats by profile are named as well, though Avito lists only those by ad unless told.
    """
    chat = desk.sandbox.avito.create_chat("u2u-eeE5W8c5Fzps3~AAlgzZVw", customer_name="Глеб")
    found = await desk.chats().get(chat.id, LONG_S)

    assert found is not None
    assert found.client_name(USER_ID, None) == "Глеб"
    assert desk.asked() == (1, 0)


async def test_nobody_waits_longer_than_told(desk: Desk) -> None:
    """
    While Avito is silent an event goes on without a name after its wait; later ones do not even begin to wait.
    """
    desk.sandbox.faults.add(AvitoFault(kind="hang"))
    chat = desk.sandbox.avito.create_chat()
    chats = desk.chats()
    begun_s = asyncio.get_running_loop().time()

    assert await chats.get(chat.id, 0.05) is None
    assert await chats.get(chat.id, 0.05) is None
    assert asyncio.get_running_loop().time() - begun_s < 0.4

    await chats.aclose()


async def test_after_a_failure_nobody_asks_for_a_while(desk: Desk) -> None:
    """
    A failure is told once, costs no further tokens, and never becomes the event's.
    """
    desk.sandbox.faults.add(AvitoFault(kind="status", status=500, path="*/chats"))
    created = [desk.sandbox.avito.create_chat() for _ in range(3)]
    chats = desk.chats()
    with capture_logs() as logs:
        found = [await chats.get(chat.id, LONG_S) for chat in created]
    asked, _ = desk.asked()

    assert (found, [line["event"] for line in logs].count("chat.lookup_failed")) == ([None, None, None], 1)
    # The one question was repeated by `read`, as reads may be.
    assert asked <= 3


async def test_a_wait_of_zero_asks_nobody(desk: Desk) -> None:
    """
    ENRICH_WAIT=0 turns looking up off.
    """
    chat = desk.sandbox.avito.create_chat()

    assert (
        await desk.chats().get(chat.id, 0),
        await VoiceLinks(desk.account, desk.avito).get("v", 0),
    ) == (None, None)
    assert desk.asked() == (0, 0)


async def test_what_others_left_in_the_cache_is_asked_anew(desk: Desk) -> None:
    """
    A cached value that is no chat is replaced.
    """
    chat = desk.sandbox.avito.create_chat(customer_name="Мария")
    await desk.connections.commands.set(desk.keys.chat(chat.id), "garbage")
    found = await desk.chats().get(chat.id, LONG_S)
    cached = await desk.connections.commands.get(desk.keys.chat(chat.id))

    assert found is not None
    assert found.client_name(USER_ID, None) == "Мария"
    assert cached is not None
    assert cached != "garbage"


async def test_a_voice_link_that_fails_is_left_out(desk: Desk) -> None:
    """
    Without a link the voice message is delivered all the same; a link under way is ended with the forwarder.
    """
    voice = VoiceLinks(desk.account, desk.avito)
    link = await voice.get("v-1", LONG_S)
    desk.sandbox.faults.add(AvitoFault(kind="status", status=404, count=1))
    refused = await voice.get("v-1", LONG_S)
    desk.sandbox.faults.add(AvitoFault(kind="hang"))
    silent = await voice.get("v-1", 0.05)
    await voice.aclose()

    assert link is not None
    assert link.endswith("v-1.mp4")
    assert (refused, silent) == (None, None)
