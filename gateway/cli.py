"""
The command line. Exit codes: 0, 1 failure, 2 usage or settings.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import rich_click as click
from click.shell_completion import get_completion_class

from common.errors import GatewayError, SettingsError
from gateway.command import ACCOUNT, AS_JSON, end_with
from gateway.dead_commands import dead
from gateway.profile import read_profile
from gateway.version import version


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


@cli.command()
def demo() -> None:
    """
    Tell on one screen what the gateway is for: a 429, a lost answer, n8n down, a killed worker, and all heals.

    Takes about half a minute, touches no settings, and exits with 0 only if every message arrived.
    """
    from gateway import demo as story  # noqa: PLC0415

    end_with(story.tell())


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
@AS_JSON
@ACCOUNT
def send(chat_id: str, text: str, timeout_s: float, user_id: str | None, *, wait: bool, as_json: bool) -> None:
    """
    Queue a text for a chat; prints the command's id.
    """
    from gateway import send as sending  # noqa: PLC0415

    end_with(sending.send(chat_id, text, user_id, wait_s=timeout_s if wait else None, as_json=as_json))


@cli.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--batch", metavar="NAME", help="Another name sends the same messages anew; default: the file's name.")
@click.option("--no-wait", is_flag=True, help="Return when they are stored.")
@AS_JSON
@ACCOUNT
def bulk(path: Path, batch: str | None, user_id: str | None, *, no_wait: bool, as_json: bool) -> None:
    """
    Send the messages of a file: CSV with the columns chat_id, text and any of priority, send_at, key; or JSON lines.

    All lines are checked before the first is stored. After Ctrl-C the same file goes on where it stopped; nothing is
    sent twice within 72 hours. What failed is written to FILE.report.csv, with the reason.
    """
    from gateway import bulk as sending  # noqa: PLC0415

    end_with(sending.send(path, user_id, batch=batch, wait=not no_wait, as_json=as_json))


@cli.command()
@click.argument("message_id", metavar="ID")
@AS_JSON
@ACCOUNT
def status(message_id: str, user_id: str | None, *, as_json: bool) -> None:
    """
    Show what became of a command, or of a message that came in.
    """
    from gateway import status as record  # noqa: PLC0415

    end_with(record.show(message_id, user_id, as_json=as_json))


@cli.command()
@click.argument("command_id", metavar="ID")
@click.argument("outcome", type=click.Choice(["sent", "not-sent"]))
@click.option("--message-id", metavar="ID", help="The message in the chat, if it was sent.")
@ACCOUNT
def resolve(command_id: str, outcome: str, message_id: str | None, user_id: str | None) -> None:
    """
    Say what became of a command of unknown outcome: it was sent, or not; then it is sent again.
    """
    if message_id is not None and outcome != "sent":
        raise click.UsageError("Only what was sent has a --message-id.")
    from gateway import status as record  # noqa: PLC0415

    end_with(record.resolve(command_id, user_id, message_id, is_sent=outcome == "sent"))


@cli.command()
@click.option("--chat", "chat_id", metavar="CHAT", help="This chat alone.")
@click.option("--no-text", is_flag=True, help="Leave the texts out.")
@AS_JSON
@ACCOUNT
def tail(chat_id: str | None, user_id: str | None, *, no_text: bool, as_json: bool) -> None:
    """
    Follow both directions live: what is accepted, each attempt, and the end. Ctrl-C stops.
    """
    from gateway import tail as following  # noqa: PLC0415

    end_with(following.follow(user_id, chat_id=chat_id, as_json=as_json, with_text=not no_text))


DIRECTION = click.argument("direction", required=False, type=click.Choice(["commands", "events"]))


@cli.command()
@DIRECTION
@click.option("--reason", "why", default="", metavar="TEXT", help="Told to whoever looks.")
@ACCOUNT
def pause(direction: Any, why: str, user_id: str | None) -> None:
    """
    Stop sending to Avito (commands), delivering to n8n (events), or both, until `resume`.

    Everything is still accepted and kept. Requests under way end, and reads over the REST API go on.
    """
    from gateway import hold  # noqa: PLC0415

    end_with(hold.hold(direction, user_id, why=why))


@cli.command()
@DIRECTION
@ACCOUNT
def resume(direction: Any, user_id: str | None) -> None:
    """
    Go on after `pause`: within 2 s, in order, within the limit.
    """
    from gateway import hold  # noqa: PLC0415

    end_with(hold.resume(direction, user_id))


@cli.command()
@click.argument("chat_id", metavar="CHAT")
@click.option("--yes", is_flag=True, help="Do not ask.")
@AS_JSON
@ACCOUNT
def erase(chat_id: str, user_id: str | None, *, yes: bool, as_json: bool) -> None:
    """
    Remove a customer's traces: records, caches and dead letters of a chat. Says what was removed.

    What is still under way is left, with exit code 1.
    """
    from gateway import erase as erasing  # noqa: PLC0415

    if not yes:
        click.confirm(f"Remove what is kept of chat {chat_id} for good?", abort=True)
    end_with(erasing.erase(chat_id, user_id, as_json=as_json))


@cli.command()
@click.argument("url", metavar="URL")
@ACCOUNT
def subscribe(url: str, user_id: str | None) -> None:
    """
    Tell Avito to send its webhooks to URL, such as https://gateway.example.com/webhook/avito.
    """
    from gateway import subscribe as subscribing  # noqa: PLC0415

    end_with(subscribing.subscribe(url, user_id))


@cli.command()
@click.option("--fix", is_flag=True, help="Mend what cannot do harm: the mode of .env, missing consumer groups.")
@AS_JSON
@ACCOUNT
def doctor(user_id: str | None, *, fix: bool, as_json: bool) -> None:
    """
    Check settings, Redis, Avito and n8n; says what to do. Exit with 1 if something fails.
    """
    from gateway import doctor as checks  # noqa: PLC0415

    end_with(checks.run(user_id, fix=fix, as_json=as_json))


@cli.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def backup(path: Path) -> None:
    """
    Copy what the embedded server holds into FILE, a new .tar.gz, while everything goes on.
    """
    from gateway import backup as copying  # noqa: PLC0415

    end_with(copying.make(path))


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """
    Print what makes the Tab key complete commands in a shell.

    For bash: put  eval "$(avito-gateway completion bash)"  into ~/.bashrc.
    """
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(cli, {}, "avito-gateway", "_AVITO_GATEWAY_COMPLETE").source())


cli.add_command(dead)


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
