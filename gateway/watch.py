"""
Watching over the store while the program runs.
"""

from __future__ import annotations

import asyncio
from typing import Final

from common import log
from common.errors import Outage, RedisMisuse, SettingsError
from common.queue.connection import Connections
from gateway.embedded import EmbeddedServer, EmbeddedServerError
from gateway.redis_facts import RedisFacts, inspect, judge

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 10.0
REVIVE_EACH_S: Final = 2.0

_log = log.logger(__name__)


async def greet_redis(connections: Connections) -> list[RedisFacts]:
    """
    Wait until Redis answers, saying so, and warn once about what a message queue should not rest on.

    Raises:

        SettingsError: it answers, and does not let us in or is too old.

    """
    wait_s = FIRST_WAIT_S
    while True:
        try:
            facts = await inspect(connections)
        except Outage as error:
            _log.warning("redis.away", error=str(error), retry_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        except RedisMisuse as error:
            raise SettingsError(f"REDIS_URL: {error}") from error
        else:
            break
    for finding in judge(facts):
        if finding.level == "FAIL":
            raise SettingsError(f"REDIS_URL: {finding.text}. {finding.advice}")
        if finding.level == "WARN":
            _log.warning("redis.unsuitable", subject=finding.subject, found=finding.text, advice=finding.advice)
    _log.info("redis.ready", server=", ".join(dict.fromkeys(server.name for server in facts)))
    return facts


async def keep_alive(server: EmbeddedServer) -> None:
    """
    Start the embedded server again whenever it has died; the workers wait meanwhile, and go on.
    """
    while True:
        await asyncio.sleep(REVIVE_EACH_S)
        try:
            if await asyncio.to_thread(server.revive):
                _log.error("embedded_redis.restarted", data_dir=str(server.data_dir))
        except (SettingsError, EmbeddedServerError, OSError) as error:
            _log.error("embedded_redis.away", error=str(error))
