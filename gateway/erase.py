"""
Removing a customer's traces from the command line.
"""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from common.queue.erasure import Erasure
from gateway.session import open_session


async def erase(chat_id: str, user_id: str | None, *, as_json: bool) -> int:
    """
    Remove what is kept of a chat, and say what it was. Return the exit code: 1 if messages are still under way.
    """
    async with open_session(user_id) as session:
        erased = await Erasure(session.connections, session.settings, session.account.user_id).erase(chat_id)
    if as_json:
        click.echo(json.dumps({"chat_id": chat_id} | asdict(erased)))
    else:
        click.echo(f"Removed of {chat_id}:")
        click.echo(f"  {erased.records} records of messages")
        click.echo(f"  {erased.keys} idempotency keys")
        click.echo(f"  {erased.dead_letters} dead letters")
        click.echo(f"  {erased.listed} entries in the list of messages")
        click.echo(f"  {erased.caches} caches (names and ad, own messages seen, last look)")
    if erased.under_way:
        click.echo(
            f"{erased.under_way} messages are under way and were left. Run it again when they have ended.", err=True
        )
        return 1
    return 0
