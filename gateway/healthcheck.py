"""
For containers: `python -m gateway.healthcheck ingress|worker`. Exit code 0 when healthy, else 1 and a line why.

Apart from the command line, so that it starts quickly; it reads `SERVER_PORT`, `REDIS_URL`, `KEY_PREFIX` from the
environment alone.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from common.errors import GatewayError
from common.queue.connection import connect, mapped
from common.queue.keys import workers
from common.queue.replies import redis_ms

TIMEOUT_S: Final = 3.0


def ingress_problem(port: int) -> str | None:
    """
    Ask the ingress of this machine whether it is alive; return what is wrong.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/health/live")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"the ingress on port {port} does not answer: {error}"
    finally:
        connection.close()
    return None if status == 200 else f"the ingress on port {port} answers {status}"


async def worker_problem(redis_url: str, prefix: str) -> str | None:
    """
    Ask Redis for a living worker of this host whose process is there; return what is wrong.
    """
    connections = connect(redis_url, timeout_s=TIMEOUT_S)
    client = connections.commands
    try:
        with mapped():
            now_ms = await redis_ms(client, workers(prefix))
            alive = [str(name) for name in await client.zrangebyscore(workers(prefix), now_ms, "+inf")]
    except GatewayError as error:
        return str(error)
    finally:
        await connections.aclose()
    if any(_is_running(pid) for pid in pids_of(alive, socket.gethostname())):
        return None
    return f"Redis knows no living worker of host {socket.gethostname()}"


def pids_of(names: Iterable[str], host: str) -> list[int]:
    """
    Return the process ids in the worker names `host-pid-nonce` of one host.
    """
    parts = [name.rsplit("-", 2) for name in names]
    return [int(part[1]) for part in parts if len(part) == 3 and part[0] == host and part[1].isdecimal()]


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Check what the first argument names, the ingress without one.
    """
    role = (list(sys.argv[1:] if arguments is None else arguments) or ["ingress"])[0]
    if role == "ingress":
        problem = ingress_problem(int(os.environ.get("SERVER_PORT") or 8765))
    elif role == "worker":
        redis_url = os.environ.get("REDIS_URL")
        if redis_url:
            problem = asyncio.run(worker_problem(redis_url, os.environ.get("KEY_PREFIX") or "avito"))
        else:
            problem = "REDIS_URL is not set: a worker in a container of its own needs it"
    else:
        sys.stderr.write("usage: python -m gateway.healthcheck [ingress|worker]\n")
        return 2
    if problem is not None:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
