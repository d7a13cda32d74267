"""
A small ASGI application behind the program's own HTTP server.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.http_server import HttpServer

Application = Callable[..., Awaitable[None]]


@asynccontextmanager
async def serving(application: Application) -> AsyncIterator[tuple[HttpServer, int]]:
    """
    Serve HTTP requests with it on a port of loopback for as long as the block lasts; give the server and its port.
    """

    async def whole(scope: Any, receive: Any, send: Any) -> None:
        while scope["type"] == "lifespan":
            event = await receive()
            await send({"type": f"{event['type']}.complete"})
            if event["type"] == "lifespan.shutdown":
                return
        await application(scope, receive, send)

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = HttpServer(whole, bound, grace_s=1.0)
        task = asyncio.create_task(server.run())
        await server.ready.wait()
        yield server, bound.getsockname()[1]
        server.stop()
        await asyncio.wait_for(task, 10)
