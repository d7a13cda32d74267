"""
The systemd units: they are understood, shut in, and end later than the program.
"""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from common.settings import load
from gateway.program import ROLES
from tests.fleet import ROOT

UNITS = ROOT / "deploy" / "systemd"
SERVICES = ["avito-gateway.service", *(f"avito-gateway-{role}@1.service" for role in ROLES)]
SOCKETS = ["avito-gateway.socket", "avito-gateway-ingress.socket"]
# Of 10: 10 is a service that may do anything. What is left is the network and the files it may read.
EXPOSURE = 1.5

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")


def service(name: str) -> dict[str, str]:
    """
    Return a unit's [Service] with what is common to all, as systemd reads them together.
    """
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read([UNITS / name.replace("@1", "@"), UNITS / "avito-gateway-.service.d" / "common.conf"])
    return dict(parser["Service"])


@pytest.fixture(name="installed")
def _installed(tmp_path: Path) -> Path:
    """
    The units with a program that is there, as on a machine where it is installed.
    """
    program = tmp_path / "avito-gateway"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    for unit in folder.glob("*.service"):
        if unit.is_file():
            text = unit.read_text(encoding="utf-8")
            unit.write_text(
                re.sub(r"^ExecStart=\S+", f"ExecStart={program}", text, flags=re.MULTILINE), encoding="utf-8"
            )
    return folder


@needs_systemd
@pytest.mark.parametrize("name", [*SERVICES, *SOCKETS])
def test_the_units_are_understood(name: str, installed: Path) -> None:
    """
    `systemd-analyze verify` has nothing to say.
    """
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"./{name}"],
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_the_services_are_shut_in(name: str, installed: Path) -> None:
    """
    `systemd-analyze security` finds little that they could do beyond their work.
    """
    threshold = f"--threshold={round(EXPOSURE * 10)}"
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", threshold, f"./{name}"],
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert "Overall exposure level" in done.stdout
    assert 0 == done.returncode, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_the_manager_waits_longer_than_the_program(name: str) -> None:
    """
    SHUTDOWN_GRACE is over before systemd kills.
    """
    assert float(service(name)["TimeoutStopSec"]) > load(None).shutdown_grace + 5


def test_the_common_part_is_found_by_systemd() -> None:
    """
    The unit without a dash in its name has the common drop-in as well, in a folder: systemd follows no link to one.
    """
    common = UNITS / "avito-gateway-.service.d" / "common.conf"
    folder = UNITS / "avito-gateway.service.d"

    assert not folder.is_symlink()
    assert [common.resolve()] == [path.resolve() for path in folder.iterdir()]


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_runs_its_role(name: str) -> None:
    """
    The template's name is the role that its instances run; one unit runs all of them.
    """
    role = name.removeprefix("avito-gateway").removeprefix("-").partition("@")[0]

    assert service(name)["ExecStart"].endswith("run %j" if role in ROLES else "run")
