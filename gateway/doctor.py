"""
The doctor: asks everything the gateway depends on, and prints what it found.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from common.avito.client import Avito
from common.errors import GatewayError, Outage, RedisMisuse, SettingsError
from common.queue.connection import Connections, connect
from common.settings import Account, Settings
from gateway import avito_checks, n8n_checks, queue_checks, redis_facts
from gateway.banner import redis_name
from gateway.findings import Finding, failed
from gateway.profile import Profile, read_profile
from gateway.session import redis_address

ENV_FILE: Final = Path(".env")
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_COLOURS: Final = {"OK": "green", "WARN": "yellow", "FAIL": "red"}


async def run(user_id: str | None, *, fix: bool = False, as_json: bool = False) -> int:
    """
    Check everything and print it as it is found. Return the exit code: 1 if one thing fails.

    `fix` mends what cannot do harm: the mode of `.env`, and consumer groups that are missing in Redis.

    Raises:

        SettingsError: `user_id` is not among the accounts.

    """
    found: list[Finding] = []

    def tell(findings: Sequence[Finding]) -> None:
        found.extend(findings)
        _show(findings, as_json=as_json)

    try:
        profile = read_profile()
    except SettingsError as error:
        tell([Finding("FAIL", "settings", str(error), "Mend it in .env or in the environment.")])
        return 1
    accounts = profile.settings.accounts if user_id is None else (profile.account(user_id),)
    tell(settings_findings(profile, _mode(ENV_FILE), fixed=fix and _close(ENV_FILE)))
    async with AsyncExitStack() as stack:
        connections = await _redis(stack, profile.settings, tell)
        if connections is not None:
            for account in accounts:
                tell(await queue_checks.check(connections, profile.settings, account, fix=fix))
        if (why := _unchecked(profile, connections)) is None:
            assert connections is not None
            await _avito(profile.settings, accounts, connections, tell)
        else:
            tell([why])
    if profile.is_sandbox:
        return int(failed(found))
    for account in accounts:
        tell([await n8n_checks.check(account)])
    return int(failed(found))


def _show(findings: Sequence[Finding], *, as_json: bool) -> None:
    for finding in findings:
        if as_json:
            click.echo(json.dumps(asdict(finding), ensure_ascii=False))
            continue
        first, *rest = finding.lines()
        click.echo(click.style(finding.level, fg=_COLOURS[finding.level]) + first[len(finding.level) :])
        for line in rest:
            click.echo(line)


def _unchecked(profile: Profile, connections: Connections | None) -> Finding | None:
    """
    Say why Avito cannot be asked; None when it can.
    """
    if profile.is_sandbox:
        return Finding("WARN", "avito", "not checked: the sandbox stands in for Avito and n8n", "Set AVITO_CLIENT_ID.")
    if connections is None:
        return Finding("WARN", "avito", "not checked: the limit and the token are kept in Redis", "Mend Redis first.")
    return None


def settings_findings(profile: Profile, env_mode: int | None, *, fixed: bool = False) -> list[Finding]:
    """
    Say what the settings lack. `env_mode` is the mode of `.env`, None when there is none; `fixed` says it was mended.
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
    if fixed:
        found.append(Finding("OK", ".env", "others could read it; its mode is 600 now"))
    elif env_mode is not None and env_mode & OTHERS:
        found.append(
            Finding(
                "WARN", ".env", f"its mode is {env_mode:03o}: others can read it", "Run `doctor --fix`, or chmod 600."
            )
        )
    return found


def _close(path: Path) -> bool:
    """
    Take a file from others; say whether that was needed.
    """
    mode = _mode(path)
    if mode is None or not mode & OTHERS:
        return False
    path.chmod(0o600)
    return True


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
        facts = await redis_facts.inspect(connections)
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
