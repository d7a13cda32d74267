"""
Dead letters from the command line.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import click

from common.errors import GatewayError
from common.queue.dead import DeadLetter, DeadLetters, Side
from common.queue.records import iso
from gateway.session import open_session

SIDES: Final[tuple[Side, ...]] = ("commands", "events")
PAGE: Final = 100
COLUMNS: Final = ("id", "side", "kind", "chat_id", "reason", "attempts", "died_at", "detail")


@dataclass(frozen=True, slots=True)
class Graves:
    """
    The dead letters of one account, on the sides asked for.
    """

    letters: DeadLetters
    user_id: str
    sides: Sequence[Side]

    async def find(self, dead_id: str) -> tuple[Side, DeadLetter] | None:
        """
        Return the letter with that id and its side.

        Raises:

            GatewayError: there is one on each side.

        """
        found = [
            (side, letter) for side in self.sides if (letter := await self.letters.show(self.user_id, side, dead_id))
        ]
        if len(found) > 1:
            raise GatewayError(f"{dead_id} is on both sides. Say --side commands or --side events.")
        return found[0] if found else None

    async def all(self) -> AsyncIterator[tuple[Side, DeadLetter]]:
        """
        Go through all letters, newest first; what dies meanwhile is newer and not among them.
        """
        for side in self.sides:
            before = "+"
            while page := await self.letters.list(self.user_id, side, count=PAGE, before=before):
                for letter in page:
                    yield side, letter
                before = page[-1].dead_id


@asynccontextmanager
async def _graves(side: Side | None, user_id: str | None) -> AsyncIterator[Graves]:
    async with open_session(user_id) as session:
        letters = DeadLetters(session.connections, session.settings)
        yield Graves(letters, session.account.user_id, (side,) if side is not None else SIDES)


async def show_list(side: Side | None, user_id: str | None, *, count: int, as_json: bool) -> int:
    """
    Print the newest letters of each side, without their texts. Return the exit code.
    """
    async with _graves(side, user_id) as graves:
        rows = [
            summary(one, letter)
            for one in graves.sides
            for letter in await graves.letters.list(graves.user_id, one, count=count)
        ]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    elif rows:
        for line in table(rows):
            click.echo(line)
    else:
        click.echo("No dead letters.")
    return 0


async def show(dead_ids: Sequence[str], side: Side | None, user_id: str | None) -> int:
    """
    Print letters whole. Return the exit code: 1 if one is not there.
    """

    async def print_one(_: Graves, found: tuple[Side, DeadLetter]) -> bool:
        one, letter = found
        click.echo(json.dumps({"dead_id": letter.dead_id, "side": one, **letter.fields}, ensure_ascii=False, indent=2))
        return True

    async with _graves(side, user_id) as graves:
        return 0 if await _each(graves, dead_ids, print_one) == len(dead_ids) else 1


async def redrive(dead_ids: Sequence[str], side: Side | None, user_id: str | None) -> int:
    """
    Put letters back, all of them when none is named. Return the exit code: 1 if one is not there.
    """

    async def put_back(graves: Graves, found: tuple[Side, DeadLetter]) -> bool:
        return await graves.letters.redrive(graves.user_id, found[0], found[1].dead_id) is not None

    return await _change(dead_ids, side, user_id, put_back, "put back into the queue")


async def drop(dead_ids: Sequence[str], side: Side | None, user_id: str | None) -> int:
    """
    Delete letters, all of them when none is named. Return the exit code: 1 if one is not there.
    """

    async def delete(graves: Graves, found: tuple[Side, DeadLetter]) -> bool:
        return await graves.letters.drop(graves.user_id, found[0], found[1].dead_id)

    return await _change(dead_ids, side, user_id, delete, "deleted")


Action = Callable[[Graves, tuple[Side, DeadLetter]], Awaitable[bool]]


async def _change(dead_ids: Sequence[str], side: Side | None, user_id: str | None, action: Action, done: str) -> int:
    async with _graves(side, user_id) as graves:
        if dead_ids:
            count = await _each(graves, dead_ids, action)
        else:
            count = sum([await action(graves, found) async for found in graves.all()])
    click.echo(f"{count} {done}.")
    return 0 if count >= len(dead_ids) else 1


async def _each(graves: Graves, dead_ids: Sequence[str], action: Action) -> int:
    count = 0
    for dead_id in dead_ids:
        found = await graves.find(dead_id)
        if found is None or not await action(graves, found):
            click.echo(f"There is no dead letter {dead_id}.", err=True)
        else:
            count += 1
    return count


def summary(side: Side, letter: DeadLetter) -> dict[str, str]:
    """
    Return what a list shows of a letter: no body.
    """
    fields = letter.fields
    return {
        "id": letter.dead_id,
        "side": side,
        "kind": fields.get("kind", ""),
        "chat_id": fields.get("chat_id", ""),
        "reason": fields.get("reason", ""),
        "attempts": fields.get("attempts", ""),
        "died_at": iso(fields.get("died_at", "")),
        "detail": fields.get("detail", ""),
    }


def table(rows: Sequence[dict[str, str]]) -> list[str]:
    """
    Return the rows as aligned lines under a heading; the last column is as long as it is.
    """
    named = [dict(zip(COLUMNS, COLUMNS, strict=True)), *rows]
    widths = {name: max(len(row[name]) for row in named) for name in COLUMNS}
    return ["  ".join(row[name].ljust(widths[name]) for name in COLUMNS).rstrip() for row in named]
