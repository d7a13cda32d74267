"""
What is unread: paging through Avito's lists, with bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from common.avito import calls, reads
from common.avito.client import Avito
from common.avito.messages import Message, chats_of, has_more, is_own, messages_of
from common.settings import Account

COUNTED_CHATS: Final = 10
MAX_CHATS: Final = 50


@dataclass(frozen=True, slots=True)
class UnreadChat:
    """
    A chat and the unread messages of it that were found, newest first.
    """

    chat: Message
    messages: list[Message]


@dataclass(frozen=True, slots=True)
class Unread:
    """
    What was found: the number of unread chats, the messages of those that were read, and whether that is not all.
    """

    chats: int
    read: list[UnreadChat]
    truncated: bool


async def look(avito: Avito, account: Account, *, wait_s: float, chats_read: int) -> Unread:
    """
    List all unread chats, and read the messages of the first `chats_read`.

    Costs one request for each 100 chats and one for each chat that is read. Raises what `reads.read` raises.
    """
    chats, truncated = await all_chats(avito, account, wait_s=wait_s, unread_only=True)
    found = []
    for chat in chats[:chats_read]:
        call = calls.messages(account.user_id, str(chat.get("id", "")))
        body = await reads.read(avito, account, call, wait_s=wait_s)
        listed = messages_of(body)
        unread = [message for message in listed if is_unread(message, account.user_id)]
        # A page full of unread messages has more behind it, as far as anybody knows.
        truncated = truncated or (len(unread) == len(listed) and has_more(body, limit=calls.PAGE))
        found.append(UnreadChat(chat, unread))
    return Unread(len(chats), found, truncated or len(chats) > chats_read)


async def all_chats(
    avito: Avito, account: Account, *, wait_s: float, unread_only: bool = False, item_ids: Sequence[int] = ()
) -> tuple[list[Message], bool]:
    """
    Return all chats of a filter, and whether Avito has more than it lists: paging ends at offset 1000.
    """
    chats: dict[str, Message] = {}
    for offset in range(0, calls.MAX_OFFSET + 1, calls.PAGE):
        call = calls.chats(account.user_id, unread_only=unread_only, item_ids=item_ids, offset=offset)
        body = await reads.read(avito, account, call, wait_s=wait_s)
        # A chat that gets a message meanwhile moves between pages: one that comes twice counts once.
        chats |= {str(chat.get("id", "")): chat for chat in chats_of(body)}
        if not has_more(body, limit=calls.PAGE):
            return list(chats.values()), False
    return list(chats.values()), True


def is_unread(message: Message, user_id: str) -> bool:
    """
    Say whether a message came in and was not read: `isRead` live, `is_read` in the specification.
    """
    incoming = message.get("direction") != "out" and not is_own(message, user_id)
    seen = message.get("isRead", message.get("is_read", False))
    return incoming and not seen and message.get("read") is None
