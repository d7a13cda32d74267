"""
The first page: the gates, the queues, and why something waits.
"""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency

from ingress.console.page import Page


@get("/")
async def show(page: NamedDependency[Page]) -> Response[Any]:
    """
    Show the overview.
    """
    return page.render("overview.html")


HANDLERS: Final = [show]
