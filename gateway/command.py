"""
What the commands of the command line share: their options, and how one runs and ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn

import rich_click as click

from common import log

ACCOUNT = click.option("--account", "user_id", metavar="ID", help="Avito account; the default is AVITO_USER_ID.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="For programs: JSON on standard output.")


def end_with(work: Coroutine[Any, Any, int]) -> NoReturn:
    """
    Run one command, and end the process with the exit code it returns.

    Its answer goes to standard output, so the logs keep to what matters.
    """
    log.configure("console", "warning")
    raise SystemExit(asyncio.run(work))
