"""
Which world the program is in: the real one of the settings, or the sandbox when no account is configured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.errors import SettingsError
from common.settings import Account, Settings, load

SANDBOX_USER_ID: Final = "100000001"
SANDBOX_CLIENT_ID: Final = "sandbox"
SANDBOX_CLIENT_SECRET: Final = "sandbox"  # noqa: S105 - the stand-in's, not Avito's


@dataclass(frozen=True, slots=True)
class Profile:
    """
    The settings to work with. In the sandbox they name a key prefix and a data directory of their own, so that play
    never mixes with real data.
    """

    settings: Settings
    is_sandbox: bool
    env_file: Path | str | None = ".env"

    def at(self, addresses: Mapping[str, str]) -> Settings:
        """
        Return the sandbox's settings with the addresses of the stand-ins.
        """
        return load(self.env_file, **_sandbox_values(load(self.env_file)), **addresses)

    def account(self, user_id: str | None) -> Account:
        """
        Return the account with that id, or the default one.

        Raises:

            SettingsError: there is no such account.

        """
        account = self.settings.account(user_id)
        if account is None:
            known = ", ".join(account.user_id for account in self.settings.accounts)
            raise SettingsError(f"--account {user_id}: no such account; known are {known}")
        return account


def read_profile(env_file: Path | str | None = ".env") -> Profile:
    """
    Read the settings and choose.

    Raises:

        SettingsError: as `load`; also when credentials are given in part, which is a mistake and not a wish to play.

    """
    settings = load(env_file)
    if settings.accounts:
        return Profile(settings, False, env_file)
    given = {"AVITO_CLIENT_SECRET": settings.avito_client_secret, "AVITO_USER_ID": settings.avito_user_id}
    for name, value in given.items():
        if value is not None:
            raise SettingsError(f"AVITO_CLIENT_ID is not set, but {name} is: set all of them, or none for the sandbox")
    return Profile(load(env_file, **_sandbox_values(settings)), True, env_file)


def _sandbox_values(settings: Settings) -> dict[str, object]:
    return {
        "avito_client_id": SANDBOX_CLIENT_ID,
        "avito_client_secret": SANDBOX_CLIENT_SECRET,
        "avito_user_id": SANDBOX_USER_ID,
        "key_prefix": f"{settings.key_prefix}-sandbox",
        "data_dir": settings.data_dir / "sandbox",
    }
