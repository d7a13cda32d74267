"""
What runs here: version, configuration without secrets, the gates and the queues now.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import get
from litestar.di import NamedDependency
from pydantic import SecretStr

from common.queue.hold import held
from common.settings import Account, Settings
from ingress.deadline import in_time
from ingress.health import SERVICE
from ingress.problems import documented
from ingress.services import Services

DISTRIBUTION: Final = "avito-gateway"
_ADDRESSES: Final = ("redis_url", "n8n_webhook_url", "avito_base_url")


def program_version() -> str:
    """
    Return the installed version; a source tree that is not installed has none.
    """
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "0"


@get(
    "/info",
    responses=documented("unauthorized", "redis_unavailable", "redis_misconfigured"),
    tags=["Health"],
    summary="Version, configuration, gates and queues",
    operation_id="info",
)
async def info(services: NamedDependency[Services]) -> dict[str, Any]:
    """
    Return the version, the configuration without secrets, and each account's gate and queues as they are now.
    """
    accounts = services.settings.accounts
    looks = await in_time(services.records.look([account.user_id for account in accounts]))
    return {
        "service": SERVICE,
        "version": program_version(),
        "configuration": configuration(services.settings),
        "accounts": [
            destination(account)
            | {
                "n8n_paused_ms": seen.n8n.paused_ms,
                "n8n_reason": seen.n8n.reason,
                "gate": asdict(seen.avito),
                "held": {direction: asdict(hold) for direction, hold in held(seen).items()},
                "queues": [asdict(depth) for depth in seen.queues],
            }
            for account, seen in zip(accounts, looks, strict=True)
        ],
    }


def destination(account: Account) -> dict[str, Any]:
    """
    Return where an account's events go and whether they are signed, for n8n's trigger node to compare with itself.

    The path is a secret, so of it there is only a hash: who knows the path can tell whether it is this one.
    """
    url = account.n8n_webhook_url
    path = None if url is None else urlsplit(url).path.rstrip("/")
    return {
        "user_id": account.user_id,
        "n8n_origin": None if url is None else origin(url),
        "n8n_path_sha256": None if path is None else hashlib.sha256(path.encode()).hexdigest(),
        "n8n_signed": account.n8n_webhook_secret is not None,
    }


def configuration(settings: Settings) -> dict[str, Any]:
    """
    Return the settings without secrets: those show only whether they are set, addresses only their origin.

    n8n's webhook path and the password in a Redis address are secrets, too.
    """
    shown: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr) or name in ("avito_client_id", "api_key") or name.endswith("_secret"):
            shown[name] = "set" if value is not None else None
        elif name in _ADDRESSES and value is not None:
            shown[name] = origin(value)
        else:
            shown[name] = value if isinstance(value, int | float | bool | None) else _plain(value)
    return shown


def _plain(value: object) -> str | list[str]:
    return [str(part) for part in value] if isinstance(value, tuple) else str(value)


def origin(address: str) -> str:
    """
    Return scheme, host and port of an address, without user, password, path and query.
    """
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


HANDLERS: Final = [info]
