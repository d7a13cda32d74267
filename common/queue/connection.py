"""
Connections to Redis, and the one place where redis-py's errors get a meaning (R1, R3, R8).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast
from urllib.parse import parse_qs, unquote, urlsplit

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import Connection, ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.crc import key_slot

from common.errors import GatewayError, GroupLost, RedisAway, RedisMisuse, RedisRefused, RoleChanged, SettingsError
from common.queue.packed import PACKED, PackedConnection, PackedSentinelConnection

BLOCK_S: Final = 5.0
TIMEOUT_S: Final = 1.0

REDIS_ERRORS: Final = (exceptions.RedisError, exceptions.RedisClusterException, OSError)

_ROLE_WORDS: Final = ("READONLY", "MASTERDOWN")
_AWAY_WORDS: Final = ("LOADING", "CLUSTERDOWN", "BUSY", "TRYAGAIN")
_REFUSED_WORDS: Final = ("OOM", "MISCONF", "NOREPLICAS")
# redis-py refuses the hundred and first command at once. So many there are where many accounts begin together.
_MOST_CONNECTIONS: Final = 2**31


@dataclass(frozen=True, slots=True)
class Line:
    """
    A client with one connection of its own for reads that block up to `block_s`, and what ends one early (CLIENT
    UNBLOCK).
    """

    client: Redis
    unblock: Callable[[int], Awaitable[Any]]
    block_s: float


@dataclass(frozen=True, slots=True)
class Connections:
    """
    Two clients of one server: `commands` with short timeouts, `blocking` for XREAD BLOCK and subscriptions alone.

    Neither repeats a command by itself (R1): a repeated take would hand out a second entry.
    """

    commands: Redis
    blocking: Redis

    takes_scripts_in_pipelines: ClassVar[bool] = True

    def place(self, key: str) -> int:  # noqa: ARG002 - one server holds all keys
        """
        Say where a key lies: only keys of one place can share a command.
        """
        return 0

    async def line(self, key: str, block_s: float) -> Line:  # noqa: ARG002 - likewise
        """
        Return a line to the server that holds `key`; close its client after use. One is enough, so it blocks no longer
        than 5 s however long it might.
        """
        return Line(self.blocking.client(), self.commands.client_unblock, min(block_s, BLOCK_S))

    @asynccontextmanager
    async def primaries(self) -> AsyncIterator[Sequence[Redis]]:
        """
        Give a client for each server that takes writes.
        """
        yield [self.commands]

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
        for client in (self.commands, self.blocking):
            pool = client.connection_pool
            await client.aclose()
            if isinstance(pool, SentinelConnectionPool):
                for sentinel in pool.sentinel_manager.sentinels:
                    await sentinel.aclose()


class ClusterConnections(Connections):
    """
    The same for a Redis Cluster. Only keys of one slot share a command, and no command needs more: an account's keys
    carry its tag (R47).

    MOVED and ASK are followed, for nothing had run; a slot that is being moved waits as for an outage (TRYAGAIN).
    """

    __slots__ = ()

    # redis-py's cluster client refuses EVALSHA there.
    takes_scripts_in_pipelines: ClassVar[bool] = False

    def place(self, key: str) -> int:
        """
        Return the key's slot.
        """
        return key_slot(key.encode())

    async def line(self, key: str, block_s: float) -> Line:
        """
        Connect to the primary of the key's slot as it is known now; once the slot has moved, reads say MOVED.
        """
        cluster = _cluster(self.commands)
        await cluster.initialize()
        node = cluster.get_node_from_key(key)
        assert node is not None

        async def unblock(client_id: int) -> Any:
            return await cluster.execute_command("CLIENT UNBLOCK", client_id, target_nodes=node)

        return Line(_node_client(node, timeout_s=block_s + BLOCK_S), unblock, block_s)

    @asynccontextmanager
    async def primaries(self) -> AsyncIterator[Sequence[Redis]]:
        """
        Give a client for each primary; they are closed at the end.
        """
        cluster = _cluster(self.commands)
        await cluster.initialize()
        clients = [_node_client(node, timeout_s=TIMEOUT_S) for node in cluster.get_primaries()]
        try:
            yield clients
        finally:
            for client in clients:
                await client.aclose()

    async def drop(self) -> None:
        """
        Close the idle connections to all nodes.
        """
        for client in (self.commands, self.blocking):
            for node in _cluster(client).get_nodes():
                await node.disconnect_free_connections()

    async def aclose(self) -> None:
        """
        Close the connections to all nodes.
        """
        for client in (self.commands, self.blocking):
            cluster = _cluster(client)
            await cluster.aclose()
            # After an error, before it has looked at the nodes anew, it closes nothing itself.
            for nodes in ("nodes_cache", "startup_nodes"):
                await cluster.nodes_manager.aclose(nodes)


def connect(url: str, *, timeout_s: float = TIMEOUT_S) -> Connections:
    """
    Make the clients for `redis://`, `rediss://`, `unix://`, `redis+sentinel://host:port,host:port/service[/db]` or
    `redis+cluster://host:port,host:port`; of a cluster's nodes some are enough.

    Nothing is sent before the first command.
    """
    kind = ClusterConnections if urlsplit(url).scheme == "redis+cluster" else Connections
    return kind(
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
        "max_connections": _MOST_CONNECTIONS,
    }
    scheme = urlsplit(url).scheme
    if scheme == "redis+sentinel":
        return _sentinel_client(url, options)
    if scheme == "redis+cluster":
        return _cluster_client(url, options)
    named: dict[str, Any] = dict(parse_url(url))
    options["connection_class"] = PACKED[named.pop("connection_class", Connection)]
    if scheme == "unix":
        options.pop("socket_connect_timeout")
    return Redis.from_pool(ConnectionPool(**options | named))


def _sentinel_client(url: str, options: dict[str, Any]) -> Redis:
    parts = urlsplit(url)
    service, _, db = parts.path.strip("/").partition("/")
    if not service:
        raise SettingsError("REDIS_URL: the service's name is missing: redis+sentinel://host:port/service")
    asked = {
        "socket_timeout": options["socket_connect_timeout"],
        "socket_connect_timeout": options["socket_connect_timeout"],
        "max_connections": options["max_connections"],
        # One that does not answer is passed over at once: the next one knows as much.
        "retry": options["retry"],
        "password": parse_qs(parts.query).get("sentinel_password", [None])[0],
    }
    options |= _credentials(url)
    sentinel = Sentinel(_hosts(url, 26379), sentinel_kwargs=asked, **options)  # type: ignore[no-untyped-call]
    client: Redis = sentinel.master_for(service, db=int(db or 0), connection_class=PackedSentinelConnection)
    return client


def _cluster_client(url: str, options: dict[str, Any]) -> Redis:
    parts = urlsplit(url)
    if parts.path.strip("/") not in ("", "0"):
        raise SettingsError("REDIS_URL: a Redis Cluster has database 0 alone")
    cluster = RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in _hosts(url, 6379)],
        # A MOVED changes that slot in the table. Reading the table anew would cut off the commands of all others.
        reinitialize_steps=0,
        **options | _credentials(url),
    )
    cluster.connection_kwargs["connection_class"] = PackedConnection
    for node in cluster.startup_nodes:
        node.connection_class = PackedConnection
    # The two have the commands in common that are used here.
    return cast("Redis", cluster)


def _cluster(client: Redis) -> RedisCluster:
    return cast("RedisCluster", client)


def _node_client(node: ClusterNode, *, timeout_s: float) -> Redis:
    """
    Return a client with one connection, to one node; closing it closes the connection.
    """
    given = ("username", "password", "socket_connect_timeout", "decode_responses", "protocol")
    options = {name: node.connection_kwargs.get(name) for name in given}
    pool = ConnectionPool(
        connection_class=PackedConnection,
        max_connections=1,
        host=node.host,
        port=node.port,
        socket_timeout=timeout_s,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 0),
        **options,
    )
    return Redis.from_pool(pool)


def _hosts(url: str, default_port: int) -> list[tuple[str, int]]:
    hosts = []
    for host in urlsplit(url).netloc.rpartition("@")[2].split(","):
        name, _, port = host.strip().rpartition(":") if _has_port(host) else (host.strip(), "", "")
        if not name or not (port or "0").isdecimal():
            raise SettingsError(f"REDIS_URL: {host!r} is not host:port")
        hosts.append((name.strip("[]"), int(port or default_port)))
    return hosts


def _has_port(host: str) -> bool:
    # An IPv6 address stands in brackets, and has colons of its own.
    return ":" in host.rpartition("]")[2]


def _credentials(url: str) -> dict[str, str | None]:
    username, _, password = urlsplit(url).netloc.rpartition("@")[0].partition(":")
    if not (username or password):
        return {}
    return {"username": unquote(username) or None, "password": unquote(password) or None}


@contextmanager
def mapped() -> Iterator[None]:
    """
    Turn redis-py's exceptions into those of `common.errors`.
    """
    try:
        yield
    except REDIS_ERRORS as error:
        raise meaning(error) from error


def meaning(error: Exception) -> GatewayError:
    """
    Say what an exception of redis-py, or an error reply in a pipeline, means: by class, else by its first word (R8).
    """
    if isinstance(error, exceptions.RedisClusterException) and isinstance(error.__cause__, exceptions.RedisError):
        # No node told how the cluster is laid out; the cause is the last one's answer.
        return meaning(error.__cause__)
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
    unready = (exceptions.BusyLoadingError, exceptions.ClusterError, exceptions.TryAgainError, exceptions.AskError)
    if isinstance(error, unready) or word in _AWAY_WORDS or _no_layout(error):
        return RedisAway(f"Redis is not ready: {text or type(error).__name__}")
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError | OSError):
        return RedisAway(f"Redis does not answer: {text or type(error).__name__}")
    return RedisMisuse(f"Redis refuses a command: {text}")


def _no_layout(error: Exception) -> bool:
    """
    Whether no node of a cluster says who holds a slot, as while they elect; other errors of its client are ours.
    """
    if isinstance(error, exceptions.SlotNotCoveredError):
        return True
    text = str(error) if isinstance(error, exceptions.RedisClusterException) else ""
    elects = any(words in text for words in ("cannot be connected", "not covered", "could not agree"))
    return elects and "Cluster mode is not enabled" not in text
