"""
What a person at a terminal sees of the running program.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from common.settings import Settings
from gateway.version import version


class Banner:
    """
    Lines for the terminal, on standard output; logs go to standard error.
    """

    def __init__(self, *, is_shown: bool) -> None:
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True, quiet=not is_shown)

    def line(self, text: str = "", *, style: str = "") -> None:
        """
        Show one line as it is.
        """
        self._console.print(Text(text, style=style))

    def title(self, roles: str) -> None:
        """
        Show which program this is.
        """
        self.line(f"avito-gateway {version()}: {roles}", style="bold")

    def addresses(self, listed: Mapping[str, str]) -> None:
        """
        Show names and addresses, one pair a line.
        """
        width = max((len(name) for name in listed), default=0)
        for name, address in listed.items():
            self.line(f"  {name:<{width}}  {address}")


def is_for_people(settings: Settings) -> bool:
    """
    Say whether somebody reads along: a terminal, or logs that are made to be read.
    """
    return sys.stdout.isatty() or settings.log_format == "console"


def redis_name(settings: Settings) -> str:
    """
    Return where messages are kept, without a password.
    """
    if settings.redis_url is None:
        return f"embedded Valkey in {settings.data_dir} (append-only file on)"
    parts = urlsplit(settings.redis_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def ingress_addresses(base_url: str, settings: Settings) -> dict[str, str]:
    """
    Return what there is to open on the ingress.
    """
    secret = "/<WEBHOOK_SECRET>" if settings.webhook_secret is not None else ""
    return {
        "API and documentation": f"{base_url}/docs",
        **({"console": f"{base_url}/console"} if settings.console else {}),
        "health": f"{base_url}/health",
        "queues and limit": f"{base_url}/info",
        "webhook for Avito": f"{base_url}/webhook/avito{secret}",
    }
