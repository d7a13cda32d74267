"""
What an address of a stranger's can cost: memory, and what a log shows when the code meets it with a fault.
"""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest
import structlog

from common import log
from common.http.guard import is_public
from common.settings import Settings
from dispatcher.images import Images, NotFetched

ALLOWED = Settings(allow_private_hosts=("127.0.0.1",))


def bomb() -> bytes:
    """
    Pack 256 MiB of zeroes into 1 kB.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeroes = bytes(1024 * 1024)
    return gzip.compress(b"".join(packer.compress(zeroes) for _ in range(256)) + packer.flush(), 9)


@asynccontextmanager
async def answering(head: bytes, body: bytes, times: int = 1) -> AsyncIterator[tuple[str, list[int]]]:
    """
    Answer with a head and a body that is written up to `times` times; note how much was taken.
    """
    taken: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + head + b"\r\n\r\n")
            for _ in range(times):
                writer.write(body)
                await writer.drain()
                taken.append(len(body))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", taken


@pytest.mark.parametrize("encoding", [b"gzip", b"gzip, gzip", b"deflate", b"GZIP,gzip"])
async def test_packed_content_is_not_unpacked(encoding: bytes) -> None:
    """
    1 kB that unpacks to 256 MiB costs no memory: what is packed is no image.
    """
    async with answering(b"Content-Type: image/png\r\nContent-Encoding: " + encoding, bomb()) as (url, _):
        tracemalloc.start()
        found = await Images(ALLOWED).fetch(url)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert NotFetched("image_url gives packed content (Content-Encoding)", final=True) == found
    assert peak < 8 * 1024 * 1024


async def test_a_long_page_is_given_up_at_its_beginning() -> None:
    """
    What does not begin like an image is not read to the limit.
    """
    async with answering(b"Content-Type: image/png", b"<html>" * 10_000, times=1000) as (url, taken):
        found = await Images(ALLOWED).fetch(url)

    assert NotFetched("image_url gives no JPEG, HEIC, GIF, BMP or PNG", final=True) == found
    assert sum(taken) < 16 * 1024 * 1024


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b:1::7f00:1",
        "64:ff9b:1::a9fe:a9fe",
        "::7f00:1",
        "::a9fe:a9fe",
        "::ffff:0:a9fe:a9fe",
        "fec0::1",
        "192.0.0.192",
        "168.63.129.16",
        "::ffff:192.0.0.192",
        "64:ff9b::c000:c0",
    ],
)
def test_more_ways_to_say_private(address: str) -> None:
    """
    What Python calls global and is a way into a network or to its metadata all the same is not public.
    """
    assert not is_public(ip_address(address))


def test_a_trace_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    """
    A fault that is logged for people shows where it was, not what the variables held.
    """

    def fail(text: str) -> None:
        raise ValueError(len(text))

    log.configure("console", "info")
    try:
        fail("marker-" + "text")
    except ValueError:
        log.logger("test").exception("failed")
    finally:
        structlog.reset_defaults()

    shown = capsys.readouterr().err
    assert "ValueError" in shown
    assert "marker-text" not in shown
