"""
An answer is one packet, and nothing waits for what may never come. A real server, a client that tells pieces apart.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.security.serving import serving


async def application(scope: Any, receive: Any, send: Any) -> None:
    """
    Answer in two pieces; at `/later` the second comes when the request's body has.
    """
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    if scope["path"] == "/later":
        await receive()
    await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture(name="port")
async def _port() -> AsyncIterator[int]:
    async with serving(application) as (_, port):
        yield port


async def first_piece(port: int, request: bytes) -> bytes:
    """
    Send a request and return what comes first.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(65_536), 5)
    finally:
        writer.transport.abort()


async def test_head_and_body_come_together(port: int) -> None:
    """
    A short answer is one piece: its client wakes once. The client is a thread, which sees each piece when it comes.
    """

    def pieces() -> set[bytes]:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            answers = set()
            for _ in range(200):
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                answers.add(client.recv(65_536)[-8:])
        return answers

    assert {b"\r\n\r\ndone"} == await asyncio.to_thread(pieces)


async def test_the_head_does_not_wait_for_the_body(port: int) -> None:
    """
    A head is sent although nothing follows it in the same turn.
    """
    piece = await first_piece(port, b"POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")

    assert piece.endswith(b"\r\n\r\n")


async def test_an_answer_is_whole_before_its_connection_closes(port: int) -> None:
    """
    What closes the connection does not overtake the answer.
    """
    piece = await first_piece(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert piece.endswith(b"\r\n\r\ndone")
