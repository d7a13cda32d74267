"""
The program as a service of systemd: the socket it is handed, and what it says about itself (sd_listen_fds(3),
sd_notify(3)). Without systemd nothing here does anything.

The manager that holds the listening socket keeps it open across a restart, so who connects meanwhile waits in its queue
and is not refused.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import Final

from common.errors import SettingsError

FIRST_FD: Final = 3


def handed_socket() -> socket.socket | None:
    """
    Return the listening socket that this process was started with; None without one.

    Raises:

        SettingsError: there are several, or it is no TCP socket that listens.

    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = os.environ.get("LISTEN_FDS", "")
    # What this process starts must not take them for its own.
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    if count != "1":
        raise SettingsError(f"LISTEN_FDS={count}: the ingress listens on one socket; name one ListenStream= for it")
    handed = socket.socket(fileno=FIRST_FD)
    handed.set_inheritable(False)
    is_tcp = handed.family in (socket.AF_INET, socket.AF_INET6) and handed.type == socket.SOCK_STREAM
    if not is_tcp or not handed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        handed.close()
        raise SettingsError("The socket handed over is not TCP, or does not listen: ListenStream= needs a port")
    if handed.proto == 0:
        # With the protocol named, the event loop sends small answers at once (TCP_NODELAY).
        handed = socket.socket(handed.family, handed.type, socket.IPPROTO_TCP, handed.detach())
    return handed


class Manager:
    """
    Who started this process and wants to know how it is.
    """

    def __init__(self) -> None:
        # Taken out, so that what this process starts does not speak for it.
        self._address = os.environ.pop("NOTIFY_SOCKET", None)
        watched = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        lapse_us = os.environ.pop("WATCHDOG_USEC", "")
        self._beat_s = int(lapse_us) / 1_000_000 / 3 if watched and lapse_us.isdecimal() else None

    def ready(self) -> None:
        """
        Say that the work has begun.
        """
        self._tell("READY=1")

    def stopping(self) -> None:
        """
        Say that the end has begun.
        """
        self._tell("STOPPING=1")

    async def assure(self) -> None:
        """
        Say three times a lapse that the event loop turns, for as long as the manager wants to know (WatchdogSec=).
        """
        while self._beat_s is not None:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._beat_s)

    def _tell(self, state: str) -> None:
        if self._address is None:
            return
        # A name that begins with @ is one of Linux' abstract ones. A manager that does not listen changes nothing here.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, suppress(OSError):
            told.connect(address)
            told.send(state.encode())
