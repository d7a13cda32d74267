"""
Links to voice messages. They live one hour, so each attempt to deliver asks anew (facts, 4.5).
"""

from __future__ import annotations

import asyncio

from common import log
from common.avito import calls
from common.avito.client import Avito
from common.avito.messages import mapping
from common.avito.reads import read
from common.errors import GatewayError
from common.settings import Account
from forwarder.webhook import text_of

_log = log.logger(__name__)


class VoiceLinks:
    """
    Asks Avito for the links of one account's voice messages.
    """

    def __init__(self, account: Account, avito: Avito) -> None:
        self._account = account
        self._avito = avito
        self._asking: set[asyncio.Task[str | None]] = set()

    async def get(self, voice_id: str, wait_s: float) -> str | None:
        """
        Return a fresh link if it can be had within `wait_s`; 0 asks nobody.

        A request that takes longer is left to end by itself: its token is spent, and Redis calls are not cancelled
        (R5).
        """
        if wait_s <= 0:
            return None
        task = asyncio.create_task(self._ask(voice_id, wait_s), name=f"voice-{self._account.user_id}")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        await asyncio.wait((task,), timeout=wait_s)
        return task.result() if task.done() else None

    async def aclose(self) -> None:
        """
        End the requests that are under way.
        """
        asking = list(self._asking)
        for task in asking:
            task.cancel()
        if asking:
            await asyncio.wait(asking)

    async def _ask(self, voice_id: str, wait_s: float) -> str | None:
        call = calls.voice_files(self._account.user_id, [voice_id])
        try:
            body = await read(self._avito, self._account, call, wait_s=wait_s)
        except GatewayError as error:
            _log.warning("voice.lookup_failed", account=self._account.user_id, error=str(error))
            return None
        return text_of(mapping(mapping(body).get("voices_urls")).get(voice_id))
