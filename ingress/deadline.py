"""
The longest a caller waits for Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from common.errors import RedisAway
from common.queue.commit import DEADLINE_S

Found = TypeVar("Found")


async def in_time(asked: Awaitable[Found]) -> Found:
    """
    Await what Redis is asked for at most 1.5 s.

    While Redis is silent each round trip takes its whole timeout, and who waits for the next one waits for both. A
    write that is given up here may happen later all the same (R2): it is the answer that must not wait.

    Raises:

        RedisAway: it took longer.

    """
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await asked
    except TimeoutError as error:
        raise RedisAway(f"Redis does not answer within {DEADLINE_S} s") from error
