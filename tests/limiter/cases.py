"""
The loads that are put on the limiter in virtual time, and what must come of each.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.queue.gate import Limits
from common.settings import load
from tests.harness import USER_ID
from tests.limiter.scene import Refuses, Request, Scene, scene
from tests.limiter.virtual import World, in_virtual_time

REQUESTS, WINDOW_S, CONNECTIONS, TIMEOUT_S = 100, 60.0, 20, 30.0
PACE_S = WINDOW_S / REQUESTS
BULK = 10_000
OTHERS = 40
# After a pause: the probe, and within a pace, where each answer takes 0.2 s at least, two and then four.
BACK_AT_MOST = 1 + 2 + 4
_CHANGE_EACH_S = 20.0


def usual_s(chance: random.Random) -> float:
    """
    Draw how long Avito takes on an ordinary day.
    """
    return chance.uniform(0.2, 0.5)


def _any_s(chance: random.Random) -> float:
    return chance.choice((0.005, chance.uniform(0.005, 0.5), chance.uniform(0.5, TIMEOUT_S)))


def _shared(told: float) -> Refuses:
    """
    Avito as it is when another program makes `OTHERS` requests a minute with the same account.
    """

    def refuses(request: Request, made: Sequence[Request]) -> float | None:
        since_s = request.arrived_s - WINDOW_S
        counted = sorted(one.arrived_s for one in made if not one.limited and since_s < one.arrived_s)
        left = REQUESTS - OTHERS
        if len(counted) < left:
            return None
        return max(1.0, counted[-left] + WINDOW_S - request.arrived_s) * told

    return refuses


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    One load beside `BULK` bulk messages, and the bounds of what is measured; None = it is only reported.

    `sends` and `reads` come at random, so many a minute. `changing`: a dispatcher is replaced every 20 s.
    """

    name: str
    title: str
    reserve: int = 5
    sends: float = 0.0
    reads: float = 0.0
    latency_s: Callable[[random.Random], float] = usual_s
    timeouts: float = 0.0
    refuses: Refuses | None = None
    changing: bool = False
    machines: bool = False
    share_at_least: float | None = None
    bulk_at_least: float | None = None
    single_p99_below_s: float | None = None


CASES = (
    Case(name="bulk-all", title="bulk alone, BULK_RESERVE=0", reserve=0, share_at_least=0.98),
    Case(name="bulk", title="bulk alone", share_at_least=0.93),
    Case(
        name="singles-20",
        title="20 single messages a minute",
        sends=20,
        share_at_least=0.93,
        single_p99_below_s=3 * PACE_S,
    ),
    Case(
        name="singles-60",
        title="60 single messages a minute",
        sends=60,
        share_at_least=0.93,
        single_p99_below_s=10 * PACE_S,
    ),
    Case(name="singles-200", title="200 single messages a minute: twice the limit", sends=200, bulk_at_least=0.09),
    Case(
        name="reads-200",
        title="200 reads a minute, 20 single messages",
        sends=20,
        reads=200,
        bulk_at_least=0.09,
        single_p99_below_s=WINDOW_S,
    ),
    Case(
        name="mixed",
        title="20 reads, 20 single messages; answers after 5 ms to 30 s, one in 20 never: look-ups; "
        "a dispatcher replaced every 20 s",
        sends=20,
        reads=20,
        latency_s=_any_s,
        timeouts=0.05,
        changing=True,
    ),
    Case(
        name="machines",
        title="20 reads, 20 single messages, each dispatcher on a machine of its own",
        sends=20,
        reads=20,
        machines=True,
        share_at_least=0.93,
        single_p99_below_s=3 * PACE_S,
    ),
    Case(
        name="shared",
        title="20 reads, 20 single messages; another program uses 40 of the 100: 429 with Retry-After",
        sends=20,
        reads=20,
        refuses=_shared(1.0),
    ),
    Case(
        name="shared-untold",
        title="the same: 429 without Retry-After",
        sends=20,
        reads=20,
        refuses=_shared(0.0),
    ),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """
    What came of a case. Shares are of the limit; waits in seconds, None where nobody waited.
    """

    case: Case
    minutes: float
    requests: int
    worst: int
    most_open: int
    share: float
    bulk_share: float
    single_p50_s: float | None
    single_p99_s: float | None
    read_p50_s: float | None
    read_p99_s: float | None
    refused: int
    in_pauses: int
    back_at_once: int


def quantile(values: Sequence[float], share: float) -> float | None:
    """
    Return the value that this share of all does not exceed, or None without values.
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def run(case: Case, url: str, *, minutes: float, seed: int = 0) -> Measured:
    """
    Put a load on three dispatchers for so many minutes of virtual time.
    """
    chance = random.Random(seed)
    travel_s = 0.005 if case.machines else 0.001
    limits = Limits(REQUESTS, WINDOW_S, CONNECTIONS, TIMEOUT_S, case.reserve)
    settings = load(
        None,
        redis_url=url,
        key_prefix=f"test-{secrets.token_hex(6)}",
        avito_client_id="sandbox",
        avito_client_secret="sandbox",
        avito_user_id=USER_ID,
    )

    async def work(world: World) -> Measured:
        made = scene(
            world,
            settings,
            limits=limits,
            chance=chance,
            latency_s=case.latency_s,
            timeouts=case.timeouts,
            home_s=2 * travel_s if case.machines else 0.0,
            **({"refuses": case.refuses} if case.refuses else {}),
        )
        async with made as stage:
            return await _played(case, stage, minutes, travel_s)

    return in_virtual_time(url, work, chance=chance, travel_s=travel_s)


async def _played(case: Case, stage: Scene, minutes: float, travel_s: float) -> Measured:
    await stage.fill(BULK)
    dispatchers = [stage.start_dispatcher(own_machine=case.machines) for _ in range(3)]
    began_s = stage.world.now_s()
    if case.sends:
        stage.send(case.sends)
    if case.reads:
        stage.read(case.reads)
    ends_s = began_s + minutes * 60.0
    while case.changing and stage.world.now_s() + _CHANGE_EACH_S < ends_s:
        await asyncio.sleep(_CHANGE_EACH_S)
        dispatchers.append(stage.start_dispatcher())
        await stage.stop_dispatcher(dispatchers.pop(0))
    await asyncio.sleep(ends_s - stage.world.now_s())
    # The first window begins with all tokens free: what was used is counted from the second.
    since_s = began_s + WINDOW_S
    singles, reads = stage.waits_s.get("single", []), stage.waits_s.get("read", [])
    return Measured(
        case=case,
        minutes=minutes,
        requests=len(stage.requests),
        worst=stage.worst(),
        most_open=stage.most_open(),
        share=stage.share(since_s, ends_s),
        bulk_share=stage.share(since_s, ends_s, "bulk"),
        single_p50_s=quantile(singles, 0.5),
        single_p99_s=quantile(singles, 0.99),
        read_p50_s=quantile(reads, 0.5),
        read_p99_s=quantile(reads, 0.99),
        refused=sum(request.limited for request in stage.requests),
        in_pauses=stage.sent_in_pauses(2 * travel_s),
        back_at_once=stage.back_at_once(PACE_S),
    )


def broken(measured: Measured) -> list[str]:
    """
    Say which bounds do not hold.
    """
    case = measured.case
    checks = {
        "above the limit": measured.worst > REQUESTS,
        "too many open": measured.most_open > CONNECTIONS,
        "sent in a pause": measured.in_pauses > 0,
        "all back at once": measured.back_at_once > BACK_AT_MOST,
        "limit not used": case.share_at_least is not None and measured.share < case.share_at_least,
        "bulk starves": case.bulk_at_least is not None and measured.bulk_share < case.bulk_at_least,
        "single messages wait": case.single_p99_below_s is not None
        and (measured.single_p99_s is None or measured.single_p99_s >= case.single_p99_below_s),
    }
    return [name for name, is_so in checks.items() if is_so]
