"""
`run`: check what was asked for, set up the logs, choose between one process and several.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Literal

from uvicorn import Config

from common import log, tracing
from common.errors import SettingsError
from common.settings import Settings
from gateway import http_server
from gateway.profile import Profile
from gateway.program import ROLES, Program, RoleName
from gateway.session import redis_address

_log = log.logger(__name__)


def run(profile: Profile, roles: Sequence[RoleName], workers: int) -> None:
    """
    Run until SIGTERM or SIGINT.

    Raises:

        SettingsError: what was asked for does not go together, or an address or Redis cannot be used.

        GatewayError: a role ended by itself, or a second signal came.

    """
    if profile.is_sandbox and (set(roles) != set(ROLES) or workers > 1):
        raise SettingsError(
            "AVITO_CLIENT_ID is not set: that needs all roles in one process, so that they can run against the sandbox"
        )
    if workers > 1 and set(roles) != {"ingress"}:
        raise SettingsError("--workers goes with `run ingress` alone; of the other roles, start more processes")
    log.configure(*log_choice(profile, is_terminal=sys.stderr.isatty()))
    tracing.start(profile.settings)
    warn_of_missing(profile, roles)
    if "ingress" in roles:
        http_server.allow_many_files()
    try:
        with asyncio.Runner(loop_factory=Config(app="", log_config=None).get_loop_factory()) as runner:
            if workers > 1:
                _run_workers(runner, profile.settings, workers)
            else:
                runner.run(Program(profile, roles).run())
    finally:
        tracing.stop()


def log_choice(profile: Profile, *, is_terminal: bool) -> tuple[Literal["json", "console"], str]:
    """
    Return format and level: what the settings say, and where they do not, what suits who reads.
    """
    settings = profile.settings
    log_format, level = settings.log_format, settings.log_level
    if "log_format" not in settings.model_fields_set and (is_terminal or profile.is_sandbox):
        log_format = "console"
    if "log_level" not in settings.model_fields_set and profile.is_sandbox:
        # The story of the first message is on standard output; lines about lifecycles would hide it.
        return log_format, "warning"
    return log_format, level


def warn_of_missing(profile: Profile, roles: Sequence[RoleName]) -> None:
    """
    Name what is allowed to be missing and should not be, at every start.
    """
    settings = profile.settings
    if "ingress" in roles and settings.api_key is None:
        _log.warning("setting.missing", setting="API_KEY", meaning="anybody who reaches the port can send messages")
    if "ingress" in roles and settings.webhook_secret is None:
        _log.warning("setting.missing", setting="WEBHOOK_SECRET", meaning="anybody can post webhooks")
    if "forwarder" in roles and not profile.is_sandbox:
        for account in settings.accounts:
            if account.n8n_webhook_url is None:
                _log.warning(
                    "setting.missing",
                    setting="N8N_WEBHOOK_URL",
                    account=account.user_id,
                    meaning="incoming messages are kept, and not delivered",
                )


def _run_workers(runner: asyncio.Runner, settings: Settings, workers: int) -> None:
    bound = http_server.bind(settings)
    _log.info("ingress.started", workers=workers, address=http_server.base_url(bound))
    stack = AsyncExitStack()
    url = runner.run(stack.enter_async_context(redis_address(settings)))
    try:
        http_server.serve_workers(bound, workers, url, settings)
    finally:
        bound.close()
        runner.run(stack.aclose())
