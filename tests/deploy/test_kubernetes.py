"""
The Kubernetes manifests: valid by Kubernetes' own schemas, shut in, and fit for the program.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from common.metrics import FAMILIES
from common.settings import Settings, load
from gateway.program import ROLES
from tests.fleet import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
# The oldest one that is still cared for, and the newest that the schemas know.
VERSIONS = ["1.33", kubernetes_validate.latest_version()]


def listed(folder: Path) -> Iterator[Path]:
    """
    Give the files of a kustomization and of those it builds on.
    """
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    for name in [*kustomization.get("resources", ()), *kustomization.get("components", ())]:
        path = (folder / name).resolve()
        if path.is_dir():
            yield from listed(path)
        else:
            yield path


def resources() -> list[dict[str, Any]]:
    """
    Return every resource of the example.
    """
    texts = (path.read_text(encoding="utf-8") for path in listed(FOLDER / "example"))
    return [resource for text in texts for resource in yaml.safe_load_all(text)]


def workloads() -> dict[str, dict[str, Any]]:
    """
    Return the pods' specifications by role.
    """
    found = (one for one in resources() if one["kind"] == "Deployment")
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"] for one in found}


@pytest.mark.parametrize("version", VERSIONS)
def test_resources_are_valid(version: str) -> None:
    """
    Every resource is what the schema of its kind says, with no field that nobody knows.
    """
    kinds = []
    for resource in resources():
        kubernetes_validate.validate(resource, version, strict=True)
        kinds.append(resource["kind"])

    assert {
        "Deployment": 3,
        "PodDisruptionBudget": 3,
        "HorizontalPodAutoscaler": 2,
        "Service": 1,
        "Ingress": 1,
    }.items() <= {kind: kinds.count(kind) for kind in kinds}.items()


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed here")
def test_the_example_is_rendered() -> None:
    """
    `kubectl kustomize` puts the example together, with the image and the settings of its own, and all of it is valid.
    """
    done = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER / "example")], capture_output=True, text=True, check=False, timeout=60
    )
    assert 0 == done.returncode, done.stderr
    rendered = list(yaml.safe_load_all(done.stdout))
    for resource in rendered:
        kubernetes_validate.validate(resource, VERSIONS[-1], strict=True)
    pods = [one["spec"]["template"]["spec"] for one in rendered if one["kind"] == "Deployment"]

    assert {"registry.example.com/avito-gateway:0.1.0"} == {pod["containers"][0]["image"] for pod in pods}
    assert len(rendered) == len(resources()) + 2


def test_every_role_runs() -> None:
    """
    There is a deployment for each role, and it runs that role.
    """
    assert {role: ["run", role] for role in ROLES} == {
        role: spec["template"]["spec"]["containers"][0]["args"] for role, spec in workloads().items()
    }


@pytest.mark.parametrize("role", ROLES)
def test_pods_are_shut_in_and_end_late(role: str) -> None:
    """
    No root, no rights, nothing to write to but /tmp; killed only when SHUTDOWN_GRACE is over.
    """
    spec = workloads()[role]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    pause = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])

    assert pod["securityContext"]["runAsNonRoot"]
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == container["securityContext"]
    assert 0 == spec["strategy"]["rollingUpdate"]["maxUnavailable"]
    assert pod["terminationGracePeriodSeconds"] > float(pause[1]) + load(None).shutdown_grace + 5


def test_settings_of_the_example_are_known() -> None:
    """
    Every name in the example's settings and secrets is a setting.
    """
    lines = [
        line
        for name in ("settings.env", "secrets.env")
        for line in (FOLDER / "example" / name).read_text(encoding="utf-8").splitlines()
    ]
    given = dict(line.split("=", 1) for line in lines)

    assert {name.lower() for name in given} <= set(Settings.model_fields)
    assert load(None, **{name.lower(): value for name, value in given.items()}).avito_user_id == "12345678"


def test_autoscaling_asks_for_a_metric_that_exists() -> None:
    """
    The autoscalers ask for a metric that the adapter makes of one that /metrics has, by labels that it has.
    """
    adapter = yaml.safe_load((FOLDER / "autoscaling" / "prometheus-adapter.yaml").read_text(encoding="utf-8"))
    made = {rule["name"]["as"] for rule in adapter["rules"]["external"]}
    asked = [
        metric["external"]["metric"]
        for one in resources()
        if one["kind"] == "HorizontalPodAutoscaler"
        for metric in one["spec"]["metrics"]
    ]

    assert made == {one["name"] for one in asked}
    for one in asked:
        assert set(one["selector"]["matchLabels"]) <= set(FAMILIES[one["name"]].labels)
