"""
Which Avito account a request is about.
"""

from __future__ import annotations

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import HeaderParameter

from common.settings import Account, Settings
from ingress.catalogue import CATALOGUE
from ingress.problems import ProblemError
from ingress.services import Services

AccountHeader = Annotated[
    str | None,
    HeaderParameter(
        name="X-Avito-Account", description="Id of the Avito account. Default: the first one of the settings."
    ),
]


def provide_account(services: NamedDependency[Services], avito_account: AccountHeader = None) -> Account:
    """
    Give handlers the `account` of `X-Avito-Account`, or the default one.
    """
    return choose(services.settings, avito_account)


def choose(settings: Settings, user_id: str | None) -> Account:
    """
    Return the account with that id, or the default account when there is none.

    Raises:

        ProblemError: `bad_account`, `unknown_account`, or `not_configured` when no account is configured at all.

    """
    user_id = user_id.strip() if user_id else None
    if user_id and not (user_id.isascii() and user_id.isdecimal()):
        raise ProblemError("bad_account", CATALOGUE["bad_account"].meaning)
    account = settings.account(user_id or None)
    if account is None:
        code = "unknown_account" if user_id else "not_configured"
        raise ProblemError(code, CATALOGUE[code].meaning)
    return account
