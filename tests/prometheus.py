"""
Prometheus' own tool, where it is installed: `promtool` of Debian's package `prometheus`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROMTOOL = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool here: apt-get install prometheus")


def promtool(*arguments: str, given: str | None = None, folder: Path | None = None) -> str:
    """
    Run it and return what it prints; fails the test where it finds fault.
    """
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *arguments], input=given, capture_output=True, text=True, check=False, cwd=folder, timeout=60
    )
    assert done.returncode == 0, f"promtool {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
