"""
One listening port of the sandbox: uvicorn's HTTP protocol, served so that connections can be cut.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from sandbox.changes import Changes

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

KEEP_ALIVE_S = 75
STOP_S = 5.0
BACKLOG = 2048
TRANSPORT = "sandbox.transport"
ARRIVED = "sandbox.arrived_mono_s"


class _Protocol(HttpToolsProtocol):
    """
    Hand each request its arrival time and its connection, which a fault may close without an answer.
    """

    def __init__(self, config: Config, state: ServerState, lost: Changes) -> None:
        super().__init__(config, state, {}, asyncio.get_running_loop())
        self.access_log = False
        self._lost = lost

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._lost.notify()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: dict[str, Any] = {TRANSPORT: self.transport, ARRIVED: time.monotonic()}
        self.scope["extensions"] = extensions


class Listener:
    """
    Serve one ASGI application on a port that stays ours while it is closed.

    uvicorn's `Server` is not used: it installs signal handlers, dates answers by the real clock and polls when it
    stops. A second socket, bound but never listening, reserves the port: while the listener is closed, connections
    are refused, and nobody else gets the port meanwhile.
    """

    def __init__(self, app: ASGI3Application, host: str, port: int) -> None:
        self._config = Config(
            app, log_config=None, lifespan="off", ws="none", server_header=False, timeout_keep_alive=KEEP_ALIVE_S
        )
        self._state = ServerState()
        self._lost = Changes()
        self._server: asyncio.Server | None = None
        self._reserved = _bound(host, port)
        self.host = host
        self.port: int = self._reserved.getsockname()[1]

    @property
    def url(self) -> str:
        """
        Return the base URL, without a slash at the end.
        """
        host = "127.0.0.1" if self.host in ("0.0.0.0", "") else self.host  # noqa: S104 - compared, not bound
        return f"http://{host}:{self.port}"

    @property
    def connections(self) -> int:
        """
        Return the number of TCP connections open now.
        """
        return len(self._state.connections)

    async def open(self) -> None:
        """
        Start to listen; nothing happens if it already does.
        """
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Protocol(self._config, self._state, self._lost), sock=_bound(self.host, self.port), backlog=BACKLOG
        )

    async def close(self) -> None:
        """
        Refuse connections from now on and cut those that are open, in the middle of a request too.
        """
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        await self._lost.wait_until(lambda: not self._state.connections, STOP_S, lambda: "connections still open")
        if self._state.tasks:
            _, slow = await asyncio.wait(set(self._state.tasks), timeout=STOP_S)
            for task in slow:
                task.cancel()
        await server.wait_closed()

    async def release(self) -> None:
        """
        Close, and give the port back.
        """
        await self.close()
        self._reserved.close()


def _bound(host: str, port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only on sockets that name their protocol; without it each answer waits 40 ms.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
