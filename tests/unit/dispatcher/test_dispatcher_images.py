"""
Fetching images over loopback.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from common.settings import Settings
from dispatcher.images import Image, Images, NotFetched

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100
Answers = Callable[[str], bytes]


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    """
    Return a raw answer.
    """
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def serving(answers: Answers) -> AsyncIterator[str]:
    """
    Serve `answers` (path to raw answer; empty: cut the connection) and give the base URL.
    """
    running: list[asyncio.Task[None]] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            answer = answers(head.decode().split(" ")[1])
            if answer == HANG:
                await reader.read()
            writer.write(answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            # The guard's probe, or a client that has left.
            return
        finally:
            writer.close()
            await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.append(asyncio.ensure_future(one(reader, writer)))

    server = await asyncio.start_server(start, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.wait_for(asyncio.gather(*running, return_exceptions=True), 5)


HANG = b"hang"
ALLOWED = Settings(allow_private_hosts=("127.0.0.1",), connection_timeout=5.0)


async def test_an_image_is_fetched_and_told_by_its_bytes() -> None:
    """
    The kind comes from the bytes, not from the header or the name.
    """
    async with serving(lambda _path: http("200 OK", PNG, "Content-Type: text/html")) as url:
        assert Image("image.png", "image/png", PNG) == await Images(ALLOWED).fetch(f"{url}/photo.exe")


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        (http("404 Not Found"), True),
        (http("403 Forbidden"), True),
        (http("429 Too Many"), False),
        (http("503 Away"), False),
        (http("304 Not Modified"), True),
        (http("200 OK", b"<html>"), True),
        (http("200 OK"), True),
        (b"", False),
        (b"nonsense\r\n\r\n", False),
    ],
)
async def test_no_image(answer: bytes, final: bool) -> None:
    """
    What may pass is tried again; a refusal or another kind of file is final.
    """
    async with serving(lambda _path: answer) as url:
        found = await Images(ALLOWED).fetch(url)

    assert isinstance(found, NotFetched)
    assert final is found.final


async def test_a_large_image_is_not_read_to_its_end() -> None:
    """
    Reading stops behind the limit, though no length was announced.
    """
    endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PNG + b"0" * 1_000_000
    async with serving(lambda _path: endless) as url:
        found = await Images(ALLOWED, max_bytes=1_000).fetch(url)
        exact = await Images(ALLOWED, max_bytes=len(PNG) + 1_000_000).fetch(url)

    assert NotFetched("the image at image_url is larger than 1000 bytes", final=True) == found
    assert isinstance(exact, Image)


async def test_redirects_are_followed_within_limits() -> None:
    """
    A redirect leads to the image; a circle of them ends.
    """

    def answers(path: str) -> bytes:
        if path == "/image":
            return http("200 OK", PNG)
        return http("302 Found", b"", f"Location: {'/image' if path == '/once' else '/round'}")

    async with serving(answers) as url:
        found = await Images(ALLOWED).fetch(f"{url}/once")
        circle = await Images(ALLOWED).fetch(f"{url}/round")

    assert isinstance(found, Image)
    assert NotFetched("image_url cannot be followed: TooManyRedirects", final=True) == circle


async def test_private_addresses_are_refused() -> None:
    """
    Without leave the gateway fetches nothing from its own network.
    """
    async with serving(lambda _path: http("200 OK", PNG)) as url:
        found = await Images(Settings()).fetch(url)

    assert isinstance(found, NotFetched)
    assert ("ALLOW_PRIVATE_HOSTS" in found.error, True) == (True, found.final)


async def test_a_redirect_to_a_private_address_is_refused() -> None:
    """
    Leave for one host is no leave for what it redirects to.
    """
    settings = Settings(allow_private_hosts=("localhost",), connection_timeout=5.0)
    async with serving(lambda _path: http("200 OK", PNG)) as target:

        def away(_path: str) -> bytes:
            return http("302 Found", b"", f"Location: {target}/image")

        async with serving(away) as url:
            found = await Images(settings).fetch(url.replace("127.0.0.1", "localhost"))

    assert isinstance(found, NotFetched)
    assert ("ALLOW_PRIVATE_HOSTS" in found.error, True) == (True, found.final)


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/a", "file:///etc/passwd", "no url", "http://[::1", "http://127.0.0.1:99999/"]
)
async def test_odd_addresses_are_final(url: str) -> None:
    """
    An address that is none is not tried again.
    """
    found = await Images(ALLOWED).fetch(url)

    assert isinstance(found, NotFetched)
    assert found.final


async def test_a_slow_host_is_given_up() -> None:
    """
    The whole fetch has CONNECTION_TIMEOUT.
    """
    settings = ALLOWED.model_copy(update={"connection_timeout": 0.1})
    async with serving(lambda _path: HANG) as url:
        found = await Images(settings).fetch(url)

    assert NotFetched("image_url gave no image within 0.1 s", final=False) == found
