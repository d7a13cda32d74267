"""
The seam to httpx: one exchange, seen as a value.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from common.avito.answers import Answer, NoAnswer, NotSent, Result
from common.avito.http import exchange
from common.http.pool import ClientPool

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def raising(error: Exception) -> httpx.AsyncClient:
    """
    Return a client whose network raises.
    """

    def handler(_request: httpx.Request) -> httpx.Response:
        raise error

    return httpx.AsyncClient(transport=httpx.MockTransport(handler))


@asynccontextmanager
async def serving(serve: Serve, scheme: str = "http") -> AsyncIterator[ClientPool]:
    """
    Serve raw connections on a free port; at the end every one is over and closed.
    """
    ended: list[asyncio.Task[None]] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.ensure_future(one(reader, writer)))

    server = await asyncio.start_server(start, "127.0.0.1", 0)
    async with server:
        pool = ClientPool(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", "test")
        yield pool
        await pool.aclose()
        await asyncio.wait_for(asyncio.gather(*ended, return_exceptions=True), 5)


async def send(client: httpx.AsyncClient, url: str = "http://avito.test/", timeout_s: float = 5.0) -> Result:
    """
    Exchange one GET.
    """
    return await exchange(client, client.build_request("GET", url), timeout_s)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx.ConnectError("no"), NotSent("ConnectError: no")),
        (httpx.ConnectTimeout("late"), NotSent("ConnectTimeout: late")),
        (httpx.PoolTimeout("full"), NotSent("PoolTimeout: full")),
        (httpx.ProxyError("no"), NotSent("ProxyError: no")),
        (httpx.ReadTimeout("late"), NoAnswer("ReadTimeout: late", aborted=True)),
        (httpx.WriteTimeout("late"), NoAnswer("WriteTimeout: late", aborted=True)),
        (httpx.ReadError(""), NoAnswer("ReadError")),
        (httpx.WriteError("cut"), NoAnswer("WriteError: cut")),
        (httpx.CloseError("cut"), NoAnswer("CloseError: cut")),
        (httpx.RemoteProtocolError("Server disconnected"), NoAnswer("RemoteProtocolError: Server disconnected")),
        (httpx.LocalProtocolError("odd header"), NoAnswer("LocalProtocolError: odd header")),
        (httpx.DecodingError("gzip"), NoAnswer("DecodingError: gzip")),
    ],
)
async def test_exceptions_of_httpx_become_values(error: Exception, expected: Result) -> None:
    """
    Only what cannot have sent a byte is NotSent; everything else may have reached Avito.
    """
    async with raising(error) as client:
        assert expected == await send(client)


async def test_an_answer_is_read_with_its_headers() -> None:
    """
    JSON, plain text, Date and Retry-After are in the answer; the date form counts from the answer's own Date.
    """
    headers = {"date": "Mon, 01 Dec 2025 17:30:00 GMT", "retry-after": "Mon, 01 Dec 2025 17:30:10 GMT"}

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/json":
            return httpx.Response(429, json={"error": {"code": 429}}, headers=headers)
        return httpx.Response(502, text="upstream connect error")

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
        limited = await send(client, "http://avito.test/json")
        plain = await send(client, "http://avito.test/plain")

    assert isinstance(limited, Answer)
    assert (
        limited.status,
        limited.body,
        limited.retry_after_s,
        limited.server_ms,
    ) == (429, {"error": {"code": 429}}, 10.0, 1_764_610_200_000)
    assert Answer(502, None, "upstream connect error") == plain


async def test_redirects_are_not_followed() -> None:
    """
    A redirect is an answer; its target gets nothing.
    """
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        return httpx.Response(302, headers={"location": "/elsewhere"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler), follow_redirects=True) as client:
        result = await send(client, "http://avito.test/first")

    assert (getattr(result, "status", None), seen) == (302, ["/first"])


async def test_a_deadline_after_the_request_went_out_is_aborted() -> None:
    """
    The whole exchange has one deadline, also against a server that trickles its answer; the connection is closed.
    """
    closed = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{")
        await writer.drain()
        await reader.read()
        closed.set()

    async with serving(trickle) as pool:
        async with pool.lend() as loan:
            result = await send(loan.client, "/", timeout_s=0.3)
            loan.spoil()
        await asyncio.wait_for(closed.wait(), 5)

    assert NoAnswer("no answer within 0.3 s", aborted=True) == result


async def test_a_deadline_before_the_request_went_out_is_not_sent() -> None:
    """
    A TLS handshake that never ends has sent no request, so repeating is safe.
    """

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent, "https") as pool, pool.lend() as loan:
        result = await send(loan.client, "/", timeout_s=1.0)
        loan.spoil()

    assert isinstance(result, NotSent)


async def test_a_connection_cut_before_the_answer_is_no_answer() -> None:
    """
    A server that takes the request and hangs up leaves the outcome unknown.
    """

    async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with serving(hang_up) as pool, pool.lend() as loan:
        result = await send(loan.client, "/")

    assert isinstance(result, NoAnswer)
    assert not result.aborted


async def test_nobody_listens() -> None:
    """
    A refused connection has sent nothing.
    """
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    pool = ClientPool(f"http://127.0.0.1:{port}", "test")

    async with pool.lend() as loan:
        assert isinstance(await send(loan.client, "/"), NotSent)

    await pool.aclose()


async def test_the_pool_lends_one_client_for_each_request_in_flight() -> None:
    """
    Two loans at once are two clients; the one given back last is lent first; a spoiled one is closed.
    """
    pool = ClientPool("http://avito.test", "test")
    async with pool.lend() as first, pool.lend() as second:
        assert first.client is not second.client
        kept = first.client
        second.spoil()
        spoiled = second.client
    async with pool.lend() as again:
        assert kept is again.client
    await pool.aclose()

    assert (spoiled.is_closed, kept.is_closed) == (True, True)


async def test_a_cancelled_request_closes_its_client() -> None:
    """
    A client whose request was cancelled is not lent again.
    """
    pool = ClientPool("http://avito.test", "test")
    lent: list[httpx.AsyncClient] = []
    started = asyncio.Event()

    async def forever() -> None:
        async with pool.lend() as loan:
            lent.append(loan.client)
            started.set()
            await asyncio.sleep(999)

    task = asyncio.create_task(forever())
    await started.wait()
    task.cancel()
    await asyncio.wait([task])

    assert lent[0].is_closed
