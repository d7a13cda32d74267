"""
The forwarder, put together: a handler, a gate and a search for missed webhooks for each account.
"""

from __future__ import annotations

import asyncio

from common.avito.client import Avito
from common.http.pool import ClientPool
from common.queue.connection import Connections
from common.queue.gate import Gate, Limits
from common.queue.intake import Intake
from common.queue.keys import AccountKeys
from common.queue.role import Role
from common.settings import Account, Settings
from forwarder import deliver
from forwarder.handler import Forwarder
from forwarder.recover import MissedWebhooks

# There is no rate towards n8n. The window only bounds how long a permit that grew old waits for a new slot.
_WINDOW_S = 1.0
# Many accounts begin to search at the same moment; events matter more.
_SEARCHES_AT_ONCE = 4
_SEARCH_GRACE_S = 2.0


class ForwarderRole(Role):
    """
    The running forwarder; once it has stopped it closes what it opened.
    """

    def __init__(self, connections: Connections, settings: Settings, avito: Avito) -> None:
        self._pool: ClientPool = deliver.pool()
        self._handlers: list[Forwarder] = []
        self._intake = Intake(connections, settings)
        at_once = asyncio.Semaphore(_SEARCHES_AT_ONCE)
        searched = settings.accounts if settings.reconcile_interval else ()
        self._searches = [
            MissedWebhooks(
                account, settings, avito=avito, connections=connections, intake=self._intake, at_once=at_once
            )
            for account in searched
        ]
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

    def stop(self) -> None:
        """
        Begin to leave: take no more, search no more.
        """
        for search in self._searches:
            search.stop()
        super().stop()

    async def run(self) -> None:
        """
        Work until `stop`.
        """
        searches = [asyncio.create_task(search.run(), name="search") for search in self._searches]
        try:
            await super().run()
        finally:
            await self._end(searches)
            await asyncio.gather(*(handler.aclose() for handler in self._handlers))
            await self._pool.aclose()

    async def _end(self, searches: list[asyncio.Task[None]]) -> None:
        """
        Let the searches come to their end; one that waits for Avito is cut short.
        """
        for search in self._searches:
            search.stop()
        if searches:
            _, late = await asyncio.wait(searches, timeout=_SEARCH_GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.wait(searches)
        await self._intake.stop()


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
