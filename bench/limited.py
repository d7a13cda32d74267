"""
One of several dispatchers that share the gate: `python -m bench.limited URL PREFIX LIMIT WINDOW_S UNTIL_S`.

Takes what `bench.rows.limiter` puts into the queue until the monotonic time UNTIL_S, and prints the times at which each
request arrived: somewhere between its start and its end, 20 to 80 ms later.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

from bench.loop import new_runner
from bench.samples import USER_ID
from common import log
from common.queue.connection import connect
from common.queue.entry import Entry
from common.queue.gate import Gate, Limits, Permit
from common.queue.keys import AccountKeys
from common.queue.outcomes import Done, Outcome
from common.queue.role import Role

AT_ONCE = 8


async def work(url: str, prefix: str, limit: int, window_s: float, until_s: float) -> list[float]:
    """
    Take and send; return when each request arrived.
    """
    arrived_s: list[float] = []

    async def handle(entry: Entry, permit: Permit) -> Outcome:  # noqa: ARG001 - a handler's signature
        await permit.token()
        takes_s = random.uniform(0.02, 0.08)
        arrived_s.append(time.monotonic() + random.uniform(0.0, takes_s))
        await asyncio.sleep(takes_s)
        permit.ended()
        return Done("sent")

    connections = connect(url)
    limits = Limits(requests=limit, window_s=window_s, connections=3 * AT_ONCE, timeout_s=1.0)
    gate = Gate(connections, AccountKeys(prefix, USER_ID), "avito", limits)
    role = Role("dispatcher", connections, prefix, {USER_ID: (gate, handle)}, capacity=AT_ONCE, grace_s=2.0)
    asyncio.get_running_loop().call_later(until_s - time.monotonic(), role.stop)
    await role.run()
    await connections.aclose()
    return arrived_s


if __name__ == "__main__":
    log.configure("console", "error")
    with new_runner() as runner:
        url, prefix, limit, window_s, until_s = sys.argv[1:6]
        print(json.dumps(runner.run(work(url, prefix, int(limit), float(window_s), float(until_s)))))
