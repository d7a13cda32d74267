"""
The machine that was measured, in a line.
"""

from __future__ import annotations

import asyncio
import os
import platform
from pathlib import Path


def describe(server_version: str, loop: asyncio.AbstractEventLoop) -> str:
    """
    Return cores, processor, Python, event loop and server, and how busy the machine is before anything is measured.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{cores} cores ({_processor()}), {platform.system()} {platform.machine()},"
        f" {platform.python_implementation()} {platform.python_version()} on {type(loop).__module__.split('.')[0]},"
        f" {server_version} (append-only file on, unix socket), everything on this machine,"
        f" load before {os.getloadavg()[0]:.1f}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "processor not known"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "processor not known"
