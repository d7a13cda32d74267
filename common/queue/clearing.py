"""
Clearing dead letters: putting back or dropping a chosen set of them, in batches of bounded work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from common.queue.choice import Choice
from common.queue.connection import Connections, mapped
from common.queue.dead import DeadLetter, DeadLetters
from common.queue.keys import AccountKeys, Side
from common.queue.replies import redis_ms
from common.settings import Settings

_PAGE: Final = 200
_TICKET_LIFE_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Counted:
    """
    How many letters a choice takes; `is_all` is False where there were more to look at.

    `newest` is the newest letter there was, None when there was none: what dies later is not meant.
    """

    number: int
    is_all: bool
    newest: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """
    What one batch did: `done` letters. `after` is where the next one goes on, None when this was the last.

    `next_ms` is when the next letter of a paced redrive may go, unix ms by Redis' clock; 0 without a pace.
    """

    done: int
    after: str | None
    next_ms: int = 0


class Clearing:
    """
    Works on the dead letters of one account and side, oldest first.
    """

    def __init__(self, connections: Connections, settings: Settings, user_id: str, side: Side) -> None:
        self._client: Redis = connections.commands
        self._letters = DeadLetters(connections, settings)
        self._keys = AccountKeys(settings.key_prefix, user_id)
        self._user_id = user_id
        self._side: Side = side

    async def count(self, choice: Choice, *, looks: int = 20_000) -> Counted:
        """
        Count the letters that a choice takes, among no more than `looks` of them.
        """
        if choice.dead_id:
            one = await self._letters.show(self._user_id, self._side, choice.dead_id)
            return Counted(int(one is not None), True, choice.dead_id)
        newest = await self._letters.list(self._user_id, self._side, count=1)
        if not newest:
            return Counted(0, True, None)
        number, looked, after = 0, 0, None
        while looked < looks:
            page = await self._page(after, newest[0].dead_id)
            number += sum(map(choice.takes, page))
            looked += len(page)
            if len(page) < _PAGE:
                return Counted(number, True, newest[0].dead_id)
            after = page[-1].dead_id
        return Counted(number, False, newest[0].dead_id)

    async def begin(self, ticket: str) -> bool:
        """
        Use up a ticket; False when that was done before: a confirmation counts once, however often it is sent.
        """
        with mapped():
            return bool(await self._client.set(self._keys.ticket(ticket), "1", nx=True, ex=_TICKET_LIFE_S))

    async def put_back(
        self,
        choice: Choice,
        *,
        newest: str,
        after: str | None = None,
        per_min: float | None = None,
        next_ms: int = 0,
        looks: int = 1000,
    ) -> Batch:
        """
        Put back those among the next `looks` letters that a choice takes.

        With a pace each is scheduled for a time of its own, so that Redis does the pacing: nobody has to stay.
        """
        step_ms = 60_000 / per_min if per_min else 0.0
        at_ms = float(max(next_ms, await redis_ms(self._client, self._keys.messages))) if step_ms else 0.0
        done = 0
        letters, last = await self._some(choice, after, newest, looks)
        for letter in filter(choice.takes, letters):
            not_before_ms = round(at_ms) if step_ms else None
            put = await self._letters.put_back(self._user_id, self._side, letter, not_before_ms=not_before_ms)
            if put is not None:
                done += 1
                at_ms += step_ms
        return Batch(done, last, round(at_ms))

    async def drop(self, choice: Choice, *, newest: str, after: str | None = None, looks: int = 1000) -> Batch:
        """
        Delete those among the next `looks` letters that a choice takes.
        """
        letters, last = await self._some(choice, after, newest, looks)
        chosen = [letter.dead_id for letter in letters if choice.takes(letter)]
        done = await self._letters.drop(self._user_id, self._side, *chosen) if chosen else 0
        return Batch(done, last)

    async def _some(
        self, choice: Choice, after: str | None, newest: str, looks: int
    ) -> tuple[list[DeadLetter], str | None]:
        """
        Return the next letters, and the id after which there are more.
        """
        if choice.dead_id:
            one = await self._letters.show(self._user_id, self._side, choice.dead_id)
            return [one] if one is not None else [], None
        letters: list[DeadLetter] = []
        while len(letters) < looks:
            page = await self._page(after, newest)
            letters += page
            if len(page) < _PAGE:
                return letters, None
            after = page[-1].dead_id
        return letters, after

    async def _page(self, after: str | None, newest: str) -> Sequence[DeadLetter]:
        return await self._letters.oldest(self._user_id, self._side, after=after, newest=newest, count=_PAGE)
