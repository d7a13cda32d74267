"""
Waiting for something to become true, without polling.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Changes:
    """
    Wake those who wait for a state, each time the state changes. One event loop, no lock.
    """

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """
        Let every waiter look again.
        """
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def wait_until(self, is_true: Callable[[], bool], timeout_s: float, seen: Callable[[], str]) -> None:
        """
        Return when `is_true()` holds.

        Raises:

            TimeoutError: it did not hold in time; the message says what was there instead (`seen`).
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not is_true():
            future: asyncio.Future[None] = loop.create_future()
            self._waiting.add(future)
            try:
                async with asyncio.timeout_at(deadline):
                    await future
            except TimeoutError:
                if is_true():
                    return
                raise TimeoutError(f"not so within {timeout_s} s; seen: {seen()}") from None
            finally:
                self._waiting.discard(future)
