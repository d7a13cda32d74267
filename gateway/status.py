"""
What became of a message; and saying it, where the gateway cannot know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

import click

from common.queue.hold import Direction, Holds
from common.queue.records import Records
from gateway import hold
from gateway.session import open_session

_HEAD = ("id", "status", "kind", "chat_id", "message_id", "reason", "detail")


async def show(message_id: str, user_id: str | None, *, as_json: bool) -> int:
    """
    Print the record of a command, or of an inbound message. Return the exit code.
    """
    async with open_session(user_id) as session:
        records = Records(session.connections, session.settings)
        account_id = session.account.user_id
        command = await records.command(account_id, message_id)
        record = command or await records.event(account_id, message_id)
        held = {}
        if record is not None and not record.ended:
            side: Direction = "events" if command is None else "commands"
            holds = await Holds(session.connections, session.settings.key_prefix).of(account_id)
            held = {side: holds[side]} if side in holds else {}
    if record is None:
        click.echo(
            f"Nothing is known of {message_id} in account {account_id}. Records are kept for 72 hours.", err=True
        )
        return 1
    shown = record.to_json()
    if as_json:
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    else:
        for line in (*lines(shown), *hold.lines(held)):
            click.echo(line)
    return 0


def lines(shown: Mapping[str, Any]) -> list[str]:
    """
    Return a record as a person reads it: what it is, then what happened when.
    """
    head = [f"{name:<11} {shown[name]}" for name in _HEAD if shown.get(name)]
    steps = []
    for step in shown["timeline"]:
        more = " ".join(f"{name}={value}" for name, value in step.items() if name not in ("at", "event"))
        steps.append(f"  {step['at']}  {step['event']}  {more}".rstrip())
    return [*head, *steps]


async def resolve(command_id: str, user_id: str | None, message_id: str | None, *, is_sent: bool) -> int:
    """
    Settle a command of unknown outcome by hand, or have it sent again. Return the exit code.
    """
    async with open_session(user_id) as session:
        records = Records(session.connections, session.settings)
        outcome: Literal["sent", "not_sent"] = "sent" if is_sent else "not_sent"
        reply = await records.resolve(session.account.user_id, command_id, outcome, message_id)
    if reply != "ok":
        click.echo(f"{command_id}: {_WHY_NOT[reply]}", err=True)
        return 1
    click.echo(f"{command_id} counts as sent." if is_sent else f"{command_id} is sent again.")
    return 0


_WHY_NOT: Final[Mapping[str, str]] = {
    "certain": "its outcome is not in doubt, `status` tells where it stands",
    "sending": "a worker looks at it just now, try again in a moment",
    "ended": "it has ended, `status` tells how",
    "unknown": "there is no such command in this account",
}
