"""
The processes beside this one: the program as its users start it, other libraries', and the load.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bench.load import HOST, LoadError, Plan, Result, read_result
from bench.samples import API_KEY, SECRET, USER_ID

ROOT: Final = Path(__file__).resolve().parents[1]
PEERS: Final = ROOT / ".venv-peers"
OWN: Final = (sys.executable, "-m")
START_S: Final = 30.0
STOP_S: Final = 30.0
_POLL_S: Final = 0.05


class ProcessError(Exception):
    """
    A process did not do what it was started for.
    """


def environment(redis_url: str, port: int, prefix: str) -> dict[str, str]:
    """
    Return the settings of the measured ingress. Nothing of the caller's own environment gets in.
    """
    return {
        "AVITO_CLIENT_ID": "bench",
        "AVITO_CLIENT_SECRET": "bench",
        "AVITO_USER_ID": USER_ID,
        # Nobody is there: the ingress has no reason to ask Avito or n8n.
        "AVITO_BASE_URL": f"http://{HOST}:9",
        "N8N_WEBHOOK_URL": f"http://{HOST}:9/webhook",
        "REDIS_URL": redis_url,
        "KEY_PREFIX": prefix,
        "SERVER_HOST": HOST,
        "SERVER_PORT": str(port),
        "WEBHOOK_SECRET": SECRET,
        "API_KEY": API_KEY,
        # The queue that nobody drains must not count as full.
        "MAX_QUEUE_WAIT": "1000000000",
    }


@asynccontextmanager
async def ingress(folder: Path, redis_url: str, prefix: str) -> AsyncIterator[int]:
    """
    Run `avito-gateway run ingress` in one process for as long as the block lasts; give its port.

    Raises:

        ProcessError: it ended, or did not answer in time; with the end of its log.

    """
    port = free_port()
    async with serving(
        folder, "ingress", (*OWN, "gateway", "run", "ingress"), environment(redis_url, port, prefix), port
    ):
        yield port


@asynccontextmanager
async def bare_ingress(folder: Path, redis_url: str, stream: str) -> AsyncIterator[int]:
    """
    Run `bench.bare`, the least that accepts a webhook, in one process for as long as the block lasts; give its port.

    Raises `ProcessError` as `ingress` does.
    """
    port = free_port()
    async with serving(folder, "bare", (*OWN, "bench.bare", str(port), redis_url, stream), {}, port):
        yield port


@asynccontextmanager
async def peer_ingress(folder: Path, name: str, *arguments: str) -> AsyncIterator[int]:
    """
    Run `bench/peers/NAME.py PORT ...`, a web application of another framework; give its port.

    Raises `ProcessError` as `ingress` does.
    """
    port = free_port()
    async with serving(folder, name, (*peer_command(f"{name}.py"), str(port), *arguments), {}, port):
        yield port


def peer_command(script: str, *, older: bool = False) -> tuple[str, str]:
    """
    Return the command of a program of `bench/peers`; `older` for a library that asks for an older redis-py.

    Raises:

        ProcessError: the other libraries are not installed.

    """
    python = PEERS / "older/bin/python" if older else PEERS / "bin/python"
    if not python.exists():
        raise ProcessError("the other libraries are not installed: make .venv-peers/.made")
    return str(python), str(ROOT / "bench/peers" / script)


@asynccontextmanager
async def serving(
    folder: Path, name: str, command: Sequence[str], settings: Mapping[str, str], port: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """
    Run a program that serves HTTP on a port for as long as the block lasts.
    """
    async with running(folder, name, command, settings) as process:
        try:
            await asyncio.wait_for(_until_answered(process, port), START_S)
        except (TimeoutError, ProcessError):
            told = (folder / f"{name}.log").read_text(errors="replace")
            raise ProcessError(f"{name} did not start: {told[-2000:]}") from None
        yield process


@asynccontextmanager
async def running(
    folder: Path, name: str, command: Sequence[str], settings: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """
    Run a program for as long as the block lasts. What it says goes to a file of its name.
    """
    with (folder / f"{name}.log").open("wb") as log:
        # In a folder of its own, so that no `.env` is read.
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env={**plain_environment(), **settings}, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        await end(process)


async def answer(command: Sequence[str], settings: Mapping[str, str], told: bytes = b"") -> Any:
    """
    Run a program to its end, tell it something on standard input, and read the JSON of its last line.

    Raises:

        ProcessError: it failed; with its last words.

    """
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**plain_environment(), **settings},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await process.communicate(told)
    finally:
        await end(process)
    if process.returncode != 0:
        raise ProcessError((errors.decode(errors="replace").strip().splitlines() or ["it ended without a word"])[-1])
    return json.loads(out.decode().strip().splitlines()[-1])


async def load(plan: Plan) -> Result:
    """
    Carry out a plan in a process of its own.

    Raises:

        LoadError: it failed; with its last words.

    """
    try:
        return read_result(await answer((*OWN, "bench.load", json.dumps(asdict(plan))), {}))
    except ProcessError as error:
        raise LoadError(str(error)) from None


def plain_environment() -> dict[str, str]:
    """
    Return what a process needs to find the code, and nothing else of the caller's environment.
    """
    return {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)}


def free_port() -> int:
    """
    Return a port that is free now.
    """
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def _until_answered(process: asyncio.subprocess.Process, port: int) -> None:
    while True:
        if process.returncode is not None:
            raise ProcessError
        try:
            reader, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(_POLL_S)
            continue
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        status = await reader.readline()
        writer.close()
        if b" 200 " in status:
            return
        await asyncio.sleep(_POLL_S)


async def end(process: asyncio.subprocess.Process) -> None:
    """
    Stop a process, and kill one that does not.
    """
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()
