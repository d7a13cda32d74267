"""
Erasing what is kept of a chat.
"""

from __future__ import annotations

from common.queue.connection import Connections
from common.queue.dead import DeadLetters
from common.queue.entry import Entry
from common.queue.erasure import Erased, Erasure
from common.queue.gate import Permit
from common.queue.outcomes import Dead, Done, Outcome
from common.settings import Settings
from tests.harness import USER_ID, Queue, Recorder, eventually

CHAT, OTHER = "u2i-gone", "u2i-stays"


def decide(entry: Entry, _permit: Permit) -> Outcome:
    """
    Let what is marked fail, and send the rest.
    """
    if entry.id.startswith("bad"):
        return Dead("rejected", "400")
    # Its echo does not come: the result's record names no chat.
    return Done("sent", message_id=f"avito-{entry.id}")


async def accept(queue: Queue, chat_id: str) -> None:
    """
    Let a chat have a text that is sent and one that becomes a dead letter.
    """
    await queue.send(f"c-{chat_id}", chat_id, idempotency_key=f"k-{chat_id}")
    await queue.send(f"bad-{chat_id}", chat_id)


async def names(connections: Connections, queue: Queue) -> set[str]:
    """
    Return the account's keys that hold something of one message or chat.
    """
    kinds = (queue.keys.command(""), queue.keys.event(""), queue.keys.idempotency(""), queue.keys.sent(""))
    found = [key async for key in connections.commands.scan_iter(f"{queue.keys.commands.stream[:-8]}*")]
    return {key for key in found if key.startswith((*kinds, queue.keys.chat("")))}


async def test_nothing_of_a_chat_is_left_and_others_stay(
    connections: Connections, settings: Settings, queue: Queue
) -> None:
    """
    Records, results, idempotency keys, dead letters and caches of the chat are gone; another chat's are untouched.
    """
    async with queue.running(Recorder(decide)):
        await accept(queue, OTHER)
        await eventually(queue.empty)
        before = await names(connections, queue)
        await accept(queue, CHAT)
        await eventually(queue.empty)
    await connections.commands.set(queue.keys.chat(CHAT), "{}")
    await connections.commands.hset(queue.keys.recover_chats, mapping={CHAT: "m", OTHER: "m"})

    erased = await Erasure(connections, settings, USER_ID).erase(CHAT)

    assert before == await names(connections, queue)
    assert Erased(records=3, keys=1, dead_letters=1, caches=3, listed=2, under_way=0) == erased
    letters = await DeadLetters(connections, settings).list(USER_ID, "commands")
    assert [f"bad-{OTHER}"] == [letter.fields["id"] for letter in letters]
    assert [OTHER] == await connections.commands.hkeys(queue.keys.recover_chats)


async def test_what_is_under_way_is_left(connections: Connections, settings: Settings, queue: Queue) -> None:
    """
    A message that waits is still sent: it was accepted.
    """
    await queue.send("c1", CHAT)

    erased = await Erasure(connections, settings, USER_ID).erase(CHAT)

    assert Erased(records=0, keys=0, dead_letters=0, caches=0, listed=0, under_way=1) == erased
    assert 1 == await queue.left()
