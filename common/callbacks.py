"""
Where outcomes may be posted: to n8n's own origin, and to the hosts in `CALLBACK_HOSTS`.
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
    Say whether an outcome may be posted to `url`; entries of `CALLBACK_HOSTS` are a host, or a host and port.

    What its host resolves to is checked when it is called.
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
    # User names in an address are there to make it look like another one.
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname.lower(), port if port is not None else _PORTS[parts.scheme]
