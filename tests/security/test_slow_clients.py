"""
Clients that say nothing, or say it slowly, do not stop the others.
"""

from __future__ import annotations

import asyncio
import resource
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.queue.connection import Connections
from sandbox import Sandbox
from tests.fleet import ROOT, Fleet, fleet
from tests.integration.ingress.test_webhook import event
from tests.security.flood import KEEP_ALIVE, SLOW_HEAD

API_KEY = "key-for-tests"
USUAL_FILES = 1024
OPENED_WITHIN_S = 60.0
AVITO_WAITS_S = 2.0

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(name="running")
async def _running(connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Fleet]:
    """
    An ingress as a process of its own, started with the usual soft limit of open files.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    usual = USUAL_FILES if hard == resource.RLIM_INFINITY else min(USUAL_FILES, hard)
    async with fleet(connections, redis_url, sandbox, tmp_path, API_KEY=API_KEY) as running:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (usual, hard))
            await running.start("ingress")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        yield running


@asynccontextmanager
async def opened(port: int, beginnings: list[bytes]) -> AsyncIterator[list[Connection]]:
    """
    Open a connection for each beginning and send it.
    """
    made: list[Connection] = []
    try:
        for beginning in beginnings:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            made.append((reader, writer))
            writer.write(beginning)
            if beginning == KEEP_ALIVE:
                await reader.readuntil(b"\r\n\r\n")
        yield made
    finally:
        for _, writer in made:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for _, writer in made), return_exceptions=True)


@asynccontextmanager
async def flooded(port: int, idle: int, slow: int) -> AsyncIterator[None]:
    """
    Let so many strangers hold connections, from a process of their own.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.security.flood", str(port), str(idle), str(slow)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert b"open\n" == await asyncio.wait_for(process.stdout.readline(), OPENED_WITHIN_S)
        yield
        closed, _ = await process.communicate(b"")
        print(f"{idle} idle and {slow} slow; {int(closed)} of theirs were closed")  # noqa: T201
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(
    ("idle", "slow", "for_s"),
    [(2000, 100, 0.0), pytest.param(5000, 1000, 15.0, marks=[pytest.mark.chaos, pytest.mark.timeout(300)])],
)
async def test_idle_and_slow_clients_stop_nobody(running: Fleet, idle: int, slow: int, for_s: float) -> None:
    """
    Beside thousands of idle connections and slow ones, in the head or in the body, which come again when they are
    closed, each webhook is stored within the 2 s that Avito waits.
    """
    took_s: list[float] = []
    async with flooded(running.port, idle, slow):
        until_s = time.monotonic() + for_s
        while len(took_s) < 200 or time.monotonic() < until_s:
            began_s = time.monotonic()
            answer = await running.webhook(event(id=secrets.token_hex(8)))
            took_s.append(time.monotonic() - began_s)
            assert 200 == answer.status_code

    took_s.sort()
    p50_ms, p99_ms = took_s[len(took_s) // 2] * 1000, took_s[-1 - len(took_s) // 100] * 1000
    print(f"{len(took_s)} webhooks: p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms, worst {took_s[-1]:.2f} s")  # noqa: T201
    assert len(took_s) == await running.queue.left()
    assert took_s[-1] < AVITO_WAITS_S


@pytest.mark.chaos
async def test_who_says_nothing_is_closed(running: Fleet) -> None:
    """
    A connection without a request, or with a head that never ends, is closed after 10 s.
    """
    async with opened(running.port, [b"", SLOW_HEAD]) as connections:
        began_s = time.monotonic()
        said = [await asyncio.wait_for(reader.read(), 20) for reader, _ in connections]

    assert [b"", b"HTTP/1.1 408 "] == [answer[:13] for answer in said]
    assert 9 < time.monotonic() - began_s < 15


async def test_strangers_are_answered_before_their_body(running: Fleet) -> None:
    """
    Who shows no key is refused by the head alone: a body of a stranger's is not waited for, nor kept.
    """
    heads = [
        b"POST /api/messages/send HTTP/1.1\r\nX-API-Key: wrong\r\n",
        b"POST /api/messages/send/image HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\n",
        b"POST /api/messages/send/bulk HTTP/1.1\r\n",
        b"POST /nothing HTTP/1.1\r\n",
    ]
    announced = b"Host: x\r\nContent-Length: 20000000\r\n\r\n"
    async with opened(running.port, [head + announced for head in heads]) as connections:
        lines = [await asyncio.wait_for(reader.readuntil(b"\r\n"), AVITO_WAITS_S) for reader, _ in connections]

    assert [b"401", b"401", b"401", b"404"] == [line.split(b" ")[1] for line in lines]


@pytest.mark.chaos
async def test_an_idle_connection_is_closed_after_its_answer(running: Fleet) -> None:
    """
    A connection that was answered and says nothing more is closed after 5 s.
    """
    async with opened(running.port, [KEEP_ALIVE]) as [(reader, _)]:
        began_s = time.monotonic()
        await asyncio.wait_for(reader.read(), 15)

    assert 4 < time.monotonic() - began_s < 10
