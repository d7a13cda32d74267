"""
The search for webhooks that never came: one account's unread chats, looked through every `RECONCILE_INTERVAL`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from typing import Final

from common import log
from common.avito import calls
from common.avito.answers import Ok
from common.avito.calls import Call
from common.avito.client import Avito
from common.avito.messages import Message, chats_of, created_ms, has_more, messages_of
from common.avito.reads import ATTEMPTS, AvitoRefused, ask
from common.errors import GatewayError, NoPermit
from common.queue.connection import Connections, mapped
from common.queue.intake import Accepted, Intake, NewEvent
from common.queue.keys import AccountKeys
from common.queue.replies import read_hash
from common.settings import Account, Settings
from forwarder import missed
from forwarder.missed import Bounds, Unread
from forwarder.normalise import encode
from forwarder.webhook import id_of

# A gate that has nothing to give in this time is busy: the round is put off.
GATE_WAIT_S: Final = 2.0
RETRY_S: Final = 60.0
_PAUSE_MAX_S: Final = 30.0
_OVER: Final = "over"


class MissedWebhooks:
    """
    Finds the messages of one account that no webhook told of, and accepts them as events of their own.

    One replica does a round: the lock `K:recover:lock` has an expiry, is kept until the next round is due, and may be
    taken over by a replica that has just started. Two rounds at once would cost requests and nothing else: messages
    are accepted by their ids, and each round accepts a chat's oldest first.
    """

    def __init__(
        self,
        account: Account,
        settings: Settings,
        *,
        avito: Avito,
        connections: Connections,
        intake: Intake,
        at_once: asyncio.Semaphore,
    ) -> None:
        self._account = account
        self._settings = settings
        self._avito = avito
        self._redis = connections.commands
        self._intake = intake
        self._at_once = at_once
        self._keys = AccountKeys(settings.key_prefix, account.user_id)
        self._owner = secrets.token_hex(8)
        self._interval_s = settings.reconcile_interval
        self._retry_s = min(RETRY_S, settings.reconcile_interval)
        # Longer than anything that happens between two renewals.
        self._lock_s = ATTEMPTS * settings.connection_timeout + GATE_WAIT_S + 2 * _PAUSE_MAX_S
        self._is_new = True
        self._is_told = False
        self._stopping = asyncio.Event()
        self._log = log.logger(__name__).bind(account=account.user_id)

    def stop(self) -> None:
        """
        Begin no further request.
        """
        self._stopping.set()

    async def run(self) -> None:
        """
        Search at once and then every `RECONCILE_INTERVAL`, until `stop`. No error ends it.
        """
        while not self._stopping.is_set():
            wait_s = self._retry_s
            try:
                wait_s = await self.turn()
            except NoPermit as busy:
                if self._is_news():
                    self._log.warning("search.postponed", error=str(busy))
            except (GatewayError, OSError) as error:
                if self._is_news():
                    self._log.warning("search.failed", error=str(error))
            except Exception as error:  # noqa: BLE001 - loops are supervised and never die
                self._log.exception("loop.failed", loop="search", error_type=type(error).__name__)
            await self._sleep(wait_s)

    def _is_news(self) -> bool:
        """
        Say whether what keeps the search from its end is to be logged: once, until it gets there again.
        """
        is_news, self._is_told = not self._is_told, True
        return is_news

    async def turn(self) -> float:
        """
        Do a round if it is due and nobody is at it; return in how many seconds to ask again.

        Raises:

            NoPermit: the gate before Avito is busy or paused.

            GatewayError: Avito or Redis does not answer; what was accepted until then stays so.

        """
        held_s = await self._claim()
        if held_s is not None:
            return held_s
        next_s = self._retry_s
        try:
            next_s = await self._round()
            self._is_told = False
        finally:
            await self._leave(next_s)
        return next_s

    async def _round(self) -> float:
        limits, listed = await self._unread()
        marks = await self._marks(listed)
        chats = [chat for chat in listed.values() if missed.is_worth_a_look(chat, marks.get(chat.chat_id), limits)]
        known = await self._known([chat.last_id for chat in chats])
        is_early = False
        # First where the last message is missing for certain; elsewhere one before it may be.
        for chat in sorted(chats, key=lambda chat: chat.last_id in known):
            if not await self._may_ask(is_certain=chat.last_id not in known):
                break
            is_early |= await self._look(chat, marks.get(chat.chat_id), limits)
        return min(missed.GRACE_S, self._interval_s) if is_early else self._interval_s

    async def _unread(self) -> tuple[Bounds, dict[str, Unread]]:
        limits: Bounds | None = None
        listed: dict[str, Unread] = {}
        for offset in range(0, calls.MAX_OFFSET + 1, calls.PAGE):
            call = calls.chats(self._account.user_id, unread_only=True, chat_types=missed.CHAT_TYPES, offset=offset)
            answer = await self._ask(call)
            limits = limits or await self._bounds(answer)
            page = [chat for found in chats_of(answer.body) if (chat := missed.unread(found)) is not None]
            listed |= {chat.chat_id: chat for chat in page}
            if not has_more(answer.body, limit=calls.PAGE) or missed.is_last_page(page, limits):
                break
        assert limits is not None
        return limits, listed

    async def _bounds(self, answer: Ok) -> Bounds:
        """
        Return how far to look back, by Avito's clock; the first search of all says from when on messages count.
        """
        redis_ms = self._avito.gate(self._account).redis_ms()
        with mapped():
            pipe = self._redis.pipeline(transaction=False)
            pipe.set(self._keys.recover_since, redis_ms - round(missed.FIRST_LOOK_BACK_S * 1000), nx=True)
            pipe.get(self._keys.recover_since)
            _, since = await pipe.execute()
        since_ms = int(since) if isinstance(since, str) and since.isdecimal() else redis_ms
        now_ms = redis_ms if answer.server_ms is None else answer.server_ms
        return missed.bounds(since_ms + now_ms - redis_ms, now_ms, self._settings.event_max_age)

    async def _marks(self, listed: dict[str, Unread]) -> dict[str, str]:
        """
        Return up to which message each chat was compared, and forget the chats that are read by now.
        """
        if not listed:
            # An idle account costs nothing here: old marks do no harm, and go with the next chat.
            return {}
        with mapped():
            marks = await read_hash(self._redis, self._keys.recover_chats)
            gone = marks.keys() - listed.keys()
            if gone:
                await self._redis.hdel(self._keys.recover_chats, *gone)
        return marks

    async def _look(self, chat: Unread, mark: str | None, limits: Bounds) -> bool:
        """
        Compare one chat and accept what is missing; say whether something is too young to be called missing.
        """
        user_id = self._account.user_id
        try:
            messages, now_ms = await self._messages(chat, mark, limits)
        except AvitoRefused as error:
            self._log.info("chat.not_compared", chat_id=chat.chat_id, status=error.status)
            await self._mark(chat.chat_id, chat.last_id)
            return False
        if now_ms is not None:
            limits = limits.at(now_ms)
        known = await self._known([name for message in messages if (name := id_of(message.get("id")))])
        found = missed.compare(messages, known, user_id, limits, with_system=self._settings.forward_system)
        accepted = 0
        for message in found.missing:
            event = NewEvent(
                id=id_of(message.get("id")) or "",
                chat_id=chat.chat_id,
                body=encode(missed.webhook_of(chat, message, user_id)),
                recovered=True,
            )
            accepted += isinstance(await self._intake.event(user_id, event), Accepted)
        if accepted:
            self._log.warning("webhook.recovered", chat_id=chat.chat_id, messages=accepted)
        await self._mark(chat.chat_id, found.mark)
        return found.is_early

    async def _messages(self, chat: Unread, mark: str | None, limits: Bounds) -> tuple[list[Message], int | None]:
        """
        Return the chat's messages behind the mark, newest first: at least those that are not too old; and Avito's time.
        """
        messages: dict[str, Message] = {}
        now_ms: int | None = None
        for offset in range(0, calls.MAX_OFFSET + 1, calls.PAGE):
            if offset and not await self._may_ask(is_certain=True):
                # Nothing is accepted out of order: without its older messages the chat waits for the next round.
                return [], None
            call = calls.messages(self._account.user_id, chat.chat_id, offset=offset)
            answer = await self._ask(call)
            now_ms = now_ms or answer.server_ms
            at_ms = limits.floor_ms
            for message in messages_of(answer.body):
                name = id_of(message.get("id"))
                if name is None:
                    continue
                if name == mark:
                    return list(messages.values()), now_ms
                messages.setdefault(name, message)
                at_ms = created_ms(message) or at_ms
            if at_ms < limits.floor_ms or not has_more(answer.body, limit=calls.PAGE):
                break
        return list(messages.values()), now_ms

    async def _ask(self, call: Call) -> Ok:
        async with self._at_once:
            return await ask(self._avito, self._account, call, wait_s=GATE_WAIT_S)

    async def _known(self, ids: Sequence[str]) -> set[str]:
        """
        Return those of the messages that were accepted, or are our own.
        """
        if not ids:
            return set()
        with mapped():
            pipe = self._redis.pipeline(transaction=False)
            for message_id in ids:
                pipe.exists(self._keys.event(message_id))
            found = await pipe.execute()
        return {message_id for message_id, count in zip(ids, found, strict=True) if count}

    async def _may_ask(self, *, is_certain: bool) -> bool:
        """
        Wait until a question is no burden for the sends, and keep the lock. False: the round ends here.

        While half of the limit is used, only what is missing for certain is asked for, and slowly.
        """
        pause_s = missed.pause_s(await self._avito.gate(self._account).usage(), self._settings.rate_limit_window)
        if pause_s and not is_certain:
            return False
        await self._sleep(min(pause_s, _PAUSE_MAX_S))
        return not self._stopping.is_set() and await self._renew()

    async def _mark(self, chat_id: str, message_id: str | None) -> None:
        if message_id is not None:
            with mapped():
                await self._redis.hset(self._keys.recover_chats, chat_id, message_id)

    async def _claim(self) -> float | None:
        """
        Take the lock and return None, else return in how many seconds it is worth asking again.
        """
        lock, life_ms = self._keys.recover_lock, round(self._lock_s * 1000)
        with mapped():
            is_mine = await self._redis.set(lock, self._owner, nx=True, px=life_ms)
            if not is_mine:
                pipe = self._redis.pipeline(transaction=False)
                pipe.get(lock)
                pipe.pttl(lock)
                holder, left_ms = await pipe.execute()
                # One that lasts longer than any is left from before the server's clock was put back.
                longest_ms = max(life_ms, round(self._interval_s * 1000)) + 1000
                if (self._is_new and holder == _OVER) or left_ms == -1 or left_ms > longest_ms:
                    is_mine = await self._redis.set(lock, self._owner, px=life_ms)
        # A round that runs now serves one who has just started as well.
        self._is_new = False
        return None if is_mine else max(left_ms / 1000, 0.1)

    async def _renew(self) -> bool:
        with mapped():
            pipe = self._redis.pipeline(transaction=False)
            pipe.get(self._keys.recover_lock)
            pipe.pexpire(self._keys.recover_lock, round(self._lock_s * 1000))
            holder, _ = await pipe.execute()
        return bool(holder == self._owner)

    async def _leave(self, next_s: float) -> None:
        """
        Keep the others off until the next round is due. Where Redis is away the lock ends by itself.
        """
        with contextlib.suppress(GatewayError), mapped():
            if await self._redis.get(self._keys.recover_lock) == self._owner:
                await self._redis.set(self._keys.recover_lock, _OVER, px=max(1, round(next_s * 1000)))

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)
