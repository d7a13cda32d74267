"""
What ends a connection: too slow, or without end. Against a real server, with limits that a test can wait for.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn

from gateway import http_server
from gateway.http_protocol import HttpProtocol
from gateway.http_server import HttpServer
from tests.harness import eventually
from tests.security.serving import serving

GOOD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG_BYTES = 64 * 1024 * 1024
ENDS_WITHIN_S = 5.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Served:
    """
    A server and connections to it.
    """

    server: HttpServer
    port: int
    made: list[Streams] = field(default_factory=list)

    async def __call__(self) -> Streams:
        """
        Open one more connection.
        """
        self.made.append(await asyncio.open_connection("127.0.0.1", self.port))
        return self.made[-1]

    async def refuses(self) -> bool:
        """
        Say whether nobody listens any more.
        """
        try:
            await self()
        except ConnectionError:
            return True
        return False


class Quick(HttpProtocol):
    """
    The same with limits that a test can wait for.
    """

    head_s = 0.4
    head_bytes = 4096
    body_s = 0.4
    body_bytes = 100
    answer_s = 0.4
    linger_s = 0.3


async def application(scope: Any, receive: Any, send: Any) -> None:
    """
    Read the body and answer how long it is; `/late` after 1 s, `/long` with 64 MB, `/early` before the body.
    """
    size, more = 0, scope["path"] != "/early"
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        size, more = size + len(event["body"]), event["more_body"]
    if scope["path"] == "/late":
        await asyncio.sleep(1.0)
    body = bytes(LONG_BYTES) if scope["path"] == "/long" else str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    for at in range(0, len(body), 65_536):
        await send({"type": "http.response.body", "body": body[at : at + 65_536], "more_body": at + 65_536 < len(body)})


@pytest.fixture(name="connect")
async def _connect(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(http_server, "HttpProtocol", Quick)
    async with serving(application) as (server, port):
        served = Served(server, port)
        yield served
        for _, writer in served.made:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for _, writer in served.made), return_exceptions=True)


async def answer(reader: asyncio.StreamReader) -> bytes:
    """
    Read the body of one short answer.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


async def until_closed(streams: Streams, send: bytes = b"", each_s: float = 0.05) -> bytes:
    """
    Send a piece again and again until the other side ends; return what it said.
    """
    reader, writer = streams
    ended = asyncio.create_task(reader.read())
    async with asyncio.timeout(ENDS_WITHIN_S):
        while not ended.done():
            if send:
                writer.write(send)
            await asyncio.wait([ended], timeout=each_s)
        try:
            return await ended
        except ConnectionError:
            return b""


@pytest.mark.parametrize(
    ("beginning", "piece", "said"),
    [
        pytest.param(b"", b"", b"", id="says nothing"),
        pytest.param(b"", b"\r\n", b"408", id="says nothing but empty lines"),
        pytest.param(b"POST /", b"a", b"408", id="address byte by byte"),
        pytest.param(GOOD[:-2], b"x: y\r\n", b"408", id="head line by line"),
        pytest.param(POST, b"", b"408", id="no body"),
        pytest.param(POST, b"x", b"408", id="body byte by byte"),
        pytest.param(CHUNKED, b"1\r\nx\r\n", b"408", id="chunk by chunk"),
        pytest.param(b"GET /" + b"a" * 5000, b"", b"431", id="address without end"),
        pytest.param(GOOD[:-2] + b"x: " + b"a" * 5000, b"", b"431", id="header without end"),
        pytest.param(GOOD[:-2] + b"x: y\r\n" * 1000, b"", b"431", id="headers without end"),
        pytest.param(CHUNKED + b"1;", b"x" * 5000, b"431", id="chunk extension without end"),
        pytest.param(CHUNKED + b"0\r\n", b"x: y\r\n" * 1000, b"431", id="trailers without end"),
    ],
)
async def test_a_request_that_does_not_come_is_ended(
    connect: Served, beginning: bytes, piece: bytes, said: bytes
) -> None:
    """
    Whoever is too slow with a request, or never ends its head, loses the connection; whoever began is told why.
    """
    streams = await connect()
    streams[1].write(beginning)

    got = await until_closed(streams, piece)

    assert said == got[9:12]


@pytest.mark.parametrize(("beginning", "piece"), [(b"", b"\r\n"), (b"GET /", b"a")])
async def test_the_time_of_a_head_begins_anew_with_each_request(
    connect: Served, beginning: bytes, piece: bytes
) -> None:
    """
    A connection that has been of use is ended like a new one, however it fills its pause.
    """
    streams = await connect()
    for _ in range(3):
        streams[1].write(GOOD)
        assert b"0" == await answer(streams[0])
        await asyncio.sleep(Quick.head_s * 0.6)

    began_s = time.monotonic()
    streams[1].write(beginning)
    await until_closed(streams, piece)

    assert time.monotonic() - began_s > Quick.head_s * 0.9


async def test_a_body_after_its_answer_is_not_waited_for(connect: Served) -> None:
    """
    A request that was answered by its head alone must end, too.
    """
    streams = await connect()
    streams[1].write(POST.replace(b"/", b"/early", 1))
    assert b"0" == await answer(streams[0])

    await until_closed(streams, b"x")


async def test_an_answer_that_nobody_reads_is_given_up(connect: Served) -> None:
    """
    A client that reads no further does not hold what is left of its answer.
    """
    reader, writer = await connect()
    writer.write(GOOD.replace(b"/", b"/long", 1))
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(Quick.answer_s * 4)

    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await asyncio.wait_for(reader.readexactly(LONG_BYTES), ENDS_WITHIN_S)


async def test_a_body_that_comes_on_steadily_is_read(connect: Served) -> None:
    """
    A large body over a slow line takes several times the limit, and arrives.
    """
    reader, writer = await connect()
    writer.write(POST)
    for _ in range(10):
        writer.write(b"x" * 100)
        await asyncio.sleep(Quick.body_s / 3)

    assert b"1000" == await answer(reader)


async def test_a_slow_answer_is_waited_for(connect: Served) -> None:
    """
    How long the gateway takes is not the client's fault.
    """
    reader, writer = await connect()
    writer.write(GOOD.replace(b"/", b"/late", 1))

    assert b"0" == await answer(reader)
    writer.write(GOOD)
    assert b"0" == await answer(reader)


async def test_at_the_end_an_idle_connection_has_one_answer_more(connect: Served) -> None:
    """
    A request that comes on an open connection while the server ends is answered, with the word that it was the last.
    """
    reader, writer = await connect()
    writer.write(GOOD)
    await answer(reader)
    connect.server.stop()
    await eventually(connect.refuses)
    writer.write(GOOD)
    head = await reader.readuntil(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in head.lower()
    assert b"0" == await reader.read()


async def test_who_is_let_in_at_the_very_end_is_answered(connect: Served) -> None:
    """
    A connection that is accepted in the turn of the loop in which the server ends is a connection like the others.
    """
    connect.server.stop()
    with socket.create_connection(("127.0.0.1", connect.port), timeout=ENDS_WITHIN_S) as client:
        client.sendall(GOOD)
        # The server's next look at its end is due by now, so that both come in one turn.
        time.sleep(0.2)  # noqa: ASYNC251 - the loop is to be busy
        head = await asyncio.to_thread(client.recv, 65_536)

    assert head.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in head.lower()


async def test_at_the_end_what_is_under_way_is_answered(connect: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A request whose head is half there when the server ends gets its answer; who says nothing is cut off after a while.
    """
    monkeypatch.setattr(Quick, "head_s", ENDS_WITHIN_S)
    (half, writer), (idle, _) = await connect(), await connect()
    writer.write(GOOD[:10])
    began_s = time.monotonic()
    connect.server.stop()
    assert b"" == await asyncio.wait_for(idle.read(), ENDS_WITHIN_S)
    lingered_s = time.monotonic() - began_s
    writer.write(GOOD[10:])
    head = await half.readuntil(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200")
    assert lingered_s >= Quick.linger_s


def test_both_ways_to_serve_have_the_limits() -> None:
    """
    One process and several are given the same connections.
    """
    assert HttpProtocol is uvicorn.Config("", **http_server._options(1.0)).http


def test_the_limit_of_open_files_is_raised() -> None:
    """
    The soft limit of open files goes up to what this program may have, and never down.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, http_server.OPEN_FILES) if hard != resource.RLIM_INFINITY else http_server.OPEN_FILES
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        http_server.allow_many_files()
        raised = resource.getrlimit(resource.RLIMIT_NOFILE)
        http_server.allow_many_files()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert (wanted, hard) == raised
