"""
The command line. Exit codes: 0, 1 failure, 2 usage or settings.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import rich_click as click

from common import log
from common.errors import GatewayError, SettingsError
from gateway.profile import read_profile
from gateway.version import version

ACCOUNT = click.option("--account", "user_id", metavar="ID", help="Avito account; the default is AVITO_USER_ID.")
SIDE = click.option("--side", type=click.Choice(["commands", "events"]), help="Towards Avito, or towards n8n; both.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(version(), prog_name="avito-gateway")
def cli() -> None:
    """
    A messaging gateway between Avito Messenger and n8n: nothing lost, nothing sent twice.

    Settings come from the environment and from the file .env here.
    """


@cli.command()
@click.argument("roles", nargs=-1, type=click.Choice(["ingress", "dispatcher", "forwarder"]))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes of the ingress.")
def run(roles: tuple[Any, ...], workers: int) -> None:
    """
    Run the roles named, or all of them, in one process.

    Without AVITO_CLIENT_ID it runs against the sandbox and shows a message going round.
    """
    profile = read_profile()
    # The roles take a second to import, which other commands need not wait for.
    from gateway.program import ROLES  # noqa: PLC0415
    from gateway.run import run as run_program  # noqa: PLC0415

    run_program(profile, roles or ROLES, workers)


@cli.command(add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """
    Run the stand-ins for Avito and n8n; prints their addresses. `sandbox --help` lists what can be chosen.
    """
    from sandbox.__main__ import main as run_sandbox  # noqa: PLC0415 - imports a web server

    run_sandbox(arguments)


@cli.command()
@click.option("--force", is_flag=True, help="Overwrite the .env that is there.")
@click.option("--file", "path", type=click.Path(path_type=Path, dir_okay=False), default=".env", show_default=True)
def init(path: Path, *, force: bool) -> None:
    """
    Write an .env with fresh keys, readable by you alone.
    """
    from gateway.env_file import NEXT_STEPS, write  # noqa: PLC0415

    write(path, force=force)
    click.echo(f"{path} is written.")
    click.echo(NEXT_STEPS)


@cli.command()
@click.argument("chat_id", metavar="CHAT")
@click.argument("text")
@click.option("--wait", is_flag=True, help="Wait until it is sent; exit with 1 if it fails.")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="How long to wait, in seconds.")
@ACCOUNT
def send(chat_id: str, text: str, timeout_s: float, user_id: str | None, *, wait: bool) -> None:
    """
    Queue a text for a chat; prints the command's id.
    """
    from gateway import send as sending  # noqa: PLC0415

    raise SystemExit(_run(sending.send(chat_id, text, user_id, wait_s=timeout_s if wait else None)))


@cli.command()
@click.argument("message_id", metavar="ID")
@ACCOUNT
def status(message_id: str, user_id: str | None) -> None:
    """
    Show what became of a command, or of a message that came in.
    """
    from gateway import status as record  # noqa: PLC0415

    raise SystemExit(_run(record.show(message_id, user_id)))


@cli.command()
@ACCOUNT
def doctor(user_id: str | None) -> None:
    """
    Check settings, Redis, Avito and n8n; says what to do. Exit with 1 if something fails.
    """
    from gateway import doctor as checks  # noqa: PLC0415

    raise SystemExit(_run(checks.run(user_id)))


@cli.group()
def dead() -> None:
    """
    Dead letters: what could not be delivered, with the reason.
    """


@dead.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--count", default=100, show_default=True, type=click.IntRange(1), help="Newest first, so many a side.")
@SIDE
@ACCOUNT
def dead_list(count: int, side: Any, user_id: str | None, *, as_json: bool) -> None:
    """
    List the newest dead letters.
    """
    from gateway import dead as graves  # noqa: PLC0415

    raise SystemExit(_run(graves.show_list(side, user_id, count=count, as_json=as_json)))


@dead.command("show")
@click.argument("dead_ids", metavar="ID...", nargs=-1, required=True)
@SIDE
@ACCOUNT
def dead_show(dead_ids: tuple[str, ...], side: Any, user_id: str | None) -> None:
    """
    Show dead letters whole, texts included.
    """
    from gateway import dead as graves  # noqa: PLC0415

    raise SystemExit(_run(graves.show(dead_ids, side, user_id)))


@dead.command("redrive")
@click.argument("dead_ids", metavar="[ID...]", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All there are now.")
@SIDE
@ACCOUNT
def dead_redrive(dead_ids: tuple[str, ...], side: Any, user_id: str | None, *, is_all: bool) -> None:
    """
    Put dead letters back into their queue.
    """
    from gateway import dead as graves  # noqa: PLC0415

    _ids_or_all(dead_ids, is_all=is_all)
    raise SystemExit(_run(graves.redrive(dead_ids, side, user_id)))


@dead.command("drop")
@click.argument("dead_ids", metavar="[ID...]", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All there are now.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@SIDE
@ACCOUNT
def dead_drop(dead_ids: tuple[str, ...], side: Any, user_id: str | None, *, is_all: bool, yes: bool) -> None:
    """
    Delete dead letters for good.
    """
    from gateway import dead as graves  # noqa: PLC0415

    _ids_or_all(dead_ids, is_all=is_all)
    if is_all and not yes:
        click.confirm("Delete all dead letters for good?", abort=True)
    raise SystemExit(_run(graves.drop(dead_ids, side, user_id)))


def _ids_or_all(dead_ids: tuple[str, ...], *, is_all: bool) -> None:
    if bool(dead_ids) == is_all:
        raise click.UsageError("Name dead letters, or say --all.")


def _run(work: Coroutine[Any, Any, int]) -> int:
    """
    Run one command; its answer goes to standard output, so the logs keep to what matters.
    """
    log.configure("console", "warning")
    return asyncio.run(work)


def main() -> None:
    """
    Run the command line; an error of the gateway is one line on standard error.
    """
    try:
        cli()
    except GatewayError as error:
        sys.stderr.write(f"avito-gateway: {error}\n")
        sys.exit(2 if isinstance(error, SettingsError) else 1)
    except KeyboardInterrupt:
        sys.exit(1)
