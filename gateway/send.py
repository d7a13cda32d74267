"""
Sending one text from the command line.
"""

from __future__ import annotations

import json
import uuid
from typing import Final

import click

from common.errors import GatewayError, SettingsError
from common.queue.intake import Accepted, Duplicate, Full, Intake, NewCommand
from common.queue.records import Record, Records
from gateway.session import Session, open_session

TEXT_MAX: Final = 1000


async def send(chat_id: str, text: str, user_id: str | None, *, wait_s: float | None, as_json: bool) -> int:
    """
    Queue the text, print the command's id, and wait for its end if asked to. Return the exit code.

    As JSON it prints one object, at the end: `command_id`, `status`, and the `detail` of a failure.

    Raises:

        SettingsError: the text has not 1 to 1000 characters.

    """
    if not 1 <= len(text) <= TEXT_MAX:
        raise SettingsError(f"TEXT has {len(text)} characters: allowed are 1 to {TEXT_MAX}")
    async with open_session(user_id) as session:
        command_id = await _queue(session, chat_id, text)
        if not as_json:
            click.echo(command_id)
        if not await session.has_workers():
            click.echo("Queued. It is sent when `avito-gateway run` runs: no dispatcher is alive now.", err=True)
        record = None
        if wait_s is not None:
            records = Records(session.connections, session.settings)
            record = await records.wait(session.account.user_id, command_id, wait_s)
    if as_json:
        detail = _detail(record) if record is not None else ""
        told = {"command_id": command_id, "status": record.status if record is not None else "queued", "detail": detail}
        click.echo(json.dumps(told, ensure_ascii=False))
    return 0 if wait_s is None else _ended(command_id, record, wait_s, is_quiet=as_json)


async def _queue(session: Session, chat_id: str, text: str) -> str:
    intake = Intake(session.connections, session.settings)
    command = NewCommand(id=str(uuid.uuid4()), kind="text", chat_id=chat_id, body={"text": text})
    reply = await intake.command(session.account.user_id, command)
    await intake.stop()
    match reply:
        case Accepted(command_id=command_id) | Duplicate(command_id=command_id):
            return command_id
        case Full(retry_after_s=after_s):
            raise GatewayError(f"The queue is full. Try again in {after_s:.0f} s.")
        case _:
            raise GatewayError(f"The command was not accepted: {reply}.")


def _ended(command_id: str, record: Record | None, wait_s: float, *, is_quiet: bool) -> int:
    if record is None or not record.ended:
        click.echo(f"Not sent within {wait_s:.0f} s; it stays queued: avito-gateway status {command_id}", err=True)
        return 1
    if record.status != "sent":
        click.echo(f"{record.status}: {_detail(record) or 'see `avito-gateway status`'}", err=True)
        return 1
    if not is_quiet:
        click.echo("sent")
    return 0


def _detail(record: Record) -> str:
    return record.fields.get("detail") or record.fields.get("reason", "")
