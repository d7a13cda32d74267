"""
Names and ads for events: looked up in the chat, which the webhook does not carry (facts, 1.5).
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from common import log
from common.avito import calls
from common.avito.client import Avito
from common.avito.messages import chats_of
from common.avito.reads import AvitoRefused, read
from common.errors import GatewayError, NoPermit
from common.queue.connection import Connections, mapped
from common.queue.keys import AccountKeys
from common.settings import Account
from forwarder import chat as chats
from forwarder.chat import Chat
from forwarder.memory import Memory
from forwarder.webhook import id_of

CACHE_S: Final = 24 * 3600
MEMORY_S: Final = 600.0
_AT_ONCE: Final = 4
_QUIET_S: Final = 10.0
_ALL_TYPES: Final = ("u2i", "u2u", "a2u")

_log = log.logger(__name__)


class _Wanted:
    """
    A chat somebody waits for: all who ask for it share the result, until the last of them has left.
    """

    __slots__ = ("deadline_s", "result")

    def __init__(self) -> None:
        self.result: asyncio.Future[Chat | None] = asyncio.get_running_loop().create_future()
        self.deadline_s = 0.0

    def resolve(self, chat: Chat | None) -> None:
        if not self.result.done():
            self.result.set_result(chat)


class Chats:
    """
    The chats of one account: in memory, in Redis for 24 h, else asked of Avito.

    Avito is asked by one task: whatever is unknown when it begins is one batch. One `GET chats` names up to 100 fresh
    chats, then each chat that is still missing is got by itself. Every request takes a token of the account's gate.
    After a failure nobody asks for a while, and events go without a name.
    """

    def __init__(self, account: Account, avito: Avito, connections: Connections, keys: AccountKeys) -> None:
        self._account = account
        self._avito = avito
        self._redis = connections.commands
        self._keys = keys
        self._memory = Memory(MEMORY_S)
        # Mutable state, changed without awaiting in between: `get` adds, the task resolves and removes.
        self._wanted: dict[str, _Wanted] = {}
        self._asking: asyncio.Task[None] | None = None
        self._asking_since_s = 0.0
        self._quiet_until_s = 0.0

    async def get(self, chat_id: str, wait_s: float) -> Chat | None:
        """
        Return the chat if it can be had within `wait_s`. Never raises for want of it; 0 asks nobody.
        """
        if wait_s <= 0 or not chat_id:
            return None
        if self._memory.knows(chat_id):
            return self._memory.get(chat_id)
        deadline_s = time.monotonic() + wait_s
        cached = await self._cached(chat_id)
        if cached is not None or self._is_quiet(wait_s):
            return cached
        wanted = self._wanted.get(chat_id)
        if wanted is None:
            wanted = self._wanted[chat_id] = _Wanted()
        wanted.deadline_s = max(wanted.deadline_s, deadline_s)
        if self._asking is None:
            self._asking_since_s = time.monotonic()
            self._asking = asyncio.create_task(self._ask(wait_s), name=f"enrich-{self._account.user_id}")
        await asyncio.wait((wanted.result,), timeout=max(0.0, deadline_s - time.monotonic()))
        return wanted.result.result() if wanted.result.done() else None

    async def aclose(self) -> None:
        """
        End the look-up that is under way.
        """
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait((self._asking,))

    def _is_quiet(self, wait_s: float) -> bool:
        """
        Say whether asking is pointless: it failed lately, or Avito has been silent for longer than anybody waits.
        """
        now_s = time.monotonic()
        return now_s < self._quiet_until_s or (self._asking is not None and now_s - self._asking_since_s > wait_s)

    async def _cached(self, chat_id: str) -> Chat | None:
        try:
            with mapped():
                kept = await self._redis.get(self._keys.chat(chat_id))
        except GatewayError as error:
            _log.debug("chat.not_cached", account=self._account.user_id, error=str(error))
            return None
        chat = chats.from_json(kept) if isinstance(kept, str) else None
        if chat is not None:
            self._memory.put(chat_id, chat)
        return chat

    async def _ask(self, wait_s: float) -> None:
        try:
            while self._waited_for():
                self._asking_since_s = time.monotonic()
                await self._ask_once(wait_s)
        except (GatewayError, OSError) as error:
            self._quiet_until_s = time.monotonic() + (error.retry_after_s if isinstance(error, NoPermit) else _QUIET_S)
            _log.warning("chat.lookup_failed", account=self._account.user_id, error=str(error))
        finally:
            self._asking = None
            for wanted in self._wanted.values():
                wanted.resolve(None)
            self._wanted.clear()

    async def _ask_once(self, wait_s: float) -> None:
        """
        Look up all that is wanted now. One chat's refusal is its own; anything else is raised.
        """
        listing = calls.chats(self._account.user_id, chat_types=_ALL_TYPES)
        listed = chats_of(await read(self._avito, self._account, listing, wait_s=wait_s))
        await self._learn({chat_id: chats.of(chat) for chat in listed if (chat_id := id_of(chat.get("id")))})
        missing = self._waited_for()
        while missing:
            wanted = set(self._waited_for())
            missing = [chat_id for chat_id in missing if chat_id in wanted]
            batch, missing = missing[:_AT_ONCE], missing[_AT_ONCE:]
            found = await asyncio.gather(*(self._one(chat_id, wait_s) for chat_id in batch), return_exceptions=True)
            named = [result for result in found if not isinstance(result, BaseException)]
            await self._learn({chat_id: chat for chat_id, chat in named if chat is not None})
            for chat_id, chat in named:
                if chat is None:
                    self._settle(chat_id, None)
            for result in found:
                if isinstance(result, BaseException):
                    raise result

    async def _one(self, chat_id: str, wait_s: float) -> tuple[str, Chat | None]:
        try:
            body = await read(self._avito, self._account, calls.chat(self._account.user_id, chat_id), wait_s=wait_s)
        except AvitoRefused as error:
            _log.info("chat.refused", account=self._account.user_id, chat_id=chat_id, status=error.status)
            return chat_id, None
        return chat_id, chats.of(body) if isinstance(body, dict) else None

    def _waited_for(self) -> list[str]:
        """
        Return the chats somebody still waits for, and drop the others: a token is too dear for a name nobody reads.
        """
        now_s = time.monotonic()
        for chat_id in [chat_id for chat_id, wanted in self._wanted.items() if wanted.deadline_s <= now_s]:
            self._wanted.pop(chat_id).resolve(None)
        return list(self._wanted)

    async def _learn(self, found: dict[str, Chat]) -> None:
        if not found:
            return
        try:
            with mapped():
                pipe = self._redis.pipeline(transaction=False)
                for chat_id, chat in found.items():
                    pipe.set(self._keys.chat(chat_id), chats.to_json(chat), ex=CACHE_S)
                await pipe.execute()
        except GatewayError as error:
            _log.debug("chat.not_kept", account=self._account.user_id, error=str(error))
        for chat_id, chat in found.items():
            self._settle(chat_id, chat)

    def _settle(self, chat_id: str, chat: Chat | None) -> None:
        self._memory.put(chat_id, chat)
        wanted = self._wanted.pop(chat_id, None)
        if wanted is not None:
            wanted.resolve(chat)
