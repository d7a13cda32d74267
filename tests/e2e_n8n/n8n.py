"""
A real n8n of the suite's own: its command line, its process, and what of its REST API the tests need.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx

from tests.fleet import free_port
from tests.harness import eventually

ROOT: Final = Path(__file__).resolve().parents[2]
START_S: Final = 120.0
STOP_S: Final = 30.0
OWNER: Final = {
    "email": "owner@example.com",
    "firstName": "Olga",
    "lastName": "Owner",
    "password": "A-password-0",
}


def installation() -> Path:
    """
    Return where n8n is installed, or would be: `N8N_DIR`, else `.n8n` in the checkout.
    """
    return Path(os.environ.get("N8N_DIR") or ROOT / ".n8n").resolve()


def is_installed(folder: Path) -> bool:
    """
    Say whether `make n8n` has finished there.
    """
    return (folder / "bin/node").exists() and (folder / "node_modules/n8n/bin/n8n").exists()


class N8n:
    """
    One n8n with a user folder of its own; a restart keeps port and data.

    Its command line and its process are waited for in place: from a test, start and end it in a thread.
    """

    def __init__(self, installed: Path, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._node = installed / "bin/node"
        self._program = installed / "node_modules/n8n/bin/n8n"
        self._log = folder / "n8n.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._cookies: dict[str, str] = {}
        self._environment = {
            "PATH": f"{installed / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "N8N_USER_FOLDER": str(folder),
            "N8N_PORT": str(self.port),
            "N8N_LISTEN_ADDRESS": "127.0.0.1",
            "N8N_RUNNERS_BROKER_PORT": str(free_port()),
            "WEBHOOK_URL": f"{self.url}/",
            "N8N_SECURE_COOKIE": "false",
            "N8N_DIAGNOSTICS_ENABLED": "false",
            "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
            "N8N_TEMPLATES_ENABLED": "false",
            "N8N_PERSONALIZATION_ENABLED": "false",
        }

    @property
    def log(self) -> str:
        """
        Return what n8n has written.
        """
        return self._log.read_text(encoding="utf-8", errors="replace")

    def command(self, *words: str) -> None:
        """
        Run n8n's command line; n8n itself must be stopped.
        """
        with self._log.open("ab") as log:
            line = [str(self._node), str(self._program), *words]
            ended = subprocess.run(line, env=self._environment, stdout=log, stderr=log, check=False)
        assert ended.returncode == 0, f"n8n {' '.join(words)} failed:\n{self.log}"

    def start(self) -> None:
        """
        Start it and wait until it is ready; published workflows are active then.
        """
        with self._log.open("ab") as log:
            # A session of its own, so that the task runner can be ended together with it.
            self._process = subprocess.Popen(
                [self._node, self._program, "start"],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        begun_s = time.monotonic()
        while not self._is_ready():
            assert self._process.poll() is None, f"n8n ended:\n{self.log}"
            assert time.monotonic() - begun_s < START_S, f"n8n is not ready:\n{self.log}"
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz/readiness", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """
        End it as `kill -9` does: nothing is finished and nothing is said.
        """
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """
        End it, if it runs.
        """
        if self._process is not None and self._process.poll() is None:
            self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process = self._process
        assert process is not None
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        finally:
            # What it has left behind: the task runner, or itself when it does not stop.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def set_up_owner(self) -> None:
        """
        Create the owner's account, which logs in.
        """
        answer = httpx.post(f"{self.url}/rest/owner/setup", json=OWNER, trust_env=False, timeout=30.0)
        assert answer.is_success, answer.text
        self._cookies = dict(answer.cookies)

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """
        Call the REST API as the owner and return `data` of its answer.
        """
        async with httpx.AsyncClient(base_url=f"{self.url}/rest", cookies=self._cookies, trust_env=False) as client:
            answer = await client.request(method, path, json=body, timeout=30.0)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()["data"]

    async def publish(self, workflow_id: str) -> None:
        """
        Activate a workflow as the button does, and wait until its addresses are there: n8n answers before they are.
        """
        workflow = await self.call("GET", f"/workflows/{workflow_id}")
        await self.call("POST", f"/workflows/{workflow_id}/activate", {"versionId": workflow["versionId"]})
        for address in addresses(workflow):
            await eventually(partial(self._is_there, address))

    async def unpublish(self, workflow_id: str) -> None:
        """
        Deactivate it, and wait until its addresses are free.
        """
        workflow = await self.call("POST", f"/workflows/{workflow_id}/deactivate", {})

        async def gone(address: str) -> bool:
            return not await self._is_there(address)

        for address in addresses(workflow):
            await eventually(partial(gone, address))

    async def _is_there(self, address: str) -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.url}/{address}")
        # A webhook that takes POST alone says so to a GET; one that is not registered knows no other method.
        return answer.is_success or "Did you mean to make a POST request?" in answer.text

    @asynccontextmanager
    async def published(self, *workflow_ids: str) -> AsyncIterator[None]:
        """
        Keep workflows active until the block ends.
        """
        for workflow_id in workflow_ids:
            await self.publish(workflow_id)
        try:
            yield
        finally:
            for workflow_id in workflow_ids:
                await self.unpublish(workflow_id)

    async def executions(self, workflow_id: str) -> list[dict[str, Any]]:
        """
        Return the workflow's executions of all tests, the latest first: `id`, `status` and more.
        """
        listed = await self.call("GET", f"/executions?filter={json.dumps({'workflowId': workflow_id})}")
        found: list[dict[str, Any]] = listed["results"]
        return found

    async def last_execution(self) -> int:
        """
        Return the id of the latest execution, 0 before the first.
        """
        listed = await self.call("GET", "/executions")
        return max((int(run["id"]) for run in listed["results"]), default=0)

    async def run_of(self, execution_id: str) -> Mapping[str, Any]:
        """
        Return what each node of an execution gave out first, by the node's name.
        """
        execution = await self.call("GET", f"/executions/{execution_id}")
        runs = unflatted(execution["data"])["resultData"]["runData"]
        return {name: _first_item(run[-1]) for name, run in runs.items()}


def addresses(workflow: Mapping[str, Any]) -> list[str]:
    """
    Return the production addresses of a workflow's triggers, without the host.
    """
    found = []
    for node in workflow["nodes"]:
        match node["type"]:
            case "n8n-nodes-base.webhook" | "n8n-nodes-avito-gateway.avitoGatewayTrigger":
                found.append(f"webhook/{node['parameters']['path']}")
            case "n8n-nodes-base.formTrigger":
                found.append(f"form/{node['parameters']['options']['path']}")
    return found


def _first_item(run: Mapping[str, Any]) -> Any:
    outputs = (run.get("data") or {}).get("main") or []
    return next((output[0]["json"] for output in outputs if output), None)


def unflatted(text: str) -> Any:
    """
    Read n8n's stored execution: a JSON list whose texts are in truth places in that list (the npm package `flatted`).
    """
    values = json.loads(text)

    def read(place: str) -> Any:
        value = values[int(place)]
        if isinstance(value, dict):
            return {name: read(part) if isinstance(part, str) else part for name, part in value.items()}
        if isinstance(value, list):
            return [read(part) if isinstance(part, str) else part for part in value]
        return value

    return read("0")
