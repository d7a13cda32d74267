"""
Sending one text from the command line.
"""

from __future__ import annotations

import uuid
from typing import Final

import click

from common.errors import GatewayError, SettingsError
from common.queue.intake import Accepted, Duplicate, Full, Intake, NewCommand
from common.queue.records import Records
from gateway.session import open_session

TEXT_MAX: Final = 1000


async def send(chat_id: str, text: str, user_id: str | None, *, wait_s: float | None) -> int:
    """
    Queue the text, print the command's id, and wait for its end if asked to. Return the exit code.

    Raises:

        SettingsError: the text has not 1 to 1000 characters.

    """
    if not 1 <= len(text) <= TEXT_MAX:
        raise SettingsError(f"TEXT has {len(text)} characters: allowed are 1 to {TEXT_MAX}")
    async with open_session(user_id) as session:
        intake = Intake(session.connections, session.settings)
        command = NewCommand(id=str(uuid.uuid4()), kind="text", chat_id=chat_id, body={"text": text})
        reply = await intake.command(session.account.user_id, command)
        await intake.stop()
        match reply:
            case Accepted(command_id=command_id) | Duplicate(command_id=command_id):
                click.echo(command_id)
            case Full(retry_after_s=after_s):
                raise GatewayError(f"The queue is full. Try again in {after_s:.0f} s.")
            case _:
                raise GatewayError(f"The command was not accepted: {reply}.")
        if not await session.has_workers():
            click.echo("Queued. It is sent when `avito-gateway run` runs: no dispatcher is alive now.", err=True)
        if wait_s is None:
            return 0
        record = await Records(session.connections, session.settings).wait(session.account.user_id, command_id, wait_s)
    if record is None or not record.ended:
        click.echo(f"Not sent within {wait_s:.0f} s; it stays queued: avito-gateway status {command_id}", err=True)
        return 1
    if record.status != "sent":
        detail = record.fields.get("detail") or record.fields.get("reason") or "see `avito-gateway status`"
        click.echo(f"{record.status}: {detail}", err=True)
        return 1
    click.echo("sent")
    return 0
