"""
The field `callback_url` of a request.
"""

from __future__ import annotations

from common.callbacks import is_allowed
from common.settings import Account, Settings
from ingress.problems import FieldError, ProblemError


def check_callback(url: str | None, name: str, account: Account, settings: Settings) -> None:
    """
    Refuse a callback address that is not allowed; `name` is the path of the field. `url` is an http(s) address already.
    """
    if url is not None and not is_allowed(url, account, settings):
        message = "This is neither n8n's own origin nor a host in CALLBACK_HOSTS."
        raise ProblemError(
            "callback_not_allowed", f"{name}: {message}", errors=[FieldError(name, message, "callback_not_allowed")]
        )
