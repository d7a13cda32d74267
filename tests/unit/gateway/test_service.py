"""
The socket that a service manager hands over, and what it is told.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from gateway.service import Manager, handed_socket
from tests.fleet import HAND_OVER, ROOT, Notices
from tests.harness import eventually

TAKE = """
from common.errors import SettingsError
from gateway.service import handed_socket
import os
try:
    taken = handed_socket()
    print(taken.getsockname()[1], taken.proto, taken.get_inheritable(), sorted(k for k in os.environ if "LISTEN" in k))
except SettingsError as error:
    print(error)
"""


def taken(handed: socket.socket) -> str:
    """
    Return what a process says that is handed a socket.
    """
    done = subprocess.run(
        [sys.executable, "-c", HAND_OVER, str(handed.fileno()), "-c", TAKE],
        env={"PYTHONPATH": str(ROOT)},
        pass_fds=[handed.fileno()],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


def test_a_listening_socket_is_taken() -> None:
    """
    The socket is used as it is, sends small answers at once, and is not passed on to what this process starts.
    """
    with socket.create_server(("127.0.0.1", 0)) as handed:
        port = handed.getsockname()[1]

        assert f"{port} {socket.IPPROTO_TCP} False []" == taken(handed)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_what_cannot_be_listened_on_is_refused(kind: socket.SocketKind) -> None:
    """
    A socket that does not listen, or is not TCP, stops the start with one line.
    """
    with socket.socket(socket.AF_INET, kind) as handed:
        handed.bind(("127.0.0.1", 0))

        assert "ListenStream= needs a port" in taken(handed)


def test_several_sockets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Which of several would be listened on is not guessed.
    """
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")

    with pytest.raises(Exception, match="LISTEN_FDS=2: the ingress listens on one socket"):
        handed_socket()


def test_a_socket_of_another_process_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What was meant for the parent is left alone.
    """
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    monkeypatch.setenv("LISTEN_FDS", "1")

    assert handed_socket() is None


async def test_the_manager_hears_that_the_loop_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Start, end and, where a watchdog is asked for, signs of life go to the manager; children do not inherit its address.
    """
    with Notices() as told:
        monkeypatch.setenv("NOTIFY_SOCKET", told.address)
        monkeypatch.setenv("WATCHDOG_USEC", "30000")
        manager = Manager()
        assert {"NOTIFY_SOCKET", "WATCHDOG_USEC"}.isdisjoint(os.environ)
        manager.ready()
        watching = asyncio.create_task(manager.assure())
        await eventually(lambda: told.count("WATCHDOG=1") > 2)
        watching.cancel()
        manager.stopping()

        assert (1, 1) == (told.count("READY=1"), told.count("STOPPING=1"))


async def test_without_a_manager_nothing_is_told() -> None:
    """
    Without systemd there is nobody to tell, and nothing is kept running.
    """
    manager = Manager()
    manager.ready()
    await asyncio.wait_for(manager.assure(), 1)
