"""
Registering the webhook with Avito from the command line.
"""

from __future__ import annotations

import click

from common.avito import calls, reads
from common.avito.client import Avito
from common.errors import SettingsError
from gateway.session import open_session
from ingress.subscriptions import with_secret

WAIT_S = 90.0


async def subscribe(url: str, user_id: str | None) -> int:
    """
    Register the address, with the webhook's secret at its end where one is set. Return the exit code.

    Raises:

        SettingsError: it is no address, or there is no account to register it for.

    """
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"URL {url!r} must begin with http:// or https://")
    async with open_session(user_id) as session:
        if session.profile.is_sandbox:
            raise SettingsError("AVITO_CLIENT_ID is not set: there is no account to register an address for")
        whole = with_secret(url, session.account, session.settings)
        avito = Avito(session.settings, session.connections)
        try:
            await reads.read(avito, session.account, calls.subscribe(whole), wait_s=WAIT_S)
        finally:
            await avito.aclose()
    click.echo(f"Avito sends the webhooks of account {session.account.user_id} to {url}.")
    if not url.startswith("https://"):
        click.echo("That is not https: what customers write can be read on the way.", err=True)
    return 0
