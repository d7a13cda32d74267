"""
What both consumers do with a message, and the load: the same for each library.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
from collections.abc import Awaitable, Callable

REDIS_URL = os.environ["PEER_REDIS_URL"]
NAME = os.environ["PEER_NAME"]
CHATS = 8
# Half of what two consumers can do that handle one message at a time.
PACE_S = 0.6
# A message that nobody has acknowledged for so long is somebody else's.
IDLE_MS = 5000


async def deliver(message: str) -> None:
    """
    Take 10 to 130 ms, as n8n does, and say so.
    """
    await asyncio.sleep(random.uniform(0.01, 0.13))
    print(f"got {message}", flush=True)


async def load(publish: Callable[[str], Awaitable[object]]) -> None:
    """
    Publish messages of several chats until standard input ends. Each is published once: what raises is not promised.
    """
    chats = [asyncio.create_task(_chat(f"chat-{n}", publish)) for n in range(CHATS)]
    await asyncio.to_thread(sys.stdin.read)
    for chat in chats:
        chat.cancel()
    await asyncio.gather(*chats, return_exceptions=True)


async def _chat(name: str, publish: Callable[[str], Awaitable[object]]) -> None:
    for number in itertools.count():
        message = f"{name} {number}"
        try:
            await publish(message)
        except Exception as error:  # noqa: BLE001 - the load goes on, whatever a library raises
            print(f"failed {message} {type(error).__name__}", flush=True)
        else:
            print(f"sent {message}", flush=True)
        await asyncio.sleep(PACE_S)
