"""
Erasing what is kept of one chat.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from common.queue.connection import Connections, mapped
from common.queue.keys import AccountKeys
from common.settings import Settings

_PAGE: Final = 500
_GLOB: Final = re.compile(r"([*?\[\]\\])")


@dataclass(frozen=True, slots=True)
class Erased:
    """
    How much was removed; `listed` are entries of the index of messages. `under_way` messages of the chat are still in
    the queue, and were left there.
    """

    records: int
    keys: int
    dead_letters: int
    caches: int
    listed: int
    under_way: int


class Erasure:
    """
    Removes the traces of a chat from one account. What is under way stays, for it has been promised.

    It looks at every record of the account, in pages: it is meant for a person's request and not for a busy minute.
    Repeated, it goes on: nothing that it removes is needed for it to find the rest.
    """

    def __init__(self, connections: Connections, settings: Settings, user_id: str) -> None:
        self._client: Redis = connections.commands
        self._keys = AccountKeys(settings.key_prefix, user_id)

    async def erase(self, chat_id: str) -> Erased:
        """
        Remove ended records, their idempotency keys, dead letters and caches of the chat, and its messages' places in
        the index.
        """
        under_way = await self._under_way(chat_id)
        ended: set[str] = set()
        records = 0
        for pattern in (self._keys.command("*"), self._keys.event("*")):
            async for page in self._scan(pattern):
                mine = await self._ended(page, chat_id, under_way, ended)
                ended |= set(mine.values())
                records += await self._unlink(list(mine))
        keys = 0
        async for page in self._scan(self._keys.idempotency("*")):
            with mapped():
                values: Any = await self._client.mget(page)
            keys += await self._unlink(
                [key for key, value in zip(page, values, strict=True) if value and value.split(" ", 1)[0] in ended]
            )
        letters = sum(
            [
                await self._strike(stream.dead, "chat_id", chat_id, set())
                for stream in (self._keys.commands, self._keys.events)
            ]
        )
        listed = await self._strike(self._keys.messages, "chat", chat_id, under_way)
        caches = await self._unlink([self._keys.chat(chat_id), self._keys.sent(chat_id)])
        with mapped():
            caches += await self._client.hdel(self._keys.recover_chats, chat_id)
        return Erased(records, keys, letters, caches, listed, len(under_way))

    async def _under_way(self, chat_id: str) -> set[str]:
        """
        Return the ids of the chat's entries in the work streams.
        """
        ids = set()
        for stream in (self._keys.commands, self._keys.bulk, self._keys.events):
            async for entry_id, fields in self._rows(stream.stream):
                if fields.get("chat_id") == chat_id:
                    ids.add(fields.get("id", entry_id))
        return ids

    async def _ended(
        self, page: Sequence[str], chat_id: str, under_way: set[str], commands: set[str]
    ) -> dict[str, str]:
        """
        Return key and id of the records in this page that are the chat's and not under way. Our own message whose echo
        has not come names no chat, only which of the `commands` it is the result of.
        """
        pipe = self._client.pipeline(transaction=False)
        for key in page:
            pipe.hmget(key, "chat_id", "id", "command_id")
        with mapped():
            found = await pipe.execute()
        return {
            key: own_id or ""
            for key, (chat, own_id, command_id) in zip(page, found, strict=True)
            if (chat == chat_id or command_id in commands) and own_id not in under_way
        }

    async def _strike(self, stream: str, field: str, chat_id: str, but: set[str]) -> int:
        """
        Delete a stream's entries of the chat, but for these messages'.
        """
        mine = [
            entry_id
            async for entry_id, fields in self._rows(stream)
            if fields.get(field) == chat_id and fields.get("id") not in but
        ]
        with mapped():
            return sum([await self._client.xdel(stream, *mine[at : at + _PAGE]) for at in range(0, len(mine), _PAGE)])

    async def _rows(self, stream: str) -> AsyncIterator[tuple[str, dict[str, str]]]:
        after = "-"
        while True:
            with mapped():
                page: Any = await self._client.xrange(stream, after, "+", count=_PAGE)
            for row in page:
                yield row
            if len(page) < _PAGE:
                return
            after = f"({page[-1][0]}"

    async def _scan(self, pattern: str) -> AsyncIterator[list[str]]:
        prefix = _GLOB.sub(r"\\\1", pattern[:-1])
        page: list[str] = []
        with mapped():
            async for key in self._client.scan_iter(f"{prefix}*", count=_PAGE):
                page.append(key)
                if len(page) >= _PAGE:
                    yield page
                    page = []
        if page:
            yield page

    async def _unlink(self, keys: Sequence[str]) -> int:
        if not keys:
            return 0
        with mapped():
            return int(await self._client.unlink(*keys))
