"""
The recipe for Caddy: HTTPS, with what is for outside and what is not.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from common.queue.connection import Connections
from sandbox import Sandbox
from tests.fleet import ROOT, Fleet, fleet, free_port
from tests.harness import eventually
from tests.integration.ingress.test_webhook import event

CADDYFILE = ROOT / "deploy" / "caddy" / "Caddyfile"
SECRET = "a-secret-of-the-tests"
OTHERS = "192.0.2.0/24"

pytestmark = pytest.mark.skipif(shutil.which("caddy") is None, reason="caddy is not installed here")


def environment(folder: Path, *, inside: str = "private_ranges", port: int = 1) -> dict[str, str]:
    """
    Return what the recipe is adapted by, all files in a folder of the test's own.
    """
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "CADDY_ADMIN": "off",
        "HTTP_PORT": str(free_port()),
        "GATEWAY_HOST": f"localhost:{free_port()}",
        "GATEWAY_INSIDE": inside,
        "GATEWAY_ADDRESS": f"127.0.0.1:{port}",
    }


def test_the_recipe_is_understood(tmp_path: Path) -> None:
    """
    `caddy validate` takes it as it stands, for the name of the example.
    """
    plain = {name: value for name, value in environment(tmp_path).items() if not name.startswith("GATEWAY_")}
    done = subprocess.run(
        ["caddy", "validate", "--config", str(CADDYFILE), "--adapter", "caddyfile"],
        env=plain,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert 0 == done.returncode, done.stderr
    assert "not formatted" not in done.stderr


@asynccontextmanager
async def caddy(folder: Path, port: int, inside: str) -> AsyncIterator[httpx.AsyncClient]:
    """
    Run Caddy with its own certificate authority; gives a client that trusts it and knows the address.
    """
    known = environment(folder, inside=inside, port=port)
    process = await asyncio.create_subprocess_exec(
        *("caddy", "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"),
        env=known,
        stderr=asyncio.subprocess.DEVNULL,
    )
    authority = folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    try:
        await eventually(authority.exists, 30.0)
        trusted = ssl.create_default_context(cafile=str(authority))
        url = f"https://{known['GATEWAY_HOST']}"
        async with httpx.AsyncClient(base_url=url, verify=trusted, timeout=30.0, trust_env=False) as client:
            await eventually(_answers(client), 30.0)
            yield client
    finally:
        process.terminate()
        await process.wait()


def _answers(client: httpx.AsyncClient) -> Callable[[], Awaitable[bool]]:
    async def answers() -> bool:
        try:
            await client.get("/")
        except httpx.TransportError:
            return False
        return True

    return answers


@pytest.fixture(name="running")
async def _running(connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with fleet(connections, redis_url, sandbox, tmp_path, WEBHOOK_SECRET=SECRET) as running:
        yield running


async def test_from_outside_only_the_webhook_is_there(running: Fleet, tmp_path: Path) -> None:
    """
    A webhook passes with its answer, a secret that is wrong and a body that is too large do not; nothing else exists.
    """
    await running.start("ingress")
    async with caddy(tmp_path, running.port, OTHERS) as outside:
        good = await outside.post(f"/webhook/avito/{SECRET}", json=event())
        wrong = await outside.post("/webhook/avito/wrong", json=event())
        large = await outside.post(f"/webhook/avito/{SECRET}", content=b" " * 1_100_000)
        paths = ("/", "/docs", "/metrics", "/info", "/health", "/console", "/api/chats", "/webhook/../api/chats")
        hidden = [(await outside.get(path)).status_code for path in paths]

    assert (200, {"ok": True}) == (good.status_code, good.json())
    assert (404, 413) == (wrong.status_code, large.status_code)
    assert [404] * len(paths) == hidden


async def test_from_inside_all_is_there(running: Fleet, tmp_path: Path) -> None:
    """
    The networks that are named reach the API, and a body as large as the largest bulk request passes.
    """
    await running.start("ingress")
    async with caddy(tmp_path, running.port, "127.0.0.0/8") as inside:
        health = await inside.get("/health/live")
        bulk = await inside.post("/api/messages/send/bulk", content=b"{" + b" " * 23_000_000)

    assert 200 == health.status_code
    # The gateway has read it all before it said what it is.
    assert (400, False) == (bulk.status_code, bulk.json()["success"])


async def test_a_restart_is_not_seen_behind_it(running: Fleet, tmp_path: Path) -> None:
    """
    Two ingresses share a socket, and each is restarted under load: every webhook that Caddy passes on gets its 200.
    """
    outcomes: Counter[int] = Counter()
    stopping = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        running.listen(listening)
        processes = await running.start_all(("ingress",), ("ingress",))
        async with caddy(tmp_path, listening.getsockname()[1], OTHERS) as outside:

            async def post(name: int) -> None:
                number = 0
                while not stopping.is_set():
                    number += 1
                    answer = await outside.post(f"/webhook/avito/{SECRET}", json=event(id=f"{name}-{number}"))
                    outcomes[answer.status_code] += 1

            posting = [asyncio.create_task(post(name)) for name in range(4)]
            for process in processes:
                seen = outcomes.total()
                await eventually(lambda seen=seen: outcomes.total() > seen + 20)  # type: ignore[misc]
                assert 0 == await running.stop(process)
                await running.start("ingress")
            stopping.set()
            await asyncio.gather(*posting)

    assert {200} == set(outcomes), outcomes
