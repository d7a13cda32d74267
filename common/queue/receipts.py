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
# More than the seconds for which times by Avito's clock leave open what came first.
BEFORE_MS: Final = 30_000


def fingerprint(content_type: str, content: object) -> str:
    """
    Return a mark that is equal for what we send and what Avito echoes: of the text, or of any image.

    Avito turns a text that is an address into type `link`; its text counts then. White space counts as `plain` leaves
    it. Empty for what we never send.
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
    return hashlib.sha256(plain(text).encode()).hexdigest()[:32]


def plain(text: str) -> str:
    """
    Leave out what a chat may change about white space.
    """
    return " ".join(text.split())


class Receipts:
    """
    Reads what echoes and settled sends have noted: `K:sent:<chat>` and the records of our own messages.
    """

    def __init__(self, connections: Connections, prefix: str) -> None:
        self._connections = connections
        self._prefix = prefix

    async def echo(
        self, user_id: str, chat_id: str, since_ms: int, mark: str, *, created_since_ms: int | None
    ) -> str | None:
        """
        Return the oldest message seen after `since_ms` (Redis' clock) with this mark that is no command's result yet.

        No echo of ours is there within the millisecond in which its attempt began: one of that time was there before.

        An echo may be late: what was created before `created_since_ms` (Avito's clock, None where it is not known) does
        not count, whenever it was seen.
        """
        keys = AccountKeys(self._prefix, user_id)
        with mapped():
            ids = await self._connections.commands.zrangebyscore(keys.sent(chat_id), f"({since_ms}", "+inf")
            for message_id in map(str, ids):
                seen, command_id, created = await self._connections.commands.hmget(
                    keys.event(message_id), "fingerprint", "command_id", "created"
                )
                is_older = created is not None and created_since_ms is not None and int(created) < created_since_ms
                if seen == mark and command_id is None and not is_older:
                    return message_id
        return None

    async def others(self, user_id: str, chat_id: str, message_ids: Sequence[str], since_ms: int) -> set[str]:
        """
        Return those that cannot be the result of an attempt begun at `since_ms` (Redis' clock): they are
        another command's, or Avito had told us of them shortly before. A longer time is no proof: Redis' clock may have
        been set back since.
        """
        keys = AccountKeys(self._prefix, user_id)
        with mapped():
            pipe = self._connections.commands.pipeline(transaction=False)
            for message_id in message_ids:
                pipe.hget(keys.event(message_id), "command_id")
                pipe.zscore(keys.sent(chat_id), message_id)
            replies = await pipe.execute()
        return {
            message_id
            for message_id, owner, seen_ms in zip(message_ids, replies[::2], replies[1::2], strict=True)
            if owner is not None or (seen_ms is not None and 0 <= since_ms - seen_ms <= BEFORE_MS)
        }
