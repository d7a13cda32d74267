"""
The gateway as processes: roles started, killed and stopped as an operator would, against an in-process sandbox.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx

from common.queue import keys
from common.queue.connection import Connections
from common.settings import Settings, load
from sandbox import Sandbox
from tests.harness import Queue, eventually

ROOT = Path(__file__).resolve().parents[1]
START_S = 30.0
# What a service manager does before it starts the program (sd_listen_fds(3)).
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


class Notices:
    """
    What a service manager is told by one process.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        name = f"gateway-test-{secrets.token_hex(8)}"
        self._socket.bind(f"\0{name}")
        self.address = f"@{name}"
        self._told: list[str] = []

    def __enter__(self) -> Self:
        """
        Listen until the block ends.
        """
        return self

    def __exit__(self, *_: object) -> None:
        """
        Listen no more.
        """
        self._socket.close()

    def count(self, state: str) -> int:
        """
        Return how often that was told.
        """
        with suppress(BlockingIOError):
            while True:
                self._told += self._socket.recv(4096).decode().splitlines()
        return self._told.count(state)


@dataclass
class Fleet:
    """
    Processes of one installation: one key prefix, one Redis, one sandbox.
    """

    connections: Connections
    sandbox: Sandbox
    environment: dict[str, str]
    folder: Path
    port: int
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)
    listening: socket.socket | None = None

    def __post_init__(self) -> None:
        """
        Make what the test looks with.
        """
        self.settings: Settings = load(None, **{name.lower(): value for name, value in self.environment.items()})
        self.queue = Queue(self.connections, self.settings)
        self.url = f"http://127.0.0.1:{self.port}"
        key = {"X-API-Key": self.environment["API_KEY"]} if "API_KEY" in self.environment else {}
        self.client = httpx.AsyncClient(base_url=self.url, headers=key, timeout=60.0)
        self._logs: dict[int, Path] = {}

    def listen(self, listening: socket.socket) -> None:
        """
        Hand this socket to every ingress, as a service manager does; it stays open whatever they do.
        """
        self.listening = listening
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.client.base_url = httpx.URL(self.url)

    async def start(self, *roles: str, **environment: str) -> asyncio.subprocess.Process:
        """
        Start a process with these roles, or other arguments of `run`, and wait until it works.

        `environment` goes before the fleet's.
        """
        path = self.folder / f"{len(self._logs)}-{'-'.join(roles)}-{secrets.token_hex(2)}.log"
        log = path.open("wb")
        handed = self.listening.fileno() if self.listening is not None and "ingress" in roles else None
        told = Notices()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *(("-c", HAND_OVER, str(handed)) if handed is not None else ()),
            "-m",
            "gateway",
            "run",
            *roles,
            pass_fds=() if handed is None else (handed,),
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "NOTIFY_SOCKET": told.address,
                **self.environment,
                **environment,
            },
            stdout=log,
            stderr=log,
        )
        log.close()
        self.processes.append(process)
        self._logs[process.pid] = path
        working = len([role for role in roles if role in ("dispatcher", "forwarder")])

        async def ready() -> bool:
            assert process.returncode is None, f"it ended: {self.log_of(process)}"
            return told.count("READY=1") == 1 and await self._workers_of(process) >= working

        with told:
            await eventually(ready, START_S)
        return process

    async def start_all(self, *processes: tuple[str, ...]) -> list[asyncio.subprocess.Process]:
        """
        Start several processes at once, each with its roles, and wait until all work.
        """
        return list(await asyncio.gather(*(self.start(*roles) for roles in processes)))

    def log_of(self, process: asyncio.subprocess.Process) -> str:
        """
        Return what a process has logged.
        """
        return self._logs[process.pid].read_text(encoding="utf-8")

    async def _workers_of(self, process: asyncio.subprocess.Process) -> int:
        names = await self.connections.commands.zrange(keys.workers(self.settings.key_prefix), 0, -1)
        return sum(f"-{process.pid}-" in name for name in names)

    async def held_by(self, process: asyncio.subprocess.Process, *, for_s: float = 0.0) -> int:
        """
        Return how many commands are pending for a worker of this process, and have been for some time.
        """
        stream, idle_ms = self.queue.keys.commands.stream, round(for_s * 1000)
        rows = await self.connections.commands.xpending_range(stream, "dispatcher", "-", "+", 1000, idle=idle_ms)
        return sum(f"-{process.pid}-" in str(row["consumer"]) for row in rows)

    async def stop(self, process: asyncio.subprocess.Process, how: signal.Signals = signal.SIGTERM) -> int:
        """
        Signal a process and wait for its end; return its exit code.
        """
        process.send_signal(how)
        return await asyncio.wait_for(process.wait(), 40)

    async def command(self, *arguments: str) -> tuple[int, str]:
        """
        Run one command of the command line and return its exit code and what it prints.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            *arguments,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **self.environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        out, _ = await asyncio.wait_for(process.communicate(), START_S)
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def send(self, chat_id: str, text: str, **more: object) -> str:
        """
        Post one text as n8n does and return the command's id.
        """
        answer = await self.client.post("/api/messages/send", json={"chat_id": chat_id, "text": text, **more})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["command_id"])

    async def webhook(self, body: object) -> httpx.Response:
        """
        Post one webhook as Avito does.
        """
        return await self.client.post("/webhook/avito", json=body)

    async def aclose(self) -> None:
        """
        End all processes that still run.
        """
        for process in self.processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
        await self.client.aclose()
        await self.queue.intake.stop()


def free_port() -> int:
    """
    Return a port that is free now.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def fleet(
    connections: Connections, redis_url: str, sandbox: Sandbox, folder: Path, **environment: str
) -> AsyncIterator[Fleet]:
    """
    Make a fleet for one test; nothing runs before `Fleet.start`.
    """
    port = free_port()
    account = {"AVITO_CLIENT_ID": "sandbox", "AVITO_CLIENT_SECRET": "sandbox", "AVITO_USER_ID": "100000001"}
    made = Fleet(
        connections,
        sandbox,
        {
            **account,
            "REDIS_URL": redis_url,
            "KEY_PREFIX": f"test-{secrets.token_hex(6)}",
            "AVITO_BASE_URL": sandbox.avito_url,
            "N8N_WEBHOOK_URL": sandbox.n8n_webhook_url,
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": str(port),
            "ENRICH_WAIT": "0",
            **environment,
        },
        folder,
        port,
    )
    try:
        yield made
    finally:
        await made.aclose()
