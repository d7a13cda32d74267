"""
A taskiq-redis consumer: `taskiq worker taskiq_app:broker`. The load: `python taskiq_app.py`.
"""

from __future__ import annotations

import asyncio

from taskiq_redis import RedisStreamBroker
from work import IDLE_MS, REDIS_URL, deliver, load

STREAM, GROUP = "peers", "workers"

# Without a timeout of that lock a killed worker leaves it behind for ever.
broker = RedisStreamBroker(
    REDIS_URL,
    queue_name=STREAM,
    consumer_group_name=GROUP,
    idle_timeout=IDLE_MS,
    unacknowledged_lock_timeout=IDLE_MS / 1000,
)
task = broker.task(task_name="deliver")(deliver)


async def main() -> None:
    """
    Publish.
    """
    await broker.startup()
    await load(task.kiq)


if __name__ == "__main__":
    asyncio.run(main())
