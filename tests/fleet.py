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
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from common.queue import keys
from common.queue.connection import Connections
from common.settings import Settings, load
from sandbox import Sandbox
from tests.harness import Queue, eventually

ROOT = Path(__file__).resolve().parents[1]
START_S = 30.0


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

    async def start(self, *roles: str, **environment: str) -> asyncio.subprocess.Process:
        """
        Start a process with these roles, or other arguments of `run`, and wait until it works.

        `environment` goes before the fleet's.
        """
        path = self.folder / f"{len(self._logs)}-{'-'.join(roles)}-{secrets.token_hex(2)}.log"
        log = path.open("wb")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            "run",
            *roles,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **self.environment, **environment},
            stdout=log,
            stderr=log,
        )
        log.close()
        self.processes.append(process)
        self._logs[process.pid] = path
        working = len([role for role in roles if role in ("dispatcher", "forwarder")])

        async def ready() -> bool:
            assert process.returncode is None, f"it ended: {self.log_of(process)}"
            if await self._workers_of(process) < working:
                return False
            return "ingress" not in roles or await self._answers()

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

    async def _answers(self) -> bool:
        try:
            return (await self.client.get("/health/live")).status_code == 200
        except httpx.TransportError:
            return False

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
