"""
The ingress' HTTP server: uvicorn inside a loop that is not its own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from litestar import Litestar
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from common.errors import GatewayError, SettingsError
from common.settings import Settings
from gateway.http_protocol import HttpProtocol
from gateway.service import Manager, handed_socket
from ingress.app import from_environment

WORKERS_APP: Final = "gateway.http_server:worker"
BACKLOG: Final = 2048
OPEN_FILES: Final = 65_536
_TURNS_TO_CONNECT: Final = 3
_ANY: Final = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def bind(settings: Settings) -> socket.socket:
    """
    Take the socket that the service manager hands over, else reserve `SERVER_HOST:SERVER_PORT`; nobody is answered
    before a server listens there.

    Raises:

        SettingsError: what is handed over cannot be used, the address is not this machine's, or the port is taken.

    """
    if (handed := handed_socket()) is not None:
        return handed
    host, port = settings.server_host, settings.server_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, the event loop sends small answers at once (TCP_NODELAY).
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise SettingsError(
            f"SERVER_HOST={host} SERVER_PORT={port}: cannot listen there ({error.strerror or error});"
            " end the program that does, or choose another port"
        ) from None
    return bound


def allow_many_files() -> None:
    """
    Raise the soft limit of open files towards the hard one, as servers do: a connection is a file, and the usual soft
    limit of 1 024 is soon reached by clients that are only there.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def base_url(bound: socket.socket) -> str:
    """
    Return the address to open on this machine.
    """
    host, port = bound.getsockname()[:2]
    host = _ANY.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class HttpServer(uvicorn.Server):
    """
    Serve an application until `stop`. Signals are left to whoever runs the loop.
    """

    def __init__(self, app: Any, bound: socket.socket, *, grace_s: float) -> None:
        super().__init__(uvicorn.Config(app, **_options(grace_s)))
        self.ready = asyncio.Event()
        self.bound = bound

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """
        Install no handlers.
        """
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """
        Start, and set `ready` once requests are answered.
        """
        try:
            await super().startup(sockets)
        except SystemExit:
            # What went wrong is in the log already.
            raise GatewayError("The ingress did not start.") from None
        self.ready.set()

    async def run(self) -> None:  # type: ignore[override]
        """
        Serve; return when all requests under way have their answer, or the grace is over.
        """
        await self.serve([self.bound])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """
        Let nobody in any more, then close the door: asyncio drops who has been accepted but has no transport yet when
        the listening socket closes. A transport and its protocol are made within two turns.
        """
        loop = asyncio.get_running_loop()
        for listening in (one for server in self.servers for one in server.sockets):
            loop.remove_reader(listening.fileno())
        for _ in range(_TURNS_TO_CONNECT):
            await asyncio.sleep(0)
        await super().shutdown(sockets)

    def stop(self) -> None:
        """
        Accept no more connections.
        """
        self.should_exit = True


def serve_workers(bound: socket.socket, workers: int, redis_url: str, settings: Settings) -> None:
    """
    Serve by several processes on one socket until SIGTERM or SIGINT; one that dies is replaced.

    The workers read the settings from the environment, where `REDIS_URL` is put for them.

    Raises:

        GatewayError: a worker cannot start, nor could another in its place.

    """
    os.environ["REDIS_URL"] = redis_url
    config = uvicorn.Config(WORKERS_APP, factory=True, workers=workers, **_options(settings.shutdown_grace))
    # From now on requests wait for a worker; they are not refused while one starts.
    bound.listen(BACKLOG)
    Manager().ready()
    supervisor = Multiprocess(config, sockets=[bound])
    supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise GatewayError("An ingress worker did not start. The log tells why.")


def worker() -> Litestar:
    """
    Make the application of one of several processes on a socket (`WORKERS_APP`).

    It ends when the process that started it is gone: one that was killed could not tell, and its workers would answer
    for good and keep the port.
    """
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    return from_environment()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _options(grace_s: float) -> dict[str, Any]:
    return {
        "http": HttpProtocol,
        "log_config": None,
        "access_log": False,
        # Nothing here depends on who the caller is, or on the scheme of a proxy before us.
        "proxy_headers": False,
        "server_header": False,
        "backlog": BACKLOG,
        "ws": "none",
        "lifespan": "on",
        # A worker on a busy machine may take its time; one that hangs is replaced all the same.
        "timeout_worker_healthcheck": 30,
        # A fraction of a second cannot be told to uvicorn.
        "timeout_graceful_shutdown": max(1, round(grace_s)),
    }
