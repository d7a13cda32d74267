"""
n8n's community node as npm would publish it, installed as n8n does it.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from tests.e2e_n8n.n8n import ROOT

SOURCE: Final = ROOT / "n8n/node"
NAME: Final = "n8n-nodes-avito-gateway"


def install(user_folder: Path, scratch: Path) -> None:
    """
    Build and pack the node, and unpack it where n8n looks for community nodes of this user folder.
    """
    run("make", "--silent", f"{SOURCE.relative_to(ROOT)}/node_modules/.made", folder=ROOT)
    run("npm", "run", "--silent", "build", folder=SOURCE)
    run("npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(scratch), folder=SOURCE)
    (packed,) = scratch.glob(f"{NAME}-*.tgz")
    modules = user_folder / ".n8n/nodes/node_modules"
    modules.mkdir(parents=True)
    with tarfile.open(packed) as archive:
        archive.extractall(modules, filter="data")
    (modules / "package").rename(modules / NAME)


def run(*words: str, folder: Path) -> None:
    """
    Run a command with the Node.js of the virtual environment; say what it said when it fails.
    """
    environment = {**os.environ, "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"}
    ended = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{' '.join(words)}:\n{ended.stdout}{ended.stderr}"
