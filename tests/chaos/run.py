"""
One fault from beginning to end: strike, wait until all goes on, count, judge.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

from common.queue.lease import LIFE_S
from tests.chaos.faults import Fault
from tests.chaos.installation import APART, LIMIT, WINDOW_S, Installation, StandsStill, installed
from tests.chaos.measure import to_avito, to_n8n
from tests.chaos.table import Report, Row


async def run(
    fault: Fault,
    folder: Path,
    report: Report | None = None,
    *,
    processes: tuple[tuple[str, ...], ...] = APART,
    chats: int = 8,
    pace_s: float = 0.3,
    watch_s: float = LIFE_S + 2.0,
    drain_s: float = 60.0,
) -> Row:
    """
    Do a fault to an installation under load, and assert what the gateway promises.

    It is watched for `watch_s` after the last strike, longer than a lease lives: what stalls only then counts, too.
    """
    async with installed(
        folder,
        processes=processes,
        chats=chats,
        pace_s=pace_s,
        proxied=fault.proxied,
        replicated=fault.replicated,
        stepped=fault.stepped,
    ) as made:
        took_s, since_s = 0.0, time.monotonic()
        try:
            for strike in fault.strikes:
                since_s = await strike(made)
                took_s = max(took_s, await made.goes_on(since_s))
            await asyncio.sleep(max(0.0, since_s + watch_s - time.monotonic()))
            took_s = max(took_s, await made.goes_on(since_s))
        except StandsStill:
            if report is not None:
                report.rows.append(await _row(fault, made, None, "stands still"))
            raise
        await made.settled(drain_s)
        row = await _row(fault, made, took_s, "dead letters" if await made.dead() else "")
        broken = verdict(fault, row) + ["a process ended"] * bool(made.died())
        if report is not None:
            report.rows.append(replace(row, broken=", ".join(broken)))
        assert broken == [], f"{row}\n{made.died()}\n{dict(made.load.refusals)}\n{made.logs()}"
        return row


async def _row(fault: Fault, made: Installation, took_s: float | None, broken: str) -> Row:
    outgoing, incoming = to_avito(made.load, made.sandbox), to_n8n(made.load, made.sandbox)
    return Row(
        name=fault.name,
        title=fault.title,
        since=fault.since,
        keeps=fault.keeps,
        to_avito=outgoing,
        to_n8n=incoming,
        # One of each chat can be in flight at a time, each time it is struck.
        at_most=len(made.load.chats) * made.strikes if fault.in_hand else 0,
        took_s=took_s,
        worst=made.sandbox.journal.worst(WINDOW_S),
        limit=LIMIT,
        versions=made.versions,
        held=made.held,
        broken=broken,
    )


def verdict(fault: Fault, row: Row) -> list[str]:
    """
    Say which promises a row breaks.
    """
    lost = row.to_avito.lost + row.to_n8n.lost
    checks = {
        "lost": lost > 0 if fault.keeps else bool(row.held) and lost > row.held,
        "shown twice": row.to_avito.repeated > 0,
        "repeated to n8n": row.to_n8n.repeated > row.at_most,
        "out of order": row.to_avito.out_of_order + row.to_n8n.out_of_order > 0,
        "slow": row.took_s is None or row.took_s > fault.within_s,
        "above the limit": row.worst > row.limit,
        row.broken: bool(row.broken),
    }
    return [name for name, is_so in checks.items() if is_so]
