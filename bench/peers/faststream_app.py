"""
A FastStream consumer: `faststream run faststream_app:app`. The load: `python faststream_app.py`.
"""

from __future__ import annotations

import asyncio

from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub
from work import IDLE_MS, NAME, REDIS_URL, deliver, load

STREAM, GROUP = "peers", "workers"

broker = RedisBroker(REDIS_URL)
# As its documentation has it: one subscriber for what is new, one that claims what others left behind.
broker.subscriber(stream=StreamSub(STREAM, group=GROUP, consumer=NAME))(deliver)
broker.subscriber(stream=StreamSub(STREAM, group=GROUP, consumer=f"{NAME}-claims", min_idle_time=IDLE_MS))(deliver)
app = FastStream(broker)


async def main() -> None:
    """
    Publish.
    """
    await broker.connect()
    await load(lambda message: broker.publish(message, stream=STREAM))


if __name__ == "__main__":
    asyncio.run(main())
