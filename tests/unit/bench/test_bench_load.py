"""
The load generator against a server that it does not know.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from bench.load import HOST, LoadError, Plan, run
from bench.samples import Kind, request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Server:
    """
    Answers each request with the given pieces, and keeps the bodies.
    """

    pieces: Sequence[bytes]
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        Serve one connection.
        """
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                for piece in self.pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*pieces: bytes) -> AsyncIterator[Server]:
    """
    Run a server on a free port.
    """
    server = Server(pieces)
    async with await asyncio.start_server(server, HOST, 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


def plan(port: int, **changed: float) -> Plan:
    """
    Return a small plan.
    """
    values: dict[str, int | float] = {"connections": 4, "warm_up": 10, "count": 40, "longest_s": 5.0}
    return Plan("webhook", port, 200, **(values | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["webhook", "send"])
def test_a_request_says_its_true_length(kind: Kind) -> None:
    """
    What is sent is a whole request with a JSON body.
    """
    head, body = request(kind, "127.0.0.1:1", "tag", 7).split(b"\r\n\r\n", 1)

    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    assert isinstance(json.loads(body), dict)


@pytest.mark.parametrize("pieces", [(OK,), (OK[:10], OK[10:]), (OK[:-1], OK[-1:])])
async def test_each_request_is_sent_once_and_counted(pieces: tuple[bytes, ...]) -> None:
    """
    Warm-up and count are sent over the given connections, however the answers are cut in pieces.
    """
    async with serving(*pieces) as server:
        result = await run(plan(server.port))

    ids = {json.loads(body)["payload"]["value"]["id"] for body in server.bodies}
    assert (50, 50, 50, 4) == (result.answered, len(server.bodies), len(ids), server.connections)


async def test_the_time_is_bounded() -> None:
    """
    When the time is over no further request is sent, and those under way still count.
    """
    async with serving(OK) as server:
        result = await run(plan(server.port, warm_up=4, count=200_000, longest_s=0.05))

    assert result.answered == len(server.bodies) < 200_000


async def test_an_unexpected_answer_ends_the_run() -> None:
    """
    A benchmark of refusals is none.
    """
    async with serving(b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n") as server:
        with pytest.raises(LoadError, match="503"):
            await run(plan(server.port))


async def test_an_answer_without_a_length_ends_the_run() -> None:
    """
    An answer whose end is not known is said to be so, and nobody waits for it.
    """
    async with serving(b"HTTP/1.1 200 OK\r\n\r\n") as server:
        with pytest.raises(LoadError, match="Content-Length"):
            await run(plan(server.port))


async def test_a_pace_does_not_wait_for_answers() -> None:
    """
    At a pace requests go out by the clock, and the time each was due is told.
    """
    async with serving(OK) as server:
        result = await run(plan(server.port, warm_up=0, count=20, per_s=200.0))

    assert (20, 20, 20) == (result.answered, result.good, len(result.due_s))
    assert result.due_s == sorted(result.due_s)
    assert result.due_s[-1] - result.due_s[0] >= 19 / 200 - 0.005


async def test_refusals_may_be_wanted() -> None:
    """
    Status 0 takes any answer, and tells how many were good.
    """
    async with serving(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n") as server:
        result = await run(replace(plan(server.port, warm_up=0, count=8, per_s=400.0), expected_status=0))

    assert (8, 0) == (result.answered, result.good)
