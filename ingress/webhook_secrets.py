"""
The secret in a webhook's path: who may post events for which account.
"""

from __future__ import annotations

import hmac

from pydantic import SecretStr

from common.settings import Account, Settings


class WebhookSecrets:
    """
    The secrets of all accounts; an account without one of its own has `WEBHOOK_SECRET`.
    """

    def __init__(self, settings: Settings) -> None:
        self._common = _bytes(settings.webhook_secret)
        self._own = {account.user_id: _bytes(account.webhook_secret) for account in settings.accounts}
        self._all = {self._of(account.user_id) for account in settings.accounts} | {self._common}

    def _of(self, user_id: str) -> bytes | None:
        return self._own.get(user_id) or self._common

    def known(self, shown: str | None) -> bool:
        """
        Say whether `shown` is the secret of any account, before the body tells which.

        Where an account has no secret, any address serves it: taking the secret out of the settings loses nothing.
        """
        # A list, so that each is compared whichever fits.
        matches = [_same(wanted, shown) for wanted in self._all]
        return any(matches)

    def opens(self, account: Account, shown: str | None) -> bool:
        """
        Say whether `shown` is the secret of this account.
        """
        return _same(self._of(account.user_id), shown)

    def owner(self, shown: str | None, settings: Settings) -> Account | None:
        """
        Return the account whose own secret `shown` is, for a webhook that names none.
        """
        for account in settings.accounts:
            own = self._own[account.user_id]
            if own is not None and _same(own, shown):
                return account
        return None


def _bytes(secret: SecretStr | None) -> bytes | None:
    return secret.get_secret_value().encode() if secret is not None else None


def _same(wanted: bytes | None, shown: str | None) -> bool:
    """
    Compare in a time that does not tell how much of it is right.
    """
    return wanted is None or hmac.compare_digest((shown or "").encode("utf-8", "replace"), wanted)
