"""
Connections to Redis, and the one place where redis-py's errors get a meaning (R1, R3, R8).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.typing import EncodableT

from common.errors import GatewayError, GroupLost, RedisAway, RedisMisuse, RedisRefused, RoleChanged, SettingsError

BLOCK_S: Final = 5.0
TIMEOUT_S: Final = 1.0

_ROLE_WORDS: Final = ("READONLY", "MASTERDOWN")
_AWAY_WORDS: Final = ("LOADING", "CLUSTERDOWN", "BUSY", "TRYAGAIN")
_REFUSED_WORDS: Final = ("OOM", "MISCONF", "NOREPLICAS")


@dataclass(frozen=True, slots=True)
class Connections:
    """
    Two clients of one server: `commands` with short timeouts, `blocking` for XREAD BLOCK and subscriptions alone.

    Neither repeats a command by itself (R1): a repeated take would hand out a second entry.
    """

    commands: Redis
    blocking: Redis

    async def drop(self) -> None:
        """
        Close the idle connections, as after a role change: behind a plain name they go on to the old server (R48).
        """
        for client in (self.commands, self.blocking):
            await client.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        """
        Close both clients.
        """
        await self.commands.aclose()
        await self.blocking.aclose()


def connect(url: str, *, timeout_s: float = TIMEOUT_S) -> Connections:
    """
    Make the clients for `redis://`, `rediss://`, `unix://` or `redis+sentinel://host:port,host:port/service[/db]`.

    Nothing is sent before the first command.
    """
    return Connections(
        commands=_client(url, timeout_s=timeout_s, connect_s=timeout_s),
        blocking=_client(url, timeout_s=BLOCK_S + 5.0, connect_s=timeout_s),
    )


def _client(url: str, *, timeout_s: float, connect_s: float) -> Redis:
    options: dict[str, Any] = {
        "decode_responses": True,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout_s,
        "socket_connect_timeout": connect_s,
        "health_check_interval": 0,
        "protocol": 2,
    }
    if urlsplit(url).scheme == "redis+sentinel":
        return _sentinel_client(url, options)
    named: dict[str, Any] = dict(parse_url(url))
    options["connection_class"] = _PACKED[named.pop("connection_class", Connection)]
    if urlsplit(url).scheme == "unix":
        options.pop("socket_connect_timeout")
    return Redis.from_pool(ConnectionPool(**options | named))


def _sentinel_client(url: str, options: dict[str, Any]) -> Redis:
    parts = urlsplit(url)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    service, _, db = parts.path.strip("/").partition("/")
    if not service:
        raise SettingsError(f"REDIS_URL={url}: the service's name is missing: redis+sentinel://host:port/service")
    sentinels = []
    for host in hosts.split(","):
        name, _, port = host.partition(":")
        sentinels.append((name, int(port or 26379)))
    username, _, password = userinfo.partition(":")
    if userinfo:
        options |= {"username": unquote(username) or None, "password": unquote(password) or None}
    asked = {
        "socket_timeout": options["socket_connect_timeout"],
        "socket_connect_timeout": options["socket_connect_timeout"],
        "password": parse_qs(parts.query).get("sentinel_password", [None])[0],
    }
    sentinel = Sentinel(sentinels, sentinel_kwargs=asked, **options)  # type: ignore[no-untyped-call]
    client: Redis = sentinel.master_for(service, db=int(db or 0))
    return client


class _Packed(AbstractConnection):
    """
    Packs commands in C, as redis-py does for its synchronous clients: the other way costs a third of a webhook.

    It closes itself when the server says that it is a replica: behind a name that leads elsewhere now, whoever uses
    it would hear the same for ever (R48).
    """

    _packer: Final = HiredisRespSerializer()

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        return self._packer.pack(*args)  # type: ignore[no-any-return,arg-type]

    def pack_commands(self, commands: Iterable[Iterable[EncodableT]]) -> list[bytes]:
        return [b"".join(piece for command in commands for piece in self.pack_command(*command))]

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except (exceptions.ReadOnlyError, exceptions.MasterDownError):
            await self.disconnect(nowait=True)
            raise


class _PackedConnection(_Packed, Connection):
    pass


class _PackedSSLConnection(_Packed, SSLConnection):
    pass


class _PackedUnixConnection(_Packed, UnixDomainSocketConnection):
    pass


_PACKED: Final[dict[type, type]] = {
    Connection: _PackedConnection,
    SSLConnection: _PackedSSLConnection,
    UnixDomainSocketConnection: _PackedUnixConnection,
}


@contextmanager
def mapped() -> Iterator[None]:
    """
    Turn redis-py's exceptions into those of `common.errors`.
    """
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        raise meaning(error) from error


def meaning(error: Exception) -> GatewayError:
    """
    Say what an exception of redis-py, or an error reply in a pipeline, means: by class, else by its first word (R8).
    """
    text = str(error)
    word = text.split(" ", 1)[0].rstrip(":")
    if isinstance(error, exceptions.ReadOnlyError | exceptions.MasterDownError) or word in _ROLE_WORDS:
        return RoleChanged(f"this Redis is a replica now: {text}")
    if isinstance(error, exceptions.OutOfMemoryError) or word in _REFUSED_WORDS:
        return RedisRefused(f"Redis refuses writes: {text}")
    if word == "NOGROUP":
        return GroupLost(text)
    if word == "UNBLOCKED":
        # Both mean that the read ended under us: the stream was deleted, or the server changed its role.
        return GroupLost(text) if "key" in text else RoleChanged(text)
    auth = (exceptions.AuthenticationError, exceptions.AuthenticationWrongNumberOfArgsError)
    if isinstance(error, auth) or word in ("NOAUTH", "WRONGPASS", "NOPERM"):
        return RedisMisuse(f"Redis refuses the password or user of REDIS_URL: {text}")
    if isinstance(error, exceptions.BusyLoadingError) or word in _AWAY_WORDS:
        return RedisAway(f"Redis is not ready: {text}")
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError | OSError):
        return RedisAway(f"Redis does not answer: {text or type(error).__name__}")
    return RedisMisuse(f"Redis refuses a command: {text}")
