"""
Signals: the first asks to stop, the second insists.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

INSIST_S: Final = 3.0
_STOPPING = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """
    Set by the first SIGTERM or SIGINT. The second one cancels the task that installed it, the third ends the process.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.insisted = False
        self._task: asyncio.Task[object] | None = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """
        Listen for signals in the running loop, on behalf of the current task.
        """
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        for number in _STOPPING:
            loop.add_signal_handler(number, self._on_signal)
        try:
            yield
        finally:
            for number in _STOPPING:
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        if not self.asked.is_set():
            self.asked.set()
            return
        self.insisted = True
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        # A role that does not let itself be cancelled must not keep the person waiting. A store that is left
        # running then is used on by the next start.
        loop.call_later(INSIST_S, os._exit, 1)
        if self._task is not None:
            self._task.cancel()
