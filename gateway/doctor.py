"""
The doctor: asks everything the gateway depends on, and prints what it found.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import click

from common.avito.client import Avito
from common.errors import GatewayError, Outage, RedisMisuse, SettingsError
from common.queue.connection import Connections, connect
from common.settings import Account, Settings
from gateway import avito_checks, n8n_checks, redis_facts
from gateway.banner import redis_name
from gateway.findings import Finding, failed
from gateway.profile import Profile, read_profile
from gateway.session import redis_address

ENV_FILE: Final = Path(".env")
_COLOURS: Final = {"OK": "green", "WARN": "yellow", "FAIL": "red"}


async def run(user_id: str | None) -> int:
    """
    Check everything and print it as it is found. Return the exit code: 1 if one thing fails.

    Raises:

        SettingsError: `user_id` is not among the accounts.

    """
    found: list[Finding] = []

    def tell(findings: Sequence[Finding]) -> None:
        found.extend(findings)
        for finding in findings:
            first, *rest = finding.lines()
            click.echo(click.style(finding.level, fg=_COLOURS[finding.level]) + first[len(finding.level) :])
            for line in rest:
                click.echo(line)

    try:
        profile = read_profile()
    except SettingsError as error:
        tell([Finding("FAIL", "settings", str(error), "Mend it in .env or in the environment.")])
        return 1
    accounts = profile.settings.accounts if user_id is None else (profile.account(user_id),)
    tell(settings_findings(profile, _mode(ENV_FILE)))
    async with AsyncExitStack() as stack:
        connections = await _redis(stack, profile.settings, tell)
        if profile.is_sandbox:
            tell(
                [
                    Finding(
                        "WARN", "avito", "not checked: the sandbox stands in for Avito and n8n", "Set AVITO_CLIENT_ID."
                    )
                ]
            )
            return int(failed(found))
        if connections is None:
            tell(
                [
                    Finding(
                        "WARN", "avito", "not checked: the limit and the token are kept in Redis", "Mend Redis first."
                    )
                ]
            )
        else:
            await _avito(profile.settings, accounts, connections, tell)
    for account in accounts:
        tell([await n8n_checks.check(account)])
    return int(failed(found))


def settings_findings(profile: Profile, env_mode: int | None) -> list[Finding]:
    """
    Say what the settings lack. `env_mode` is the mode of `.env`, None when there is none.
    """
    settings = profile.settings
    found = []
    if profile.is_sandbox:
        found.append(
            Finding(
                "WARN",
                "settings",
                "AVITO_CLIENT_ID is not set: `run` runs against the sandbox",
                "Write an .env with `avito-gateway init` and fill it in.",
            )
        )
    else:
        accounts = ", ".join(account.user_id for account in settings.accounts)
        found.append(Finding("OK", "settings", f"valid; accounts: {accounts}"))
    wanted = {
        "API_KEY": (settings.api_key, "anybody who reaches the port can send messages"),
        "WEBHOOK_SECRET": (settings.webhook_secret, "anybody who finds the address can post webhooks"),
        "N8N_WEBHOOK_SECRET": (settings.n8n_webhook_secret, "n8n cannot tell whether an event is from the gateway"),
    }
    for name, (value, meaning) in wanted.items():
        if value is None:
            found.append(Finding("WARN", name, f"not set: {meaning}", "`avito-gateway init` makes one."))
        else:
            found.append(Finding("OK", name, "set"))
    if env_mode is not None and env_mode & (stat.S_IRWXG | stat.S_IRWXO):
        found.append(
            Finding("WARN", ".env", f"its mode is {env_mode:03o}: others can read it", "Run `chmod 600 .env`.")
        )
    return found


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


async def _redis(stack: AsyncExitStack, settings: Settings, tell: avito_checks.Tell) -> Connections | None:
    """
    Return connections if Redis lets us in.
    """
    name = redis_name(settings)
    try:
        connections = connect(await stack.enter_async_context(redis_address(settings)))
        stack.push_async_callback(connections.aclose)
        facts = await redis_facts.inspect(connections.commands)
    except Outage as error:
        tell([Finding("FAIL", "redis", f"{name}: {error}", "Start it, and look at REDIS_URL.")])
    except RedisMisuse as error:
        tell([Finding("FAIL", "redis", f"{name}: {error}", "Look at user and password in REDIS_URL.")])
    except GatewayError as error:
        tell([Finding("FAIL", "redis", str(error), "Mend it as it says.")])
    else:
        tell([Finding("OK", "redis", f"answers: {name}"), *redis_facts.judge(facts)])
        return connections
    return None


async def _avito(
    settings: Settings, accounts: Sequence[Account], connections: Connections, tell: avito_checks.Tell
) -> None:
    avito = Avito(settings, connections)
    try:
        for account in accounts:
            await avito_checks.check(avito, account, tell)
    finally:
        await avito.aclose()
