"""
The doctor's look at an account's queues.
"""

from __future__ import annotations

from collections.abc import Sequence

from common.queue import scripts
from common.queue.connection import Connections
from common.queue.consumer import streams_of
from common.queue.hold import Holds
from common.queue.keys import AccountKeys
from common.queue.look import Depths
from common.queue.records import Records
from common.settings import Account, Settings
from gateway import hold
from gateway.findings import Finding


async def check(connections: Connections, settings: Settings, account: Account, *, fix: bool) -> list[Finding]:
    """
    Say what waits and what died; with `fix` make the consumer groups that are missing, as a worker would.
    """
    records = Records(connections, settings)
    made = await _make_groups(connections, AccountKeys(settings.key_prefix, account.user_id)) if fix else []
    stalled = await records.stalled(account.user_id)
    found = judge(account.user_id, await records.depths(account.user_id), list(stalled), made)
    held = await Holds(connections, settings.key_prefix).of(account.user_id)
    advice = "`avito-gateway resume` lets it go on."
    return found + [Finding("WARN", f"queue {account.user_id}", line, advice) for line in hold.lines(held)]


async def _make_groups(connections: Connections, keys: AccountKeys) -> list[str]:
    sides = [(stream, group) for group in ("dispatcher", "forwarder") for stream in streams_of(keys, group)]
    return [
        stream.stream
        for stream, group in sides
        if (await scripts.ENSURE(connections.commands, stream.indexes, [group]))[0]
    ]


def judge(user_id: str, depths: Sequence[Depths], stalled: Sequence[str], made: Sequence[str]) -> list[Finding]:
    """
    Turn what was seen into findings. Both command streams share one stream of dead letters.
    """
    subject = f"queue {user_id}"
    waiting = ", ".join(f"{depth.total} in {_short(depth.stream)}" for depth in depths)
    found = [Finding("OK", subject, f"made the missing consumer group of {_short(stream)}") for stream in made]
    if stalled:
        names = ", ".join(map(_short, stalled))
        advice = "Start `avito-gateway run dispatcher forwarder`, or look at its log."
        found.append(Finding("WARN", subject, f"entries of {names} wait, and no living worker reads them", advice))
    else:
        found.append(Finding("OK", subject, waiting))
    dead = {depth.stream.removesuffix(":bulk"): depth.dead for depth in depths}
    if count := sum(dead.values()):
        advice = "`avito-gateway dead list` tells why; `dead redrive` puts them back."
        found.append(Finding("WARN", f"dead letters {user_id}", str(count), advice))
    return found


def _short(stream: str) -> str:
    return stream.partition("}:")[2]
