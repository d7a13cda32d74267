"""
For containers: `python -m gateway.healthcheck ingress|worker`. Exit code 0 when healthy, else 1 and a line why.

Apart from the command line, so that it starts quickly; it reads `SERVER_PORT`, `REDIS_URL`, `KEY_PREFIX` and
`AVITO_USER_ID` from the environment alone.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from common.errors import GatewayError
from common.queue.connection import connect, mapped
from common.queue.keys import AccountKeys, workers
from common.queue.replies import redis_ms

TIMEOUT_S: Final = 3.0
# Longer than a worker of hundreds of accounts waits between two questions for one of them (common.queue.role).
SILENT_MS: Final = 300_000


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


async def worker_problem(redis_url: str, prefix: str, user_id: str | None = None) -> str | None:
    """
    Ask Redis for a living worker of this host whose process is there, and whether it asks for what waits for this
    account; return what is wrong.
    """
    connections = connect(redis_url, timeout_s=TIMEOUT_S)
    client = connections.commands
    try:
        with mapped():
            now_ms = await redis_ms(client, workers(prefix))
            alive = [str(name) for name in await client.zrangebyscore(workers(prefix), now_ms, "+inf")]
            own = [name for name in alive if any(map(_is_running, pids_of([name], socket.gethostname())))]
            if not own:
                return f"Redis knows no living worker of host {socket.gethostname()}"
            return None if user_id is None else await _silence(client, AccountKeys(prefix, user_id), own)
    except GatewayError as error:
        return str(error)
    finally:
        await connections.aclose()


async def _silence(client: Redis, keys: AccountKeys, own: Sequence[str]) -> str | None:
    """
    Say which of our workers lets entries wait without asking for them: its heart beats, and its loop hangs. Asking
    shows as the idle time of its consumer in the stream that comes first for its role.
    """
    for streams, group in (((keys.commands, keys.bulk), "dispatcher"), ((keys.events,), "forwarder")):
        if not sum([await client.xlen(one.stream) for one in streams]):
            continue
        try:
            consumers = await client.xinfo_consumers(streams[0].stream, group)
        except ResponseError:
            # No group yet: a worker makes it with its first question.
            continue
        for consumer in consumers:
            if consumer["name"] in own and consumer["idle"] >= SILENT_MS:
                return f"{consumer['name']} reads nothing while entries of {streams[0].stream} wait"
    return None


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
            prefix, user_id = os.environ.get("KEY_PREFIX") or "avito", os.environ.get("AVITO_USER_ID") or None
            problem = asyncio.run(worker_problem(redis_url, prefix, user_id))
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
