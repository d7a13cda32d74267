"""
The pages that are written from what they describe: `python -m gateway.reference` writes them into docs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

import click
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from common.avito.client import Avito
from common.queue.connection import connect
from common.settings import Account, Settings, load
from gateway.cli import cli
from ingress.app import create_app
from ingress.catalogue import as_markdown

_NOTE: Final = "<!-- written by `make reference`, do not edit -->"
_BOUNDS: Final = (("ge", "at least {}"), ("gt", "above {}"), ("le", "at most {}"))
_METHODS: Final = ("get", "post", "put", "patch", "delete")


def pages() -> dict[str, str]:
    """
    Return file name, below docs, -> text.
    """
    return {
        "errors.md": as_markdown(),
        "reference/settings.md": settings_page(),
        "reference/cli.md": cli_page(),
        "reference/rest.md": rest_page(),
    }


def settings_page() -> str:
    """
    Return the table of all settings, and of what an account of `ACCOUNTS_FILE` has.
    """
    return "\n".join(
        [
            "# Settings",
            "",
            _NOTE,
            "",
            "From the environment or the file `.env` in the folder where the gateway starts; the environment wins.",
            "Durations are seconds and may be fractions. `NAME=` with nothing behind it is not set.",
            "A value that is not allowed stops the start with one line that names the setting.",
            "",
            *_fields(Settings, str.upper),
            "",
            "## Accounts",
            "",
            "`ACCOUNTS_FILE` names a TOML file with one `[[account]]` table for each further account. Its fields:",
            "",
            *_fields(Account, str),
            "",
        ]
    )


def _fields(model: type[BaseModel], named: Any) -> Iterator[str]:
    yield "| setting | type, what is allowed | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        meaning = re.sub(r"(?<![`\w])([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?![`\w])", r"`\1`", field.description or "")
        yield f"| `{named(name)}` | {_allowed(name, field)} | {_default(field)} | {meaning} |"


def _allowed(name: str, field: FieldInfo) -> str:
    types = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not NoneType]
    if get_origin(field.annotation) is Literal:
        return " or ".join(f"`{value}`" for value in types)
    words = {bool: "`true` or `false`", int: "number", float: "seconds", Path: "path", SecretStr: "secret", str: "text"}
    kind = "list, comma separated" if field.annotation == tuple[str, ...] else words[types[0]]
    if "url" in name:
        kind = "address"
    bounds = [
        text.format(f"{value:g}" if isinstance(value, float) else value)
        for item in field.metadata
        for bound, text in _BOUNDS
        if (value := getattr(item, bound, None)) is not None
    ]
    return ", ".join([kind, *bounds])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be set"
    if field.default in (None, ()):
        return "not set"
    text = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
    return f"`{text.lower() if isinstance(field.default, bool) else _whole(field.default, text)}`"


def _whole(value: object, text: str) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else text


def cli_page() -> str:
    """
    Return every command with its arguments and options.
    """
    lines = [
        "# The command line",
        "",
        _NOTE,
        "",
        "`.venv/bin/avito-gateway`, or `avito-gateway` where the package is installed. It reads the settings of the",
        "folder in which it is called. It works beside a running gateway: on the same machine, or with the same",
        "`REDIS_URL`. Exit codes: 0, 1 failure, 2 usage or settings. `-h` and `--help` explain each command.",
    ]
    for path, command in _commands(cli, ()):
        lines += ["", f"## {' '.join(path)}", "", *_command(path, command)]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in sorted(group.commands):
        command = group.commands[name]
        if isinstance(command, click.Group):
            yield from _commands(command, (*above, name))
        elif not command.hidden:
            yield (*above, name), command


def _command(path: tuple[str, ...], command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"avito-gateway {' '.join(path)}")
    yield f"`{' '.join([context.command_path, *command.collect_usage_pieces(context)])}`"
    yield ""
    yield "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    options = [option for option in command.params if isinstance(option, click.Option)]
    if options:
        yield ""
        yield "| option | what |"
        yield "|---|---|"
        for option in options:
            yield f"| `{_written(option, context)}` | {_cell(option.help)}{_shown_default(option)} |"


def _written(option: click.Option, context: click.Context) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return names
    if isinstance(option.type, click.Choice):
        return f"{names} {' or '.join(option.type.choices)}"
    is_number = isinstance(option.type, (click.types.IntParamType, click.types.FloatParamType))
    return f"{names} {'NUMBER' if is_number else option.make_metavar(context)}"


def _shown_default(option: click.Option) -> str:
    return f" Default: `{option.default}`." if option.show_default and option.default is not None else ""


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def rest_page() -> str:
    """
    Return the table of all addresses of the HTTP API.
    """
    settings = load(None, avito_client_id="1", avito_client_secret="1", avito_user_id="1")  # noqa: S106 - none is called
    connections = connect("redis://127.0.0.1:1")
    app = create_app(settings, connections, Avito(settings, connections))
    lines = [
        "# The HTTP API",
        "",
        _NOTE,
        "",
        "`/docs` of a running gateway shows parameters, bodies and answers, and lets you try them; `/openapi.json` is",
        "the same for programs. With `API_KEY` set, all but `/health`, `/docs` and the webhook want it as `X-API-Key`,",
        "or as `Authorization: Bearer`. Errors are listed in [errors.md](../errors.md).",
        "",
        "| request | what it does |",
        "|---|---|",
    ]
    lines += [
        f"| `{method.upper()} {path}` | {_cell(item[method].get('summary'))} |"
        for path, item in app.openapi_schema.to_schema()["paths"].items()
        for method in _METHODS
        if method in item
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """
    Write the pages.
    """
    docs = Path(__file__).resolve().parents[1] / "docs"
    for name, text in pages().items():
        (docs / name).parent.mkdir(exist_ok=True)
        (docs / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"docs/{name}\n")


if __name__ == "__main__":
    main()
