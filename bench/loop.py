"""
The event loop that the program runs on: uvloop where there is one.
"""

from __future__ import annotations

import asyncio

from uvicorn import Config


def new_runner() -> asyncio.Runner:
    """
    Return a runner with the program's choice of loop.
    """
    return asyncio.Runner(loop_factory=Config(app="", log_config=None).get_loop_factory())
