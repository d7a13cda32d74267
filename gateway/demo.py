"""
The demo: what the gateway is for, told on one screen with processes, signals and stand-ins for real.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import httpx
from rich.console import Console

from common.errors import GatewayError
from common.queue.connection import Connections, connect, mapped
from common.queue.keys import AccountKeys, workers
from gateway.embedded import EmbeddedServer
from gateway.profile import SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET, SANDBOX_USER_ID
from sandbox import Account, AvitoFault, Options, Record, Reply, Sandbox

PREFIX: Final = "demo"
CHATS: Final = 5
EACH: Final = 2
START_S: Final = 40.0
STEP_S: Final = 60.0
POLL_S: Final = 0.05
DOWN_S: Final = 5.0
ANSWER: Final = "You wrote: "
T = TypeVar("T")
WORKER: Final = ("dispatcher", "forwarder")


class Stuck(GatewayError):
    """
    The story came to no end.
    """


async def tell() -> int:
    """
    Tell the story. Return the exit code: 0 only if every message arrived, once and in order.
    """
    folder = Path(tempfile.mkdtemp(prefix="avito-gateway-demo-"))
    began_s = time.monotonic()
    console = Console(highlight=False, soft_wrap=True)
    console.print("[bold]avito-gateway demo[/]: stand-ins for Avito and n8n, the gateway as processes of its own.")
    try:
        async with _stage(folder, console) as stage:
            for act in (_quiet, _limited, _lost_answer, _n8n_down, _killed):
                await act(stage)
            well = _verdict(stage, time.monotonic() - began_s)
    except (GatewayError, TimeoutError) as error:
        console.print(f"[red]The story stops here: {error}[/]\nThe logs are in {folder}.")
        return 1
    if well:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    console.print(f"The logs are in {folder}.")
    return 1


@dataclass
class Stage:
    """
    The stand-ins, the processes, and what customers have written so far, by chat.
    """

    sandbox: Sandbox
    connections: Connections
    console: Console
    folder: Path
    environment: dict[str, str]
    written: dict[str, list[str]] = field(default_factory=dict)
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)
    _act: int = 0
    _begun_s: float = 0.0

    async def start(self, *roles: str) -> asyncio.subprocess.Process:
        """
        Start a process with these roles.
        """
        log = (self.folder / f"{len(self.processes)}-{'-'.join(roles)}.log").open("wb")
        with log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "run", *roles),
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def act(self, title: str) -> None:
        """
        Begin a chapter.
        """
        self._act += 1
        self._begun_s = time.monotonic()
        self.console.print(f"\n[bold]{self._act}. {title}[/]")

    def say(self, text: str) -> None:
        """
        Say what is seen, and how long after the chapter's beginning.
        """
        self.console.print(f"   {time.monotonic() - self._begun_s:5.1f} s  {text}")

    async def write(self) -> None:
        """
        Let every customer write, the next message when Avito has its 200 for the one before: it keeps no order itself.
        """
        self.say(f"{CHATS * EACH} messages come in from {CHATS} customers")
        for _ in range(EACH):
            ids = []
            for chat in self.sandbox.avito.chats:
                texts = self.written.setdefault(chat.id, [])
                texts.append(f"message {len(texts) + 1}")
                ids.append(self.sandbox.avito.receive(chat.id, texts[-1]).id)
            await self.sandbox.journal.wait_for(lambda journal, ids=ids: _stored(journal.records, ids), STEP_S)  # type: ignore[misc]

    async def all_answered(self) -> None:
        """
        Wait until the answer to everything written is in the chats.
        """
        total = sum(map(len, self.written.values()))
        await self.sandbox.avito.wait_for(lambda avito: len(avito.sent()) >= total, STEP_S)
        self.say("[green]all of them are with n8n, and n8n's answers in the chats[/]")

    async def until(self, look: Callable[[], Awaitable[T]], what: str) -> T:
        """
        Wait until a look at Redis finds something, and return it.
        """
        deadline_s = time.monotonic() + STEP_S
        while True:
            with mapped():
                found = await look()
            if found:
                return found
            if time.monotonic() > deadline_s:
                raise Stuck(f"nothing shows that {what}")
            await asyncio.sleep(POLL_S)

    @property
    def keys(self) -> AccountKeys:
        """
        Return the names in Redis.
        """
        return AccountKeys(PREFIX, SANDBOX_USER_ID)

    async def held_by(self, process: asyncio.subprocess.Process) -> int:
        """
        Return how many sends a process has in hand.
        """
        rows = await self.connections.commands.xinfo_consumers(self.keys.commands.stream, "dispatcher")
        return sum(row["pending"] for row in rows if f"-{process.pid}-" in row["name"])


@asynccontextmanager
async def _stage(folder: Path, console: Console) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        server = EmbeddedServer(folder / "redis")
        stack.push_async_callback(asyncio.to_thread, server.leave)
        await asyncio.to_thread(server.join)
        account = Account(
            user_id=int(SANDBOX_USER_ID), client_id=SANDBOX_CLIENT_ID, client_secret=SANDBOX_CLIENT_SECRET
        )
        sandbox = await stack.enter_async_context(Sandbox.start(Options(accounts=(account,), chats=CHATS)))
        connections = connect(server.url)
        stack.push_async_callback(connections.aclose)
        port = _free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LANG", "HOME")},
            "AVITO_CLIENT_ID": SANDBOX_CLIENT_ID,
            "AVITO_CLIENT_SECRET": SANDBOX_CLIENT_SECRET,
            "AVITO_USER_ID": SANDBOX_USER_ID,
            "AVITO_BASE_URL": sandbox.avito_url,
            "N8N_WEBHOOK_URL": sandbox.n8n_webhook_url,
            "REDIS_URL": server.url,
            "KEY_PREFIX": PREFIX,
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": str(port),
            "API_KEY": secrets.token_hex(16),
            "WEBHOOK_SECRET": secrets.token_hex(16),
        }
        stage = Stage(sandbox, connections, console, folder, environment)
        stack.push_async_callback(_stop, stage.processes)
        stage.act("The gateway starts: one ingress, two workers")
        for roles in (("ingress",), WORKER, WORKER):
            await stage.start(*roles)
        await _ready(stage, f"http://127.0.0.1:{port}")
        sandbox.n8n.reply = Reply(
            gateway_url=f"http://127.0.0.1:{port}",
            api_key=environment["API_KEY"],
            template=ANSWER + "{text}",
            responds_last=True,
        )
        sandbox.avito.webhooks.subscribe(
            int(SANDBOX_USER_ID), f"http://127.0.0.1:{port}/webhook/avito/{environment['WEBHOOK_SECRET']}"
        )
        stage.say(f"ready: http://127.0.0.1:{port}")
        yield stage


def _stored(records: Iterable[Record], ids: Sequence[str]) -> bool:
    notes = [record.note for record in records if record.kind == "webhook" and record.status == 200]
    return all(any(one in note for note in notes) for one in ids)


async def _ready(stage: Stage, url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:

        async def is_ready() -> bool:
            for process in stage.processes:
                if process.returncode is not None:
                    raise Stuck("a process ended at once")
            alive = await stage.connections.commands.zcard(workers(PREFIX))
            try:
                return alive >= len(WORKER) * 2 and (await client.get(f"{url}/health/live")).is_success
            except httpx.TransportError:
                return False

        await stage.until(is_ready, "the gateway is ready")


async def _stop(processes: Sequence[asyncio.subprocess.Process]) -> None:
    for process in processes:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            await asyncio.wait_for(process.wait(), START_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _quiet(stage: Stage) -> None:
    stage.act("A quiet day")
    await stage.write()
    await stage.all_answered()


async def _limited(stage: Stage) -> None:
    stage.act("Avito says 429, Retry-After: 3")
    stage.sandbox.faults.add(AvitoFault(kind="status", status=429, retry_after_s=3, path="*/messages", count=1))
    await stage.write()
    await stage.until(lambda: stage.connections.commands.hget(stage.keys.gate("avito")[0], "paused_until"), "429 came")
    stage.say("both workers pause; it is no failed attempt")
    await stage.all_answered()


async def _lost_answer(stage: Stage) -> None:
    stage.act("Avito takes a message, but its answer gets lost")
    fault = stage.sandbox.faults.add(AvitoFault(kind="drop", taken=True, method="POST", path="*/messages", count=2))
    await stage.write()
    await stage.all_answered()
    stage.sandbox.faults.remove(fault)
    stage.say("nobody saw it twice: the gateway looked into the chat first")


async def _n8n_down(stage: Stage) -> None:
    stage.act("n8n is down")
    await stage.sandbox.n8n_down()
    await stage.write()
    waiting = CHATS * EACH
    await stage.until(lambda: _at_least(stage, waiting), "the messages wait")
    stage.say(f"{waiting} wait in their stream; Avito has its 200 for each")
    await asyncio.sleep(DOWN_S)
    await stage.sandbox.n8n_up()
    stage.say("n8n is back")
    await stage.all_answered()


async def _at_least(stage: Stage, count: int) -> bool:
    return bool(await stage.connections.commands.xlen(stage.keys.events.stream) >= count)


async def _killed(stage: Stage) -> None:
    stage.act("kill -9 of a worker that is sending")
    slow = stage.sandbox.faults.add(AvitoFault(kind="latency", delay_s=3.0, method="POST", path="*/messages"))
    await stage.write()

    async def holding() -> list[asyncio.subprocess.Process]:
        return [process for process in stage.processes[1:] if await stage.held_by(process)]

    victim = (await stage.until(holding, "a worker has something in hand"))[0]
    held = await stage.held_by(victim)
    victim.kill()
    await victim.wait()
    stage.sandbox.faults.remove(slow)
    stage.say(f"it had {held} sends in hand; the other takes them over when its lease of 10 s has ended")
    await stage.all_answered()


def _verdict(stage: Stage, took_s: float) -> bool:
    """
    Compare what was written with what came of it, chat by chat, and say it.
    """
    lost = twice = out_of_order = 0
    for chat_id, texts in stage.written.items():
        expected = [ANSWER + text for text in texts]
        answers = [message.content.get("text") for message in stage.sandbox.avito.sent(chat_id)]
        counted = Counter(answers)
        lost += sum(text not in counted for text in expected)
        twice += sum(count - 1 for count in counted.values())
        out_of_order += list(dict.fromkeys(answers)) != [text for text in expected if text in counted]
    total = sum(map(len, stage.written.values()))
    worst = stage.sandbox.journal.worst(60.0)
    well = (lost, twice, out_of_order) == (0, 0, 0)
    stage.console.print(
        f"\n[bold]{total} messages, {total} answers: {lost} lost, {twice} shown twice, "
        f"{out_of_order} chats out of order; at most {worst} requests to Avito in any minute.[/] Took {took_s:.0f} s."
    )
    return well
