"""
What the console brings with it: htmx as it was published, files that are in the wheel, and nothing from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
CONSOLE = ROOT / "ingress/console"
HTMX_VERSION = "2.0.11"
# Of dist/htmx.min.js in the npm package htmx.org, whose integrity there is
# sha512-Thx/WtpeOQqSrqBCw/A1cwGJGg4UrVa3+sW0GmrM3p4gJgO89ecH4qtbnyzDDWFvBTqjnIMCgELTNt636dtamA==
HTMX_INTEGRITY = "sha384-2OatzQy1H+Zd/IIrjr1TcuDGqLXeHhbooAyJY1KdQMKnr4LZ22k31GBLdYKHmVjg"


def test_htmx_is_what_was_published() -> None:
    """
    The vendored file is that of the pinned version, unchanged, with its licence beside it.
    """
    content = (CONSOLE / "assets/htmx.min.js").read_bytes()

    assert HTMX_INTEGRITY == "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()
    assert f'version:"{HTMX_VERSION}"'.encode() in content
    assert "Zero-Clause BSD" in (CONSOLE / "assets/htmx.LICENSE").read_text(encoding="utf-8")


def test_no_page_needs_another_host() -> None:
    """
    Templates, style and script name no address but the console's own.
    """
    files = [*CONSOLE.glob("templates/*.html"), CONSOLE / "assets/console.css", CONSOLE / "assets/console.js"]

    assert [] == [
        path.name for path in files if re.search(r"""(?:https?:)?//[\w-]+\.\w""", path.read_text(encoding="utf-8"))
    ]


def test_the_wheel_has_templates_and_assets(tmp_path: Path) -> None:
    """
    Whoever installs the package gets the whole console.
    """
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as built:
        packed = {name for name in built.namelist() if name.startswith("ingress/console/")}
    lying = {
        str(path.relative_to(ROOT)) for path in CONSOLE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }

    assert lying == packed
