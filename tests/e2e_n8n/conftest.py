"""
One real n8n for the whole suite, and a gateway with a sandbox for each test.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from common.queue.connection import Connections
from sandbox import Options, Sandbox
from tests.chaos.proxy import Proxy
from tests.e2e_n8n import node_package
from tests.e2e_n8n.n8n import ROOT, N8n, installation, is_installed
from tests.e2e_n8n.neighbours import Neighbours
from tests.e2e_n8n.stage import API_KEY, SIGNING_SECRET, Stage
from tests.fleet import fleet, free_port

WORKFLOWS: Final = ROOT / "n8n/workflows"
FAST: Final = {
    "RATE_LIMIT_REQUESTS": "1000",
    "RATE_LIMIT_WINDOW": "1",
    "RETRY_MIN_WAIT": "0.05",
    "RETRY_MAX_WAIT": "0.2",
    "FORWARD_RETRY_MIN": "0.5",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Everything in this folder needs n8n, whose setup counts as part of the first test.
    """
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.n8n)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(name="installed", scope="session")
def _installed() -> Path:
    folder = installation()
    if not is_installed(folder):
        pytest.skip(
            f"n8n is not installed in {folder}: `make n8n` does it (6 minutes, 3 GB), N8N_DIR names another folder"
        )
    return folder


@pytest.fixture(name="ports", scope="session")
def _ports() -> dict[str, int]:
    """
    Ports that the imported workflows know, so that they stay from test to test.
    """
    return {name: free_port() for name in ("gateway", "neighbours")}


@pytest.fixture(name="n8n", scope="session")
def _n8n(installed: Path, ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[N8n]:
    folder = tmp_path_factory.mktemp("n8n")
    n8n = N8n(installed, folder)
    node_package.install(folder, tmp_path_factory.mktemp("package"))
    adapted = folder / "workflows"
    adapted.mkdir()
    for path in [*WORKFLOWS.glob("*.json"), *node_package.SOURCE.glob("e2e/*.json")]:
        text = path.read_text(encoding="utf-8")
        for named, used in (
            ("http://gateway:8765", f"http://127.0.0.1:{ports['gateway']}"),
            ("https://alerts.example.com/hook", f"http://127.0.0.1:{ports['neighbours']}/hook"),
            ("whsec_REPLACE_ME", SIGNING_SECRET),
            # Nobody wants to wait a minute for the next look.
            ('"field": "minutes"', '"field": "seconds"'),
            ('"minutesInterval": 1', '"secondsInterval": 5'),
        ):
            text = text.replace(named, used)
        (adapted / path.name).write_text(text, encoding="utf-8")
    credentials = folder / "credentials.json"
    credentials.write_text(json.dumps(_credentials(ports)), encoding="utf-8")
    n8n.command("import:credentials", f"--input={credentials}")
    n8n.command("import:workflow", "--separate", f"--input={adapted}")
    n8n.start()
    try:
        n8n.set_up_owner()
        yield n8n
    finally:
        n8n.stop()


def _credentials(ports: dict[str, int]) -> list[dict[str, object]]:
    key = {"name": "X-API-Key", "value": API_KEY}
    node = {
        "baseUrl": f"http://127.0.0.1:{ports['gateway']}",
        "apiKey": API_KEY,
        "signingSecret": SIGNING_SECRET,
    }
    model = {"apiKey": "none", "url": f"http://127.0.0.1:{ports['neighbours']}/v1"}
    return [
        {"id": "avito-gateway", "name": "Avito gateway", "type": "httpHeaderAuth", "data": key},
        {"id": "avito-gateway-api", "name": "Avito Gateway", "type": "avitoGatewayApi", "data": node},
        {"id": "openai", "name": "OpenAI", "type": "openAiApi", "data": model},
    ]


@pytest_asyncio.fixture(name="stage")
async def _stage(
    n8n: N8n, ports: dict[str, int], connections: Connections, redis_url: str, tmp_path: Path
) -> AsyncIterator[Stage]:
    settings = {
        **FAST,
        "API_KEY": API_KEY,
        "N8N_WEBHOOK_URL": f"{n8n.url}/webhook/avito",
        "N8N_WEBHOOK_SECRET": SIGNING_SECRET,
    }
    async with (
        Sandbox.start(Options(chats=10)) as sandbox,
        fleet(connections, redis_url, sandbox, tmp_path, **settings) as gateway,
        Proxy.start("127.0.0.1", gateway.port, listen=ports["gateway"]) as proxy,
    ):
        await gateway.start("ingress", "dispatcher", "forwarder")
        sandbox.avito.webhooks.subscribe(sandbox.avito.default_user_id, f"{gateway.url}/webhook/avito")
        yield Stage(n8n, sandbox, gateway, proxy, await n8n.last_execution())


@pytest_asyncio.fixture(name="neighbours")
async def _neighbours(ports: dict[str, int]) -> AsyncIterator[Neighbours]:
    async with Neighbours.start(ports["neighbours"]) as neighbours:
        yield neighbours
