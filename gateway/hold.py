"""
Stopping one direction of the queue by hand, and letting it go on.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping, Sequence
from typing import Final

import click

from common.queue.hold import Direction, Held, Holds
from common.queue.keys import SIDES
from common.queue.records import iso
from gateway.session import open_session

WHAT: Final[Mapping[Direction, str]] = {"commands": "sending to Avito", "events": "delivering to n8n"}


async def hold(direction: Direction | None, user_id: str | None, *, why: str) -> int:
    """
    Hold a direction, or both, and say so. Return the exit code.
    """
    async with open_session(user_id) as session:
        holds, account_id = Holds(session.connections, session.settings.key_prefix), session.account.user_id
        for one in chosen(direction):
            went = await holds.hold(account_id, one, by=_who(), why=why)
            click.echo(f"Account {account_id}: {WHAT[one]} {'is paused' if went else 'was paused already'}.")
    return 0


async def resume(direction: Direction | None, user_id: str | None) -> int:
    """
    Let a direction, or both, go on, and say so. Return the exit code.
    """
    async with open_session(user_id) as session:
        holds, account_id = Holds(session.connections, session.settings.key_prefix), session.account.user_id
        for one in chosen(direction):
            was_held = await holds.resume(account_id, one)
            click.echo(f"Account {account_id}: {WHAT[one]} {'goes on' if was_held else 'was not paused'}.")
    return 0


def chosen(direction: Direction | None) -> Sequence[Direction]:
    """
    Return the direction named, or both.
    """
    return SIDES if direction is None else (direction,)


def lines(held: Held) -> list[str]:
    """
    Say what is held, since when, by whom and why.
    """
    return [
        f"{WHAT[direction]} is paused since {iso(str(one.since_ms))} by {one.by}{f': {one.why}' if one.why else ''}"
        for direction, one in held.items()
    ]


def _who() -> str:
    """
    Name who sits at this terminal.
    """
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):
        return socket.gethostname()
