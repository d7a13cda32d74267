"""
The installed version.
"""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """
    Return the version of the installed package; `unknown` when it runs from a bare checkout.
    """
    try:
        return metadata.version("avito-gateway")
    except metadata.PackageNotFoundError:
        return "unknown"
