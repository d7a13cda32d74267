"""
Chats remembered in the process, so that a busy chat does not cost a question to Redis for each message.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from forwarder.chat import Chat

_CHATS: Final = 10_000


class Memory:
    """
    The chats known lately, at most `size`, the oldest leaves first. None is remembered, too: Avito has no such chat.
    """

    def __init__(self, life_s: float, *, size: int = _CHATS, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._life_s = life_s
        self._size = size
        self._clock_s = clock_s
        self._chats: dict[str, tuple[float, Chat | None]] = {}

    def knows(self, chat_id: str) -> bool:
        """
        Say whether `get` has an answer, be it None.
        """
        found = self._chats.get(chat_id)
        return found is not None and found[0] > self._clock_s()

    def get(self, chat_id: str) -> Chat | None:
        """
        Return the chat, None if it is unknown or known not to be.
        """
        return self._chats[chat_id][1] if self.knows(chat_id) else None

    def put(self, chat_id: str, chat: Chat | None) -> None:
        """
        Remember a chat, or that there is none.
        """
        self._chats.pop(chat_id, None)
        self._chats[chat_id] = (self._clock_s() + self._life_s, chat)
        if len(self._chats) > self._size:
            del self._chats[next(iter(self._chats))]
