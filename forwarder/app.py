"""
The forwarder, put together: a handler and a gate for each account.
"""

from __future__ import annotations

import asyncio

from common.avito.client import Avito
from common.http.pool import ClientPool
from common.queue.connection import Connections
from common.queue.gate import Gate, Limits
from common.queue.keys import AccountKeys
from common.queue.role import Role
from common.settings import Account, Settings
from forwarder import deliver
from forwarder.handler import Forwarder

# There is no rate towards n8n. The window only bounds how long a permit that grew old waits for a new slot.
_WINDOW_S = 1.0


class ForwarderRole(Role):
    """
    The running forwarder; once it has stopped it closes what it opened.
    """

    def __init__(self, connections: Connections, settings: Settings, avito: Avito) -> None:
        self._pool: ClientPool = deliver.pool()
        self._handlers: list[Forwarder] = []
        guarded = deliver.Guarded(settings)
        accounts = {}
        for account in settings.accounts:
            gate = _gate(account, connections, settings)
            handler = Forwarder(
                account,
                settings,
                gate=gate,
                pool=self._pool,
                guarded=guarded,
                avito=avito,
                connections=connections,
            )
            self._handlers.append(handler)
            accounts[account.user_id] = (gate, handler)
        super().__init__(
            "forwarder",
            connections,
            settings.key_prefix,
            accounts,
            capacity=settings.forward_concurrency,
            grace_s=settings.shutdown_grace,
        )

    async def run(self) -> None:
        """
        Work until `stop`.
        """
        try:
            await super().run()
        finally:
            await asyncio.gather(*(handler.aclose() for handler in self._handlers))
            await self._pool.aclose()


def build(connections: Connections, settings: Settings, avito: Avito) -> Role:
    """
    Make the forwarder for all accounts of the settings; `run` starts it.
    """
    return ForwarderRole(connections, settings, avito)


def _gate(account: Account, connections: Connections, settings: Settings) -> Gate:
    limits = Limits(
        requests=None,
        window_s=_WINDOW_S,
        connections=settings.forward_concurrency,
        # A slot is held while names are looked up, too.
        timeout_s=settings.enrich_wait + settings.forward_timeout,
    )
    return Gate(connections, AccountKeys(settings.key_prefix, account.user_id), "n8n", limits)
