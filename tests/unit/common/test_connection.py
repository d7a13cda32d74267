"""
What `REDIS_URL` may say.
"""

from __future__ import annotations

import pytest
from redis.asyncio.cluster import RedisCluster

from common.errors import RedisMisuse, SettingsError
from common.queue.connection import ClusterConnections, connect
from gateway.redis_facts import inspect
from tests import servers


def test_a_cluster_is_named_by_some_of_its_nodes() -> None:
    """
    Each host may have a port, and all share user and password.
    """
    connections = connect("redis+cluster://me:s%40y@a:7000,[::1]:7001,b")
    cluster = connections.commands
    assert isinstance(cluster, RedisCluster)

    assert [("a", 7000), ("::1", 7001), ("b", 6379)] == [(node.host, node.port) for node in cluster.startup_nodes]
    assert ("me", "s@y") == (cluster.connection_kwargs["username"], cluster.connection_kwargs["password"])


def test_keys_of_an_account_lie_in_one_place_of_a_cluster() -> None:
    """
    The hash tag says where; one server is one place.
    """
    keys = ["avito:{1}:commands", "avito:{1}:gate:avito:slots", "avito:{2}:commands"]
    cluster, single = connect("redis+cluster://a"), connect("redis://a")

    assert isinstance(cluster, ClusterConnections)
    assert [2, 1] == [len({connections.place(key) for key in keys}) for connections in (cluster, single)]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+cluster://me:hush@a:7000/1", "database 0 alone"),
        ("redis+cluster://me:hush@a:x", "'a:x' is not host:port"),
        ("redis+cluster://me:hush@", "is not host:port"),
        ("redis+sentinel://me:hush@a:26379", "the service's name is missing"),
    ],
)
def test_a_wrong_address_stops_the_start_with_one_line(url: str, words: str) -> None:
    """
    The line says what is wrong with it, and shows no password.
    """
    with pytest.raises(SettingsError, match=r"^REDIS_URL: ") as error:
        connect(url)

    assert (True, False) == (words in str(error.value), "hush" in str(error.value))


async def test_a_server_that_is_no_cluster_is_a_wrong_setting() -> None:
    """
    It answers, so waiting for it would be in vain.
    """
    with servers.embedded() as server:
        connections = connect(server.connection_url.replace("redis://", "redis+cluster://"))
        with pytest.raises(RedisMisuse, match="Cluster mode is not enabled"):
            await inspect(connections)
        await connections.aclose()
