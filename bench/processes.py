"""
The processes beside this one: the ingress as the program starts it, and the load.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bench.load import HOST, LoadError, Plan, Result, read_result
from bench.samples import API_KEY, SECRET, USER_ID

ROOT: Final = Path(__file__).resolve().parents[1]
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
    async with _running(folder, "ingress", ("gateway", "run", "ingress"), environment(redis_url, port, prefix), port):
        yield port


@asynccontextmanager
async def bare_ingress(folder: Path, redis_url: str, stream: str) -> AsyncIterator[int]:
    """
    Run `bench.bare`, the least that accepts a webhook, in one process for as long as the block lasts; give its port.

    Raises `ProcessError` as `ingress` does.
    """
    port = free_port()
    async with _running(folder, "bare", ("bench.bare", str(port), redis_url, stream), {}, port):
        yield port


@asynccontextmanager
async def _running(
    folder: Path, name: str, module: tuple[str, ...], settings: dict[str, str], port: int
) -> AsyncIterator[None]:
    path = folder / f"{name}.log"
    with path.open("wb") as log:
        # In a folder of its own, so that no `.env` is read.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", *module),
            cwd=folder,
            env=plain_environment() | settings,
            stdout=log,
            stderr=log,
        )
    try:
        try:
            await asyncio.wait_for(_until_answered(process, port), START_S)
        except (TimeoutError, ProcessError):
            raise ProcessError(f"{name} did not start: {path.read_text(errors='replace')[-2000:]}") from None
        yield
    finally:
        await end(process)


async def load(plan: Plan) -> Result:
    """
    Carry out a plan in a process of its own.

    Raises:

        LoadError: it failed; with its last words.

    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.load", json.dumps(asdict(plan))),
        cwd=ROOT,
        env=plain_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await process.communicate()
    finally:
        await end(process)
    if process.returncode != 0:
        raise LoadError((errors.decode(errors="replace").strip().splitlines() or ["no word"])[-1])
    return read_result(out.decode())


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
