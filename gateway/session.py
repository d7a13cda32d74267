"""
A session: what one command of the command line works with.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from common.errors import GatewayError
from common.queue.connection import Connections, connect
from common.queue.records import Records
from common.queue.reports import Reporter
from common.settings import Account, Settings
from gateway.embedded import EmbeddedServer
from gateway.profile import Profile, read_profile


@dataclass(frozen=True, slots=True)
class Session:
    """
    Settings, the chosen account, and connections to the same Redis that the running program uses.
    """

    profile: Profile
    account: Account
    connections: Connections

    @property
    def settings(self) -> Settings:
        """
        Return the settings in force.
        """
        return self.profile.settings

    async def has_workers(self) -> bool:
        """
        Say whether a dispatcher or forwarder is alive somewhere.
        """
        return bool(await Records(self.connections, self.settings).workers())


@asynccontextmanager
async def open_session(user_id: str | None = None) -> AsyncIterator[Session]:
    """
    Open a session; beside a running embedded server it uses that one, else it starts one for as long as it lasts.
    """
    profile = read_profile()
    account = profile.account(user_id)
    async with redis_address(profile.settings) as url:
        connections = connect(url)
        try:
            yield Session(profile, account, connections)
            with contextlib.suppress(GatewayError):
                await Reporter(connections, profile.settings.key_prefix).report()
        finally:
            await connections.aclose()


@asynccontextmanager
async def redis_address(settings: Settings) -> AsyncIterator[str]:
    """
    Give `REDIS_URL`, or the address of the embedded server, which runs until the block ends.
    """
    if settings.redis_url is not None:
        yield settings.redis_url
        return
    server = EmbeddedServer(settings.data_dir)
    await asyncio.to_thread(server.join)
    try:
        yield server.url
    finally:
        await asyncio.to_thread(server.leave)
