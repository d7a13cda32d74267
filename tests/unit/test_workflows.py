"""
The workflows to import: what n8n, the gateway and a person who opens them need. `make e2e-n8n` runs them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "n8n/workflows"
FILES = sorted(FOLDER.glob("*.json"))

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    """
    Return a workflow.
    """
    workflow: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return workflow


def sends(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the nodes that post to the gateway.
    """
    return [
        node
        for node in workflow["nodes"]
        if node["type"] == "n8n-nodes-base.httpRequest" and "/api/messages/" in node["parameters"]["url"]
    ]


@each_file
def test_a_workflow_can_be_imported_by_its_id_and_wires_only_what_is_there(path: Path) -> None:
    """
    It has an id of its own and a name, each node one name, and every wire begins and ends at a node.
    """
    workflow = read(path)
    names = [node["name"] for node in workflow["nodes"]]
    ends = {
        end["node"]
        for outputs in workflow["connections"].values()
        for wires in outputs.values()
        for output in wires
        for end in output
    }

    assert f"avito-{path.stem}" == workflow["id"]
    assert len(names) == len(set(names))
    assert ends | set(workflow["connections"]) <= set(names)


@each_file
def test_a_workflow_asks_for_the_same_credential_and_address_and_holds_no_secret(path: Path) -> None:
    """
    Calls of the gateway use the Header Auth credential "Avito gateway" and one address that can be replaced.
    """
    nodes = [node for node in read(path)["nodes"] if "gateway:8765" in node["parameters"].get("url", "")]

    assert nodes
    for node in nodes:
        assert node["parameters"]["url"].startswith("http://gateway:8765/")
        assert {"httpHeaderAuth": {"id": "avito-gateway", "name": "Avito gateway"}} == node["credentials"]
    assert set() == set(re.findall(r"whsec_\w+", path.read_text(encoding="utf-8"))) - {"whsec_REPLACE_ME"}


@each_file
def test_every_send_can_be_repeated(path: Path) -> None:
    """
    Sends have an Idempotency-Key, no two the same one, and Retry On Fail.
    """
    keys = []
    for node in sends(read(path)):
        headers = {row["name"]: row["value"] for row in node["parameters"]["headerParameters"]["parameters"]}
        keys.append(headers["Idempotency-Key"])
        assert node["retryOnFail"]
        assert re.search(r"webhook-id|\$execution\.id", keys[-1])

    assert len(keys) == len(set(keys))


@each_file
def test_the_gateways_webhook_is_answered_last_on_every_way(path: Path) -> None:
    """
    Whoever takes the gateway's messages does so at POST `avito`, and every way through ends in an answer or an error.
    """
    workflow = read(path)
    starts = [node for node in workflow["nodes"] if node["parameters"].get("path") == "avito"]
    kinds = {node["name"]: node["type"] for node in workflow["nodes"]}
    for start in starts:
        assert ("POST", "responseNode") == (start["parameters"]["httpMethod"], start["parameters"]["responseMode"])
        reached, ahead = set[str](), [start["name"]]
        while ahead:
            name = ahead.pop()
            reached.add(name)
            outputs = workflow["connections"].get(name, {}).get("main", [])
            assert all(outputs), f"{name} has a way that leads nowhere"
            ahead += [end["node"] for output in outputs for end in output if end["node"] not in reached]
        ends = {kinds[name] for name in reached if name not in workflow["connections"]}
        assert ends <= {"n8n-nodes-base.respondToWebhook", "n8n-nodes-base.stopAndError"}

    assert path.stem in {"bulk", "dead-letters", "wait"} or starts


def test_the_readme_shows_each_workflow() -> None:
    """
    The folder's README links every file and shows its picture.
    """
    text = (FOLDER / "README.md").read_text(encoding="utf-8")

    assert 7 == len(FILES)
    for path in FILES:
        assert f"[{path.name}]({path.name})" in text
        assert f"(pictures/{path.stem}.png)" in text
        assert (FOLDER / f"pictures/{path.stem}.png").stat().st_size < 150_000
