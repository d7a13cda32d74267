"""
What many accounts cost while nothing happens: the program's memory, and its commands to Redis.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from bench.load import HOST
from bench.processes import end, free_port, plain_environment
from common.queue.connection import connect
from common.queue.keys import AccountKeys, workers
from sandbox import Account, Options, Sandbox

PREFIX: Final = "idle"

_START_S: Final = 120.0
_FIRST: Final = 100_000_001
# What stands there between two searches (docs/architecture.md).
_SEARCHED: Final = "over"
_STATUS: Final = "/proc/{}/status"


@dataclass(frozen=True, slots=True)
class Idle:
    """
    A process with `accounts`: its resident memory, and its commands a minute by name. What scripts call is not counted.
    """

    accounts: int
    memory_mib: float
    commands: dict[str, float]

    @property
    def commands_per_min(self) -> float:
        """
        Return all commands a minute.
        """
        return sum(self.commands.values())


async def idle(
    url: str, servers: Sequence[str], *, accounts: int, settle_s: float, measure_s: float, reconcile_s: float = 300.0
) -> Idle:
    """
    Run all roles in one process, wait until each account's first search for missed webhooks is over and `settle_s`
    more, and count for `measure_s` at all `servers`.

    INFO commandstats counts what scripts call as well, so MONITOR is asked, which tells one from the other.
    """
    listed = tuple(Account(user_id=_FIRST + n, client_id=f"id{n}", client_secret=f"secret{n}") for n in range(accounts))
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox.start(Options(accounts=listed)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-")))
        process = await _start(folder, url, sandbox, listed, reconcile_s)
        stack.push_async_callback(end, process)
        connections = connect(url, timeout_s=_START_S)
        stack.push_async_callback(connections.aclose)
        async with asyncio.timeout(_START_S):
            while await connections.commands.zcard(workers(PREFIX)) < 2:
                if process.returncode is not None:
                    raise RuntimeError((folder / "log").read_text(errors="replace")[-2000:])
                await asyncio.sleep(0.1)
            for account in listed:
                lock = AccountKeys(PREFIX, str(account.user_id)).recover_lock
                while await connections.commands.get(lock) != _SEARCHED:  # noqa: ASYNC110 - it is in Redis
                    await asyncio.sleep(0.1)
        await asyncio.sleep(settle_s)
        counted = await count(servers, measure_s)
        return Idle(accounts, memory_mib(process.pid), {name: n * 60 / measure_s for name, n in counted.items()})


async def _start(
    folder: Path, url: str, sandbox: Sandbox, accounts: Sequence[Account], reconcile_s: float
) -> asyncio.subprocess.Process:
    tables = [
        f'[[account]]\nuser_id = {account.user_id}\nclient_id = "{account.client_id}"\n'
        f'client_secret = "{account.client_secret}"\nn8n_webhook_url = "{sandbox.n8n_webhook_url}"\n'
        for account in accounts
    ]
    (folder / "accounts.toml").write_text("\n".join(tables), encoding="utf-8")
    settings = {
        "ACCOUNTS_FILE": str(folder / "accounts.toml"),
        "AVITO_BASE_URL": sandbox.avito_url,
        "REDIS_URL": url,
        "KEY_PREFIX": PREFIX,
        "SERVER_HOST": HOST,
        "SERVER_PORT": str(free_port()),
        "RECONCILE_INTERVAL": str(reconcile_s),
    }
    with (folder / "log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "gateway", "run"),
            cwd=folder,
            env=plain_environment() | settings,
            stdout=log,
            stderr=log,
        )


async def count(servers: Sequence[str], seconds: float) -> Counter[str]:
    """
    Count the commands that servers get by name, without what scripts call.
    """
    counts: Counter[str] = Counter()
    watching = [asyncio.create_task(_watch(server, counts)) for server in servers]
    # Each goes on until it is stopped: one that ended is an error.
    ended, _ = await asyncio.wait(watching, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in watching:
        task.cancel()
    await asyncio.wait(watching)
    for task in ended:
        task.result()
    return counts


async def _watch(url: str, counts: Counter[str]) -> None:
    async with Redis.from_url(url, socket_timeout=None) as server, server.monitor() as monitor:
        async for command in monitor.listen():
            if command["client_type"] != "lua":
                counts[command["command"].split(" ", 1)[0].lower()] += 1


def memory_mib(pid: int) -> float:
    """
    Return a process' resident memory.
    """
    lines = Path(_STATUS.format(pid)).read_text(encoding="utf-8").splitlines()
    (kib,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return kib / 1024
