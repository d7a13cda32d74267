"""
Receipts: which of our own messages Avito has shown us, and which command each belongs to (design section 5).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from common.queue.connection import Connections, mapped
from common.queue.keys import AccountKeys

KEPT_S: Final = 3600


def fingerprint(content_type: str, content: object) -> str:
    """
    Return a mark that is equal for what we send and what Avito echoes: of the text, or of any image.

    Avito turns a text that is an address into type `link`; its text counts then. Empty for what we never send.
    """
    if not isinstance(content, Mapping):
        return ""
    text: object = None
    if content_type == "text":
        text = content.get("text")
    elif content_type == "link":
        link = content.get("link")
        text = (link.get("text") or link.get("url")) if isinstance(link, Mapping) else None
    elif content_type == "image":
        return "image"
    if not isinstance(text, str):
        return ""
    return hashlib.sha256(text.strip().encode()).hexdigest()[:32]


class Receipts:
    """
    Reads what echoes and settled sends have noted: `K:sent:<chat>` and the records of our own messages.
    """

    def __init__(self, connections: Connections, prefix: str) -> None:
        self._connections = connections
        self._prefix = prefix

    async def echo(self, user_id: str, chat_id: str, since_ms: int, mark: str) -> str | None:
        """
        Return the oldest message seen since `since_ms` (Redis' clock) with this mark that is no command's result yet.
        """
        keys = AccountKeys(self._prefix, user_id)
        with mapped():
            ids = await self._connections.commands.zrangebyscore(keys.sent(chat_id), since_ms, "+inf")
            for message_id in map(str, ids):
                seen, command_id = await self._connections.commands.hmget(
                    keys.event(message_id), "fingerprint", "command_id"
                )
                if seen == mark and command_id is None:
                    return message_id
        return None

    async def claimed(self, user_id: str, message_ids: Sequence[str]) -> set[str]:
        """
        Return those of the messages that are the result of a command.
        """
        if not message_ids:
            return set()
        keys = AccountKeys(self._prefix, user_id)
        with mapped():
            pipe = self._connections.commands.pipeline(transaction=False)
            for message_id in message_ids:
                pipe.hget(keys.event(message_id), "command_id")
            owners = await pipe.execute()
        return {message_id for message_id, owner in zip(message_ids, owners, strict=True) if owner is not None}
