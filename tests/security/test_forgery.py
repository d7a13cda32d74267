"""
Server-side request forgery: `image_url` and `callback_url` reach public addresses and what the operator named.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from typing import Any

import pytest

from common.http.guard import allowed_addresses
from common.settings import Settings
from dispatcher.images import Image, Images, NotFetched
from forwarder.deliver import Guarded, post
from forwarder.replies import Answered, Forbidden

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100
PRIVATE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "0.0.0.0",
    "0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[2002:7f00:1::]",
    "[64:ff9b::7f00:1]",
    "localhost",
    "LOCALHOST.",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "100.100.100.200",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
]
# Not every resolver, and not every HTTP client, takes these for addresses at all.
UNREAD = {"0177.0.0.1", "LOCALHOST."}
Resolver = Callable[[str], str]


class Target:
    """
    A server on one loopback address that notes each request line and answers as told.
    """

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.requests: list[str] = []
        self.url = ""
        self.port = 0
        self._open: set[asyncio.Task[None]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """
        Serve one connection.
        """
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head.decode("latin-1").split("\r\n")[0])
            writer.write(self.answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    """
    Return a raw answer.
    """
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def target(answer: bytes = http("200 OK", PNG), host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Target]:
    """
    Run a target.
    """
    made = Target(answer)
    server = await asyncio.start_server(made, host, port)
    async with server:
        made.port = server.sockets[0].getsockname()[1]
        made.url = f"http://{host}:{made.port}"
        yield made


@pytest.fixture(name="resolve")
def _resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Resolver], None]:
    """
    Put a resolver of the test's own in place of the system's for names that end in `.test`.
    """

    def install(resolver: Resolver) -> None:
        real = socket.getaddrinfo

        def found(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else str(host)
            return real(resolver(name) if name.endswith(".test") else host, port, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", found)

    return install


def refused(found: Image | NotFetched) -> bool:
    """
    Say whether the image was refused for its address, for good.
    """
    return isinstance(found, NotFetched) and found.final and "not public" in found.error


@pytest.mark.parametrize("host", PRIVATE)
async def test_no_spelling_of_a_private_address_is_reached(host: str) -> None:
    """
    However a private address is written, neither an image nor a callback gets there.
    """
    async with target() as inside:
        url = f"http://{host}:{inside.port}/latest/meta-data"
        image = await Images(Settings()).fetch(url)
        callback = await post(Guarded(Settings()), url, b"{}", {}, 5.0)

    assert not isinstance(image, Image)
    assert not isinstance(callback, Answered)
    assert [] == inside.requests
    if host not in UNREAD:
        assert refused(image)
        assert isinstance(callback, Forbidden)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 301),
        ("2130706433", 302),
        ("0x7f.1", 303),
        ("localhost", 307),
        ("[::ffff:127.0.0.1]", 308),
        ("[64:ff9b::7f00:1]", 302),
    ],
)
async def test_a_redirect_does_not_lead_inside(host: str, status: int) -> None:
    """
    An allowed host that redirects to a private address gets nobody there; a callback follows no redirect at all.
    """
    settings = Settings(allow_private_hosts=("127.0.0.2",))
    async with target() as inside:
        location = f"Location: http://{host}:{inside.port}/image"
        async with target(http(f"{status} Moved", b"", location), "127.0.0.2") as outside:
            image = await Images(settings).fetch(outside.url)
            callback = await post(Guarded(settings), outside.url, b"{}", {}, 5.0)

    assert refused(image)
    assert isinstance(callback, Answered)
    assert status == callback.status
    assert (2, []) == (len(outside.requests), inside.requests)


@pytest.mark.parametrize("first", ["127.0.0.2", "127.0.0.1"])
async def test_a_name_that_changes_its_address_leads_nowhere_else(
    resolve: Callable[[Resolver], None], first: str
) -> None:
    """
    DNS rebinding: the address that was checked is the one that is called, whatever the name says a moment later.
    """
    settings = Settings(allow_private_hosts=("127.0.0.2",))
    then = "127.0.0.1" if first == "127.0.0.2" else "127.0.0.2"
    async with target(host="127.0.0.2") as named, target(host="127.0.0.1", port=named.port) as inside:
        for fetch in range(4):
            answers = iter([first])
            resolve(partial(lambda left, _name: next(left, then), answers))
            url = f"http://rebind-{fetch}.test:{named.port}/"
            if fetch % 2:
                await post(Guarded(settings), url, b"{}", {}, 5.0)
            else:
                image = await Images(settings).fetch(url)

    assert [] == inside.requests
    assert (4 if first == "127.0.0.2" else 0) == len(named.requests)
    assert isinstance(image, Image) is (first == "127.0.0.2")


@pytest.mark.parametrize(
    ("host", "address", "allowed"),
    [
        ("files.test", "10.9.9.9", True),
        ("FILES.test", "10.9.9.9", True),
        ("xfiles.test", "10.9.9.9", False),
        ("files.test.evil.test", "10.9.9.9", False),
        ("10.9.9.9", "10.9.9.9", False),
        ("any.test", "10.1.0.3", True),
        ("any.test", "10.1.0.4", False),
        ("any.test", "::ffff:10.1.0.3", False),
        ("any.test", "192.168.7.7", True),
        ("any.test", "192.168.7.8", False),
        ("any.test", "fd00:1::5", True),
        ("any.test", "fd00:2::5", False),
        ("any.test", "127.0.0.1", False),
        ("any.test", "169.254.169.254", False),
        ("n8n", "172.18.0.5", True),
        ("any.test", "172.18.0.5", False),
    ],
)
def test_allow_private_hosts_opens_what_it_names(host: str, address: str, allowed: bool) -> None:
    """
    A named host, address or network opens itself, not its neighbour.
    """
    named = ("files.test", "10.1.0.0/30", "192.168.7.7", "fd00:1::/32")
    settings = Settings(allow_private_hosts=named, n8n_webhook_url="http://n8n:5678/webhook/avito")

    assert allowed is allowed_addresses(settings)(host, ip_address(address), 80)


async def test_an_endless_picture_is_cut_off() -> None:
    """
    An image that announces little and never ends is given up one byte behind the limit, not when memory is.
    """
    written = 0
    ended = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = PNG + bytes(65_536 - len(PNG))
        try:
            while True:
                writer.write(b"10000\r\n" + chunk + b"\r\n")
                await writer.drain()
                written += len(chunk)
        except ConnectionError:
            writer.close()
            ended.set()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        found = await Images(Settings(allow_private_hosts=("127.0.0.1",)), max_bytes=1_000_000).fetch(url)
        await asyncio.wait_for(ended.wait(), 5)

    assert NotFetched("the image at image_url is larger than 1000000 bytes", final=True) == found
    # The limit, and what the sockets' buffers hold.
    assert written < 1_000_000 + 16 * 1024 * 1024


@pytest.mark.parametrize("body", [b"<svg/>", b"%PDF-1.4", b"MZ", b"<html>", b"\x00" * 64, b"RIFF0000WEBP", b""])
async def test_what_is_no_picture_goes_no_further(body: bytes) -> None:
    """
    The first bytes decide; a header that says image/png does not make one.
    """
    async with target(http("200 OK", body, "Content-Type: image/png")) as outside:
        found = await Images(Settings(allow_private_hosts=("127.0.0.1",))).fetch(outside.url)

    assert NotFetched("image_url gives no JPEG, HEIC, GIF, BMP or PNG", final=True) == found
