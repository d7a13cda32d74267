"""
What one POST brings back, from a server that speaks plain bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from common.http.pool import ClientPool
from common.settings import load
from forwarder.deliver import Guarded, pool, post
from forwarder.replies import Answered, CutOff, Forbidden, Late, Reply, Unsent

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Behave = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Server:
    """
    Reads requests and lets `behave` answer each.
    """

    def __init__(self, behave: Behave) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._behave = behave

    @property
    def url(self) -> str:
        """
        Its address.
        """
        return f"http://127.0.0.1:{self.port}/hook"

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        Serve one connection until either side closes it.
        """
        self.connections += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length")
                )
                self.requests.append(head + await reader.readexactly(length))
                await self._behave(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def served(behave: Behave) -> AsyncIterator[Server]:
    """
    Listen on a free port.
    """
    server = Server(behave)
    listener = await asyncio.start_server(server.connected, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


def saying(data: bytes, *, close: bool = False) -> Behave:
    """
    Answer with these bytes.
    """

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return behave


async def silent(_writer: asyncio.StreamWriter) -> None:
    """
    Never answer.
    """
    await asyncio.sleep(999)


@pytest.fixture(name="clients")
async def _clients() -> AsyncIterator[ClientPool]:
    clients = pool()
    yield clients
    await clients.aclose()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (OK, Answered(200)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Answered(204)),
        (b"HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n", Answered(302)),
        (
            b'HTTP/1.1 404 Not Found\r\ncontent-length: 28\r\n\r\n{"message":"not registered"}',
            Answered(404, not_registered=True, said="not registered"),
        ),
        (b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n", Answered(503, retry_after_s=7.0)),
        (b"HTTP/1.1 500 No\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc", Answered(500)),
    ],
)
async def test_an_answer_is_read_and_no_redirect_followed(clients: ClientPool, data: bytes, expected: Reply) -> None:
    """
    One request goes out, and its status, Retry-After and error come back.
    """
    async with served(saying(data)) as server:
        reply = await post(clients, server.url, b"{}", {b"webhook-id": b"m"}, 5.0)

    assert (expected, 1) == (reply, len(server.requests))
    assert server.requests[0].startswith(b"POST /hook HTTP/1.1\r\n")
    assert b"webhook-id: m\r\n" in server.requests[0]


async def test_connections_are_used_again(clients: ClientPool) -> None:
    """
    Two deliveries, one after the other, share a connection.
    """
    async with served(saying(OK)) as server:
        for _ in range(2):
            assert Answered(200) == await post(clients, server.url, b"{}", {}, 5.0)

    assert (len(server.requests), server.connections) == (2, 1)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 20", b"SSH-2.0-OpenSSH\r\n"])
async def test_a_connection_lost_before_a_status_is_cut(clients: ClientPool, data: bytes) -> None:
    """
    The request went out and no status came: that is neither success nor a clean failure.
    """
    async with served(saying(data, close=True)) as server:
        assert isinstance(await post(clients, server.url, b"{}", {}, 5.0), CutOff)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\npart",
    ],
)
async def test_a_status_counts_though_its_body_breaks_off(clients: ClientPool, data: bytes) -> None:
    """
    n8n has answered 200: a body that breaks off must not have the event delivered again.
    """
    async with served(saying(data, close=True)) as server:
        assert Answered(200) == await post(clients, server.url, b"{}", {}, 5.0)


async def test_a_status_counts_though_its_body_never_ends(clients: ClientPool) -> None:
    """
    A workflow that streams its answer has the event from the first byte on.
    """

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(999)

    async with served(behave) as server:
        assert Answered(200) == await post(clients, server.url, b"{}", {}, 0.2)


async def test_a_huge_body_is_not_read_to_its_end(clients: ClientPool) -> None:
    """
    More than 64 KiB of an error nobody needs: the connection is closed instead.
    """
    data = b"HTTP/1.1 500 No\r\ncontent-length: 10000000\r\n\r\n" + b"x" * 200_000

    async with served(saying(data)) as server:
        assert Answered(500) == await post(clients, server.url, b"{}", {}, 5.0)


async def test_silence_is_late(clients: ClientPool) -> None:
    """
    An answer that does not come in time is late, and its connection is not used again.
    """
    async with served(silent) as server:
        assert Late(0.5) == await post(clients, server.url, b"{}", {}, 0.5)
        assert Late(0.5) == await post(clients, server.url, b"{}", {}, 0.5)

        assert server.connections == 2


async def test_nobody_listening_is_unsent(clients: ClientPool) -> None:
    """
    A refused connection has sent nothing.
    """
    async with served(saying(OK)) as server:
        pass

    assert isinstance(await post(clients, server.url, b"{}", {}, 5.0), Unsent)


async def test_a_private_address_is_forbidden_unless_named() -> None:
    """
    A callback reaches private hosts only when ALLOW_PRIVATE_HOSTS or n8n's own address says so.
    """
    async with served(saying(OK)) as server:
        replies = [
            await post(Guarded(settings), server.url, b"{}", {}, 5.0)
            for settings in (
                load(None),
                load(None, allow_private_hosts="10.0.0.0/8"),
                load(None, allow_private_hosts="127.0.0.0/8"),
                load(None, n8n_webhook_url="http://127.0.0.1:1/webhook/avito"),
            )
        ]

    assert [Forbidden, Forbidden, Answered, Answered] == [type(reply) for reply in replies]
    assert len(server.requests) == 2


@pytest.mark.parametrize("url", ["http://xn--/", "http://[v1.x]/", f"http://{'ü' * 70}.test/", "http://\udcff.test/"])
async def test_a_name_that_is_none_is_unsent(url: str) -> None:
    """
    An address that nobody can call is a failed attempt, not a fault.
    """
    assert isinstance(await post(Guarded(load(None)), url, b"{}", {}, 5.0), Unsent)
