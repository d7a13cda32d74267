"""
The program as a process of its own, as its users start it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.embedded import EmbeddedServer
from sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[1]
DEADLINE_S = 40.0


@dataclass
class Program:
    """
    A running `python -m gateway`; what it prints is kept, and can be waited for.
    """

    process: asyncio.subprocess.Process
    out: str = ""
    err: str = ""
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _readers: list[asyncio.Task[None]] = field(default_factory=list)

    async def follow(self, stream: asyncio.StreamReader, name: str) -> None:
        """
        Keep what comes on one stream.
        """
        while chunk := await stream.read(65536):
            setattr(self, name, getattr(self, name) + chunk.decode())
            self._news.set()

    async def prints(self, text: str, timeout_s: float = DEADLINE_S) -> None:
        """
        Wait until a text was printed, on either stream.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while text not in self.out + self.err:
                    assert self.process.returncode is None, f"it ended: {self.out}{self.err}"
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pytest.fail(f"{text!r} was not printed within {timeout_s} s:\n{self.out}\n{self.err}")

    async def ends(self) -> int:
        """
        Wait for its end, and for what it printed last; return the exit code.
        """
        async with asyncio.timeout(DEADLINE_S):
            code = await self.process.wait()
        # A server that it left behind may hold the pipes open.
        await asyncio.wait(self._readers, timeout=5.0)
        return code


Start = Callable[..., Awaitable[Program]]


@asynccontextmanager
async def started(folder: Path, *arguments: str, **settings: str) -> AsyncIterator[Program]:
    """
    Run the program in `folder` with these settings in its environment; kill it at the end if it still runs.
    """
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "SERVER_PORT": "0",
        "SERVER_HOST": "127.0.0.1",
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        *arguments,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # A group of its own, so that the test can press Ctrl-C.
        process_group=0,
    )
    program = Program(process)
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.TaskGroup() as readers:
        program._readers += [
            readers.create_task(program.follow(process.stdout, "out")),
            readers.create_task(program.follow(process.stderr, "err")),
        ]
        try:
            yield program
        finally:
            # The group, since an ingress has workers: they would hold the pipes open.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


@pytest.fixture(name="start")
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """
    Starts programs in a folder of the test's own.
    """
    async with AsyncExitStack() as stack:

        async def started_here(*arguments: str, **settings: str) -> Program:
            return await stack.enter_async_context(started(tmp_path, *arguments, **settings))

        yield started_here
    # What a killed program left running ends with the test.
    for data_dir in (tmp_path / "data", tmp_path / "data" / "sandbox"):
        if (data_dir / "valkey.sock").exists():
            server = EmbeddedServer(data_dir)
            await asyncio.to_thread(server.join)
            await asyncio.to_thread(server.leave)


def real(sandbox: Sandbox, redis_url: str) -> dict[str, str]:
    """
    Return settings as in earnest, with the stand-ins in the places of Avito and n8n.
    """
    account = sandbox.addresses()
    return {
        "AVITO_BASE_URL": sandbox.avito_url,
        "AVITO_CLIENT_ID": account["client_id"],
        "AVITO_CLIENT_SECRET": account["client_secret"],
        "AVITO_USER_ID": str(account["user_id"]),
        "N8N_WEBHOOK_URL": sandbox.n8n_webhook_url,
        "REDIS_URL": redis_url,
        "KEY_PREFIX": f"cli-{os.urandom(6).hex()}",
        "LOG_FORMAT": "console",
    }
