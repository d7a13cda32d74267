"""
The real world or the sandbox.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import SettingsError
from gateway.profile import Profile, read_profile
from gateway.run import log_choice, run

REAL = "AVITO_CLIENT_ID=id\nAVITO_CLIENT_SECRET=secret\nAVITO_USER_ID=7\n"


def profile_of(folder: Path, text: str) -> Profile:
    """
    Return what an `.env` with this text makes.
    """
    (folder / ".env").write_text(text, encoding="utf-8")
    return read_profile(folder / ".env")


def test_account_makes_it_real(tmp_path: Path) -> None:
    """
    With credentials nothing of the sandbox is in the settings.
    """
    profile = profile_of(tmp_path, REAL)

    assert (False, "avito", "7") == (
        profile.is_sandbox,
        profile.settings.key_prefix,
        profile.account(None).user_id,
    )


def test_sandbox_keeps_apart_from_real_data(tmp_path: Path) -> None:
    """
    Key prefix and data directory are the sandbox's own.
    """
    profile = profile_of(tmp_path, "KEY_PREFIX=shop\nDATA_DIR=/srv/gw\n")

    assert (True, "shop-sandbox", Path("/srv/gw/sandbox")) == (
        profile.is_sandbox,
        profile.settings.key_prefix,
        profile.settings.data_dir,
    )


def test_sandbox_is_at_the_addresses_of_its_stand_ins(tmp_path: Path) -> None:
    """
    An n8n of the settings is not told about play.
    """
    profile = profile_of(tmp_path, "N8N_WEBHOOK_URL=https://n8n.example.com/webhook/avito\n")

    settings = profile.at({"avito_base_url": "http://127.0.0.1:1", "n8n_webhook_url": "http://127.0.0.1:2/webhook/a"})

    (account,) = settings.accounts
    assert ("http://127.0.0.1:1", "http://127.0.0.1:2/webhook/a", "avito-sandbox") == (
        settings.avito_base_url,
        account.n8n_webhook_url,
        settings.key_prefix,
    )


def test_accounts_file_alone_is_real(tmp_path: Path) -> None:
    """
    Accounts that are listed in a file need no AVITO_CLIENT_ID.
    """
    listed = tmp_path / "accounts.toml"
    listed.write_text('[[account]]\nuser_id = 8\nclient_id = "i"\nclient_secret = "s"\n', encoding="utf-8")

    assert not profile_of(tmp_path, f"ACCOUNTS_FILE={listed}\n").is_sandbox


@pytest.mark.parametrize("line", ["AVITO_CLIENT_SECRET=secret", "AVITO_USER_ID=7"])
def test_credentials_in_part_are_a_mistake(tmp_path: Path, line: str) -> None:
    """
    Who sets a part of them does not want to play.
    """
    with pytest.raises(SettingsError, match=f"AVITO_CLIENT_ID is not set, but {line.split('=', maxsplit=1)[0]} is"):
        profile_of(tmp_path, line)


def test_unknown_account_names_the_known_ones(tmp_path: Path) -> None:
    """
    The message says what could be meant.
    """
    with pytest.raises(SettingsError, match="--account 9: no such account; known are 7"):
        profile_of(tmp_path, REAL).account("9")


def test_sandbox_needs_all_roles(tmp_path: Path) -> None:
    """
    A role of its own cannot share a sandbox that lives in another process.
    """
    with pytest.raises(SettingsError, match="all roles in one process"):
        run(profile_of(tmp_path, ""), ["dispatcher"], 1)


def test_workers_are_the_ingress_alone(tmp_path: Path) -> None:
    """
    Several workers of everything would be several embedded servers.
    """
    with pytest.raises(SettingsError, match="--workers goes with `run ingress` alone"):
        run(profile_of(tmp_path, REAL), ["ingress", "forwarder"], 2)


@pytest.mark.parametrize(
    ("text", "is_terminal", "choice"),
    [
        (REAL, False, ("json", "info")),
        (REAL, True, ("console", "info")),
        (REAL + "LOG_FORMAT=json\n", True, ("json", "info")),
        ("", False, ("console", "warning")),
        ("LOG_LEVEL=debug\nLOG_FORMAT=json\n", False, ("json", "debug")),
    ],
)
def test_logs_suit_their_reader_unless_told(
    tmp_path: Path, text: str, is_terminal: bool, choice: tuple[str, str]
) -> None:
    """
    What the settings say holds; else a terminal gets lines to read, and the sandbox little noise.
    """
    assert choice == log_choice(profile_of(tmp_path, text), is_terminal=is_terminal)
