"""
The command line's grammar.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import cli
from gateway.banner import ingress_addresses, redis_name
from gateway.version import version

COMMANDS = (
    "bulk",
    "completion",
    "dead",
    "demo",
    "doctor",
    "erase",
    "init",
    "run",
    "sandbox",
    "send",
    "status",
    "subscribe",
    "tail",
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_version_is_told() -> None:
    """
    `--version` names program and version.
    """
    result = CliRunner().invoke(cli.cli, ["--version"])

    assert (0, f"avito-gateway, version {version()}\n") == (result.exit_code, result.output)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_every_command(name: str) -> None:
    """
    What there is can be found.
    """
    assert name in CliRunner().invoke(cli.cli, ["--help"]).output


@pytest.mark.parametrize(
    "line",
    [
        ["nonsense"],
        ["run", "bystander"],
        ["run", "--workers", "0"],
        ["send", "u2i-1"],
        ["dead", "redrive"],
        ["dead", "redrive", "--all", "5-1"],
        ["dead", "redrive", "--all", "--filter", "reason=rejected"],
        ["dead", "redrive", "--filter", "rejected"],
        ["dead", "redrive", "--all", "--rate", "0"],
        ["dead", "list", "--side", "left"],
        ["bulk"],
        ["erase"],
        ["subscribe"],
    ],
)
def test_wrong_usage_is_2(line: list[str]) -> None:
    """
    What cannot be understood changes nothing and exits with 2.
    """
    assert CliRunner().invoke(cli.cli, line).exit_code == 2


@pytest.mark.parametrize(
    ("line", "question"),
    [
        (["dead", "drop", "--all"], "Delete all"),
        (["dead", "drop", "--filter", "reason=rejected"], "Delete what fits"),
        (["erase", "u2i-1"], "Remove what is kept of chat u2i-1"),
    ],
)
def test_what_is_gone_for_good_is_asked_for(line: list[str], question: str) -> None:
    """
    Without a yes nothing is deleted.
    """
    result = CliRunner().invoke(cli.cli, line, input="n\n")

    assert (1, True) == (result.exit_code, question in result.output)


@pytest.mark.parametrize(
    ("line", "name"),
    [("RATE_LIMIT_REQUESTS=none", "RATE_LIMIT_REQUESTS=none"), ("REDIS_URL=http://x", "REDIS_URL=http://x")],
)
def test_wrong_setting_is_one_line_and_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, name: str
) -> None:
    """
    The line names the setting and its value.
    """
    (tmp_path / ".env").write_text(f"{line}\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["avito-gateway", "status", "x"])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    told = capsys.readouterr().err
    assert (2, 1, True) == (ended.value.code, len(told.splitlines()), name in told)


def test_too_long_text_is_refused_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """
    Avito takes 1000 characters; no server is started to find that out.
    """
    monkeypatch.setattr(sys, "argv", ["avito-gateway", "send", "u2i-1", "x" * 1001])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert (2, True) == (ended.value.code, "1001 characters" in capsys.readouterr().err)
    assert not (tmp_path / "data").exists()


def test_password_of_redis_is_not_shown(tmp_path: Path) -> None:
    """
    The terminal shows where messages are, and nobody's password.
    """
    from common.settings import load

    settings = load(None, redis_url="redis://user:word@cache:6379/3", webhook_secret="hush")

    shown = redis_name(settings) + "".join(ingress_addresses("http://127.0.0.1:8765", settings).values())
    assert "redis://cache:6379/3" in shown
    assert "word" not in shown
    assert "hush" not in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_for_this_program(shell: str) -> None:
    """
    What the shell is to run asks this program, by its name.
    """
    told = CliRunner().invoke(cli.cli, ["completion", shell]).output

    assert "_AVITO_GATEWAY_COMPLETE" in told
    assert "avito-gateway" in told
