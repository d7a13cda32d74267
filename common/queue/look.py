"""
A look at accounts: their queues and gates as they are now, in one round trip for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from common.queue import scripts
from common.queue.connection import Connections
from common.queue.keys import AccountKeys
from common.queue.usage import Usage, read_usage
from common.settings import Settings

STATES: Final = ("new", "in_flight", "retrying", "behind")
_GROUPS: Final = ("dispatcher", "dispatcher", "forwarder")


@dataclass(frozen=True, slots=True)
class Depths:
    """
    One stream now: `new` was not looked at yet, `retrying` waits for its time, `behind` for its chat's turn.

    `oldest_ms` is the age of the oldest entry, `ages_ms` that of the oldest in each of these states, 0 where there is
    none; `dead` is the number of dead letters.
    """

    stream: str
    total: int
    new: int
    in_flight: int
    retrying: int
    behind: int
    dead: int
    oldest_ms: int
    ages_ms: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """
    An account now: its gates before Avito and before n8n, and its streams of commands, bulk and events.
    """

    avito: Usage
    n8n: Usage
    queues: list[Depths]


async def look(connections: Connections, settings: Settings, user_ids: Sequence[str]) -> list[Look]:
    """
    Look at accounts without changing anything.
    """
    accounts = [AccountKeys(settings.key_prefix, user_id) for user_id in user_ids]
    replies = await scripts.LOOK.each(connections, [_keys(account) for account in accounts], list(_GROUPS))
    return [_look(account, settings, reply) for account, reply in zip(accounts, replies, strict=True)]


def _keys(account: AccountKeys) -> list[str]:
    streams = (account.commands, account.bulk, account.events)
    return [
        *(stream.stream for stream in streams),
        account.commands.dead,
        account.events.dead,
        *account.gate("avito"),
        *account.gate("n8n"),
    ]


def _look(account: AccountKeys, settings: Settings, reply: list[Any]) -> Look:
    commands, bulk, events, commands_dead, events_dead, avito, n8n = reply
    return Look(
        avito=read_usage(avito, settings.rate_limit_requests, settings.max_connections),
        n8n=read_usage(n8n, None, settings.forward_concurrency),
        queues=[
            _depths(account.commands.stream, commands, commands_dead),
            _depths(account.bulk.stream, bulk, commands_dead),
            _depths(account.events.stream, events, events_dead),
        ],
    )


def _depths(stream: str, found: list[int], dead: int) -> Depths:
    total, *states = found
    new, in_flight, retrying, behind = states[::2]
    ages_ms = dict(zip(STATES, states[1::2], strict=True))
    return Depths(stream, total, new, in_flight, retrying, behind, dead, max(ages_ms.values()), ages_ms)
