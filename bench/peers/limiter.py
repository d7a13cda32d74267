"""
One of several processes that share a limiter: `python limiter.py limits|pyrate|incr URL LIMIT WINDOW_S BEGIN_S NUMBER`.

From the monotonic time BEGIN_S on it makes requests for as long as `bench.rows.limiter` has it, eight at once, and
prints the times at which each arrived: somewhere between its start and its end, 20 to 80 ms later.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable

AT_ONCE = 8
POLL_S = 0.02
# In windows: busy, quiet, one request, and busy again before the window of that one is over (`bench.rows.limiter`).
BUSY, ONE, AGAIN, END = 4.0, 5.5, 6.35, 7.5

Permitted = Callable[[], Awaitable[bool]]


async def with_limits(url: str, limit: int, window_s: float) -> Permitted:
    """
    Use the moving window of `limits`.
    """
    from limits import RateLimitItemPerSecond
    from limits.aio.storage import RedisStorage
    from limits.aio.strategies import MovingWindowRateLimiter

    limiter = MovingWindowRateLimiter(RedisStorage(f"async+redis+{url}", implementation="redispy"))
    item = RateLimitItemPerSecond(limit, int(window_s))

    async def permitted() -> bool:
        return await limiter.hit(item, "avito")

    return permitted


async def with_pyrate(url: str, limit: int, window_s: float) -> Permitted:
    """
    Use the Redis bucket of `pyrate-limiter`.
    """
    from pyrate_limiter import Limiter, Rate, RedisBucket
    from redis.asyncio import Redis

    bucket = await RedisBucket.init([Rate(limit, int(window_s * 1000))], Redis.from_url(url), "pyrate")
    limiter = Limiter(bucket)

    async def permitted() -> bool:
        return await limiter.try_acquire_async("avito", blocking=False)

    return permitted


async def with_incr(url: str, limit: int, window_s: float) -> Permitted:
    """
    Count in a key that expires, as many do.
    """
    from redis.asyncio import Redis

    redis = Redis.from_url(url)

    async def permitted() -> bool:
        pipe = redis.pipeline()
        pipe.incr("incr")
        pipe.pexpire("incr", int(window_s * 1000), nx=True)
        count, _ = await pipe.execute()
        return bool(count <= limit)

    return permitted


async def main(name: str, url: str, limit: int, window_s: float, begin_s: float, number: int) -> list[float]:
    """
    Make requests; return when each arrived.
    """
    made = {"limits": with_limits, "pyrate": with_pyrate, "incr": with_incr}
    permitted = await made[name](url, limit, window_s)
    arrived_s: list[float] = []

    async def request() -> None:
        takes_s = random.uniform(0.02, 0.08)
        arrived_s.append(time.monotonic() + random.uniform(0.0, takes_s))
        await asyncio.sleep(takes_s)

    async def work(worker: int) -> None:
        alone = number == worker == 0
        while (now := (time.monotonic() - begin_s) / window_s) < END:
            busy = 0 <= now < BUSY or now >= AGAIN
            if (busy or (alone and now >= ONE)) and await permitted():
                await request()
                alone = False
            else:
                await asyncio.sleep(POLL_S)

    await asyncio.gather(*(work(worker) for worker in range(AT_ONCE)))
    return arrived_s


if __name__ == "__main__":
    name, url, limit, window_s, begin_s, number = sys.argv[1:7]
    print(json.dumps(asyncio.run(main(name, url, int(limit), float(window_s), float(begin_s), int(number)))))
