"""
What became of a message.
"""

from __future__ import annotations

import json

import click

from common.queue.records import Records
from gateway.session import open_session


async def show(message_id: str, user_id: str | None) -> int:
    """
    Print the record of a command, or of an inbound message, as JSON. Return the exit code.
    """
    async with open_session(user_id) as session:
        records = Records(session.connections, session.settings)
        account_id = session.account.user_id
        record = await records.command(account_id, message_id) or await records.event(account_id, message_id)
    if record is None:
        click.echo(
            f"Nothing is known of {message_id} in account {account_id}. Records are kept for 72 hours.", err=True
        )
        return 1
    click.echo(json.dumps(record.to_json(), ensure_ascii=False, indent=2))
    return 0
