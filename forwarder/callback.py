"""
Which addresses an outcome may be sent to: n8n's own origin and `CALLBACK_HOSTS`.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from common.settings import Account, Settings

_PORTS: Final = {"http": 80, "https": 443}


def is_at_n8n(url: str, account: Account) -> bool:
    """
    Say whether `url` has the scheme, host and port of the account's n8n.
    """
    return account.n8n_webhook_url is not None and _origin(url) == _origin(account.n8n_webhook_url) is not None


def is_allowed(url: str, account: Account, settings: Settings) -> bool:
    """
    Say whether a callback may go to `url`. Checked here again: entries may be older than the settings, or made by hand.
    """
    origin = _origin(url)
    if origin is None:
        return False
    _, host, port = origin
    named = {name.lower() for name in settings.callback_hosts}
    return is_at_n8n(url, account) or host in named or f"{host}:{port}" in named


def _origin(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port if port is not None else _PORTS[parts.scheme]
