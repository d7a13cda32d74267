"""
The check for containers.
"""

from __future__ import annotations

import os
import socket

import pytest

from common.queue.connection import Connections
from common.queue.keys import AccountKeys
from common.queue.lease import Lease
from gateway import healthcheck

HOST = socket.gethostname()


def test_own_workers_are_told_from_others() -> None:
    """
    A host's name may have dashes itself; another host's workers do not count.
    """
    names = ["web-1-42-aaaa", "web-1-x-bbbb", "web-43-cccc", "odd", "web-1-44-dddd"]

    assert [42, 44] == healthcheck.pids_of(names, "web-1")


async def test_worker_with_a_lease_is_healthy(connections: Connections, redis_url: str) -> None:
    """
    A name that Redis knows as alive, of a process that runs here, is enough.
    """
    prefix = f"health-{os.urandom(6).hex()}"
    lease = Lease(connections, prefix)
    await lease.beat()

    assert await healthcheck.worker_problem(redis_url, prefix) is None

    await lease.leave()
    assert await healthcheck.worker_problem(redis_url, prefix) == f"Redis knows no living worker of host {HOST}"


async def test_worker_that_lets_entries_wait_is_unhealthy(
    connections: Connections, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Its heart beats, and it has not asked for what waits; an empty queue asks for nothing.
    """
    monkeypatch.setattr(healthcheck, "SILENT_MS", 0)
    prefix = f"health-{os.urandom(6).hex()}"
    lease, client = Lease(connections, prefix), connections.commands
    stream = AccountKeys(prefix, "7").events.stream
    await lease.beat()
    await client.xgroup_create(stream, "forwarder", "0", mkstream=True)
    await client.xgroup_createconsumer(stream, "forwarder", lease.name)
    idle = await healthcheck.worker_problem(redis_url, prefix, "7")
    await client.xadd(stream, {"kind": "message"})
    waiting = await healthcheck.worker_problem(redis_url, prefix, "7")
    await lease.leave()

    assert (None, f"{lease.name} reads nothing while entries of {stream} wait") == (idle, waiting)


async def test_redis_that_is_away_is_unhealthy() -> None:
    """
    The reason is said, not raised.
    """
    problem = await healthcheck.worker_problem("redis://127.0.0.1:1", "avito")

    assert "does not answer" in (problem or "")


def test_ingress_that_is_not_there_is_unhealthy() -> None:
    """
    A refused connection is the answer.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert "does not answer" in (healthcheck.ingress_problem(port) or "")


def test_worker_needs_redis_url(capsys: pytest.CaptureFixture[str]) -> None:
    """
    A container of a worker without REDIS_URL has nowhere to look.
    """
    assert healthcheck.main(["worker"]) == 1
    assert "REDIS_URL is not set" in capsys.readouterr().err


def test_unknown_role_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """
    The usage is shown.
    """
    assert healthcheck.main(["bystander"]) == 2
    assert "usage" in capsys.readouterr().err
