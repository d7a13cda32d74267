"""
`kill -9` at a named step of a process' work: between what it asked of others and what they told it.

Nothing in the gateway knows of this. A process that is to die has a proxy of its own to Redis, which kills it when it
sees the script call of that step; or it is found by what it holds while the stand-in keeps its request waiting.
"""

from __future__ import annotations

import asyncio
import signal
import time
from asyncio.subprocess import Process
from contextlib import AsyncExitStack
from dataclasses import dataclass

from common.queue import scripts
from common.queue.scripts import Script
from sandbox import AvitoFault, N8nFault
from tests.chaos.installation import Installation, slow
from tests.chaos.proxy import Proxy, Trap
from tests.harness import eventually

VICTIMS = 4
CAUGHT_S = 20.0
# Requests that are answered take a fraction of that.
HELD_MS = 1000


@dataclass(frozen=True, slots=True)
class Step:
    """
    A moment in a process' work: a script's call on its way to Redis, or its reply on the way back.

    `told` is what the reply has in it when it is the moment; empty: any reply.
    """

    script: Script
    executed: bool
    told: bytes = b""


TAKEN = Step(scripts.TAKE, executed=True, told=b"chat_id")
TO_SETTLE = Step(scripts.SETTLE, executed=False)
SETTLED = Step(scripts.SETTLE, executed=True)


async def at_step(role: str, step: Step, made: Installation) -> float:
    """
    Kill workers, each the next time it comes to the step; return when the last one died.
    """
    async with AsyncExitStack() as stack:
        proxies = [
            await stack.enter_async_context(Proxy.start(made.redis.host, made.redis.port)) for _ in range(VICTIMS)
        ]
        victims = await asyncio.gather(*(made.start_behind(proxy, role) for proxy in proxies))
        died_s = await asyncio.gather(
            *(_caught(made, victim, proxy, step) for victim, proxy in zip(victims, proxies, strict=True))
        )
    return max(died_s)


async def accepting(kind: Script, made: Installation, *, executed: bool) -> float:
    """
    Kill the only ingress when it comes to accept, then start another; return when it died.
    """
    await made.end(made.one("ingress"), signal.SIGTERM)
    async with Proxy.start(made.redis.host, made.redis.port) as proxy:
        victim = await made.start_behind(proxy, "ingress")
        died_s = await _caught(made, victim, proxy, Step(kind, executed))
    await made.start(("ingress",))
    return died_s


async def waiting_for_an_answer(role: str, made: Installation) -> float:
    """
    Kill all workers that have a request under way which has done its work and gets no answer; return when they died.
    """
    await made.start(*[(role,)] * VICTIMS)
    faults = made.sandbox.faults
    # Only one fault hits a request, so this one must not stand behind the everyday ones.
    faults.clear()
    if role == "dispatcher":
        faults.add(AvitoFault(kind="hang", taken=True, method="POST", path="*/messages", count=VICTIMS))
    else:
        faults.add(N8nFault(kind="hang", taken=True, count=VICTIMS))
    await eventually(lambda: not faults.on(), CAUGHT_S)
    slow(made.sandbox)
    stream, group = (made.keys.commands, role) if role == "dispatcher" else (made.keys.events, role)
    names: set[str] = set()

    async def held() -> bool:
        rows = await made.connections.commands.xpending_range(stream.stream, group, "-", "+", 1000, idle=HELD_MS)
        holders = [str(row["consumer"]) for row in rows]
        workers = [holder for holder in holders if not holder.startswith("~")]
        names.update(workers)
        return len(workers) >= VICTIMS

    await eventually(held, CAUGHT_S)
    at_s = time.monotonic()
    for victim in made.processes_of(names):
        made.strikes += 1
        await made.end(victim, signal.SIGKILL)
    return at_s


async def _caught(made: Installation, victim: Process, proxy: Proxy, step: Step) -> float:
    made.strikes += 1
    trap = Trap(step.script.digest.encode(), executed=step.executed, told=step.told, spring=victim.kill)
    proxy.trap = trap
    await asyncio.wait_for(trap.sprung.wait(), CAUGHT_S)
    died_s = time.monotonic()
    made.expected[victim] = await victim.wait()
    return died_s
