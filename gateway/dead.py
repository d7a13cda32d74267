"""
Dead letters from the command line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import click
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from common.errors import GatewayError
from common.queue.choice import Choice, Filter
from common.queue.dead import DeadLetter, DeadLetters
from common.queue.keys import SIDES, Side
from common.queue.records import iso
from gateway.session import open_session

PAGE: Final = 100
COLUMNS: Final = ("id", "side", "kind", "chat_id", "reason", "attempts", "died_at", "detail")


@dataclass(frozen=True, slots=True)
class Chosen:
    """
    The letters with these ids; without ids all that fit every filter.
    """

    dead_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()

    def takes(self, letter: DeadLetter) -> bool:
        """
        Say whether every filter fits.
        """
        return Choice(self.filters).takes(letter)


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

    async def chosen(self, chosen: Chosen) -> list[tuple[Side, DeadLetter]]:
        """
        Return the letters chosen, those named in their order; one that is not there is said.
        """
        if not chosen.dead_ids:
            return [found async for found in self.all() if chosen.takes(found[1])]
        letters = []
        for dead_id in chosen.dead_ids:
            found = await self.find(dead_id)
            if found is None:
                click.echo(f"There is no dead letter {dead_id}.", err=True)
            else:
                letters.append(found)
        return letters


@asynccontextmanager
async def _graves(side: Side | None, user_id: str | None) -> AsyncIterator[Graves]:
    async with open_session(user_id) as session:
        letters = DeadLetters(session.connections, session.settings)
        yield Graves(letters, session.account.user_id, (side,) if side is not None else SIDES)


async def show_list(
    side: Side | None, user_id: str | None, *, count: int, filters: tuple[Filter, ...], as_json: bool
) -> int:
    """
    Print the newest letters of each side, without their texts. Return the exit code.
    """
    chosen = Chosen(filters=filters)
    rows: list[dict[str, str]] = []
    async with _graves(side, user_id) as graves:
        left = dict.fromkeys(graves.sides, count)
        async for one, letter in graves.all():
            if left[one] and chosen.takes(letter):
                left[one] -= 1
                rows.append(summary(one, letter))
            if not any(left.values()):
                break
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    elif rows:
        Console(soft_wrap=not sys.stdout.isatty()).print(table(rows))
    else:
        click.echo("No dead letters.")
    return 0


async def show(dead_ids: Sequence[str], side: Side | None, user_id: str | None) -> int:
    """
    Print letters whole, as JSON. Return the exit code: 1 if one is not there.
    """
    async with _graves(side, user_id) as graves:
        found = await graves.chosen(Chosen(tuple(dead_ids)))
    for one, letter in found:
        click.echo(json.dumps({"dead_id": letter.dead_id, "side": one, **letter.fields}, ensure_ascii=False, indent=2))
    return 0 if len(found) == len(dead_ids) else 1


async def redrive(
    chosen: Chosen, side: Side | None, user_id: str | None, *, rate_per_min: float | None, as_json: bool
) -> int:
    """
    Put letters back, at most so many a minute. Return the exit code: 1 if one that was named is not there.
    """

    async def put_back(graves: Graves, found: tuple[Side, DeadLetter]) -> bool:
        return await graves.letters.redrive(graves.user_id, found[0], found[1].dead_id) is not None

    pause_s = 60 / rate_per_min if rate_per_min else 0.0
    return await _change(chosen, side, user_id, put_back, "put back into the queue", pause_s=pause_s, as_json=as_json)


async def drop(chosen: Chosen, side: Side | None, user_id: str | None, *, as_json: bool) -> int:
    """
    Delete letters. Return the exit code: 1 if one that was named is not there.
    """

    async def delete(graves: Graves, found: tuple[Side, DeadLetter]) -> bool:
        return bool(await graves.letters.drop(graves.user_id, found[0], found[1].dead_id))

    return await _change(chosen, side, user_id, delete, "deleted", pause_s=0.0, as_json=as_json)


Action = Callable[[Graves, tuple[Side, DeadLetter]], Awaitable[bool]]


async def _change(
    chosen: Chosen,
    side: Side | None,
    user_id: str | None,
    action: Action,
    done: str,
    *,
    pause_s: float,
    as_json: bool,
) -> int:
    console = Console(stderr=True)
    async with _graves(side, user_id) as graves:
        found = await graves.chosen(chosen)
        count = 0
        for one in track(found, done, console=console, disable=not console.is_terminal):
            if count and pause_s:
                await asyncio.sleep(pause_s)
            count += await action(graves, one)
    click.echo(json.dumps({"count": count, "done": done}) if as_json else f"{count} {done}.")
    return 0 if count >= len(chosen.dead_ids) else 1


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


def table(rows: Sequence[dict[str, str]]) -> Table:
    """
    Return the rows as a table that fits the terminal.
    """
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in COLUMNS:
        made.add_column(name, no_wrap=name in ("id", "side"), overflow="fold")
    for row in rows:
        made.add_row(*(Text(row[name]) for name in COLUMNS))
    return made
