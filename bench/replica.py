"""
A dispatcher in a process of its own, whose handler takes a while as Avito does: `python -m bench.replica '{...}'`.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import asdict, dataclass

from bench.loop import new_runner
from common import log
from common.queue.connection import connect
from common.queue.entry import Entry
from common.queue.gate import Gate, Limits, Permit
from common.queue.keys import AccountKeys
from common.queue.outcomes import Done, Outcome
from common.queue.role import Role


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Which accounts a replica serves, `at_once` messages of each, and how long each message takes; `per_s` is the
    accounts' limit, 0 for none.
    """

    url: str
    prefix: str
    accounts: tuple[str, ...]
    takes_s: float = 0.0
    at_once: int = 20
    per_s: int = 0

    def to_json(self) -> str:
        """
        Return it as the process takes it.
        """
        return json.dumps(asdict(self))


async def _work(plan: Plan) -> None:
    async def handle(entry: Entry, permit: Permit) -> Outcome:  # noqa: ARG001 - a handler's signature
        await permit.token()
        if plan.takes_s:
            await asyncio.sleep(plan.takes_s)
        permit.ended()
        return Done("sent")

    connections = connect(plan.url)
    limits = Limits(requests=plan.per_s or None, window_s=1.0, connections=10_000, timeout_s=1.0)
    gates = {name: Gate(connections, AccountKeys(plan.prefix, name), "avito", limits) for name in plan.accounts}
    role = Role(
        "dispatcher",
        connections,
        plan.prefix,
        {name: (gate, handle) for name, gate in gates.items()},
        capacity=plan.at_once,
        grace_s=5.0,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, role.stop)
    await role.run()
    await connections.aclose()


def main() -> None:
    """
    Work until SIGTERM.
    """
    log.configure("console", "error")
    named = json.loads(sys.argv[1])
    with new_runner() as runner:
        runner.run(_work(Plan(**named | {"accounts": tuple(named["accounts"])})))


if __name__ == "__main__":
    main()
