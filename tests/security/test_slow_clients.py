"""
Clients that say nothing, or say it slowly, do not stop the others.
"""

from __future__ import annotations

import asyncio
import resource
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.queue.connection import Connections
from sandbox import Sandbox
from tests.fleet import Fleet, fleet
from tests.integration.ingress.test_webhook import event

API_KEY = "key-for-tests"
KEEP_ALIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW_HEAD = b"POST /webhook/avito HTTP/1.1\r\nHost: x\r\nX-Slow: "
SLOW_BODY = b"POST /webhook/avito HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{"
SPARE_FILES = 300
AVITO_WAITS_S = 2.0

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(name="_many_files", autouse=True)
def __many_files() -> Iterator[None]:
    """
    Raise the limit of open files, for this process and its children, to what it may be.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(name="running")
async def _running(connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Fleet]:
    """
    An ingress as a process of its own.
    """
    async with fleet(connections, redis_url, sandbox, tmp_path, API_KEY=API_KEY) as running:
        await running.start("ingress")
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


async def dribble(slow: list[Connection], stop: asyncio.Event) -> int:
    """
    Send one byte on each connection in turn until `stop`; return how many.
    """
    sent = 0
    while not stop.is_set():
        for _, writer in slow:
            writer.write(b" ")
            sent += 1
        await asyncio.sleep(0.01)
    return sent


@pytest.mark.parametrize(
    ("idle", "slow"), [(2000, 100), pytest.param(5000, 1000, marks=[pytest.mark.chaos, pytest.mark.timeout(300)])]
)
async def test_idle_and_slow_clients_stop_nobody(running: Fleet, idle: int, slow: int) -> None:
    """
    Beside thousands of idle connections and slow ones, in the head or in the body, each webhook is stored within the
    2 s that Avito waits.
    """
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    idle = min(idle, allowed - slow - SPARE_FILES)
    beginnings = [b"", KEEP_ALIVE] * (idle // 2) + [SLOW_HEAD, SLOW_BODY] * (slow // 2)
    took_s = []
    async with opened(running.port, beginnings) as connections:
        stop = asyncio.Event()
        dribbling = asyncio.create_task(dribble(connections[idle:], stop))
        for _ in range(200):
            began_s = time.monotonic()
            answer = await running.webhook(event(id=secrets.token_hex(8)))
            took_s.append(time.monotonic() - began_s)
            assert 200 == answer.status_code
        stop.set()
        assert await dribbling > slow

    took_s.sort()
    print(f"{idle} idle, {slow} slow: p50 {took_s[100] * 1000:.1f} ms, p99 {took_s[198] * 1000:.1f} ms")  # noqa: T201
    assert 200 == await running.queue.left()
    assert took_s[-1] < AVITO_WAITS_S


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
