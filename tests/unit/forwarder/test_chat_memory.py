"""
Chats remembered in the process.
"""

from __future__ import annotations

from forwarder.chat import Chat
from forwarder.memory import Memory

ANNA = Chat(names={"2": "Анна"})


def test_a_chat_is_remembered_for_its_time() -> None:
    """
    After its life a chat is unknown again; that there is none is remembered as well.
    """
    now_s = [0.0]
    memory = Memory(10.0, clock_s=lambda: now_s[0])
    memory.put("a", ANNA)
    memory.put("b", None)

    assert [(memory.knows(name), memory.get(name)) for name in "abc"] == [(True, ANNA), (True, None), (False, None)]

    now_s[0] = 10.0

    assert [(memory.knows(name), memory.get(name)) for name in "ab"] == [(False, None), (False, None)]


def test_the_oldest_makes_room() -> None:
    """
    The memory never grows beyond its size; what was put last stays.
    """
    memory = Memory(10.0, size=2)
    for chat_id in ("a", "b", "a", "c"):
        memory.put(chat_id, ANNA)

    assert [memory.knows(chat_id) for chat_id in ("a", "b", "c")] == [True, False, True]
