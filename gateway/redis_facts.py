"""
What kind of Redis this is, and whether it will do (design section 8).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from common.queue.connection import Connections, mapped
from gateway.findings import Finding

OLDEST: Final = (7, 0)
FULL_SHARE: Final = 0.9
SKEW_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisFacts:
    """
    A server as it describes itself. `snapshots` is None when it does not tell; bytes are bytes, `ahead_s` is how far
    its clock is ahead of ours.
    """

    kind: str
    version: str
    role: str
    appends: bool
    snapshots: bool | None
    policy: str
    used_bytes: int
    max_bytes: int
    ahead_s: float

    @property
    def name(self) -> str:
        """
        Return kind and version.
        """
        return f"{self.kind} {self.version}"


async def inspect(connections: Connections) -> list[RedisFacts]:
    """
    Ask the server, or each primary of a cluster. Raises `Outage` when one is away, `RedisMisuse` when one does not let
    us in.
    """
    with mapped():
        async with connections.primaries() as servers:
            return [await _ask(server) for server in servers]


async def _ask(client: Redis) -> RedisFacts:
    with mapped():
        info = await client.info()
        seconds, micros = await client.time()
        ahead_s = seconds + micros / 1_000_000 - time.time()
        try:
            # Managed servers often know no CONFIG.
            save: str | None = (await client.config_get("save")).get("save")
        except ResponseError:
            save = None
    return facts_of(info, save, ahead_s)


def facts_of(info: Mapping[str, object], save: str | None, ahead_s: float) -> RedisFacts:
    """
    Read the answers to INFO and CONFIG GET save.
    """
    is_valkey = "valkey_version" in info
    return RedisFacts(
        kind="Valkey" if is_valkey else "Redis",
        version=str(info.get("valkey_version" if is_valkey else "redis_version", "?")),
        role=str(info.get("role", "master")),
        appends=str(info.get("aof_enabled", 0)) == "1",
        snapshots=None if save is None else bool(save.strip()),
        policy=str(info.get("maxmemory_policy", "?")),
        used_bytes=_number(info.get("used_memory")),
        max_bytes=_number(info.get("maxmemory")),
        ahead_s=ahead_s,
    )


def judge(servers: Sequence[RedisFacts]) -> list[Finding]:
    """
    Say what of it is good enough, one finding a subject; of a cluster's servers each different one.
    """
    return list(dict.fromkeys(finding for facts in servers for finding in _judge(facts)))


def _judge(facts: RedisFacts) -> list[Finding]:
    return [_version(facts), _role(facts), _persistence(facts), _policy(facts), _memory(facts), _clock(facts)]


def _version(facts: RedisFacts) -> Finding:
    if parse_version(facts.version) < OLDEST:
        return Finding("FAIL", "redis version", f"{facts.name} is too old", "Use Redis 7.0 or newer, or Valkey.")
    return Finding("OK", "redis version", facts.name)


def _role(facts: RedisFacts) -> Finding:
    if facts.role != "master":
        return Finding(
            "FAIL",
            "redis role",
            f"this server is a {facts.role}",
            "Set REDIS_URL to the primary, or use redis+sentinel://.",
        )
    return Finding("OK", "redis role", "primary")


def _persistence(facts: RedisFacts) -> Finding:
    subject = "persistence"
    if facts.appends:
        return Finding("OK", subject, "append-only file is on")
    if facts.snapshots is None:
        return Finding(
            "WARN",
            subject,
            "append-only file is off, snapshots unknown",
            "Ask your provider whether data survives a restart.",
        )
    if facts.snapshots:
        return Finding(
            "WARN",
            subject,
            "snapshots alone: a crash loses what came after the last one",
            "Set `appendonly yes` on the server.",
        )
    return Finding(
        "WARN", subject, "none: a restart of Redis loses every message", "Set `appendonly yes` on the server."
    )


def _policy(facts: RedisFacts) -> Finding:
    if facts.policy != "noeviction":
        return Finding(
            "WARN",
            "eviction",
            f"maxmemory-policy is {facts.policy}: a full Redis may delete messages",
            "Set `maxmemory-policy noeviction` on the server.",
        )
    return Finding("OK", "eviction", "maxmemory-policy is noeviction")


def _memory(facts: RedisFacts) -> Finding:
    used = f"{facts.used_bytes / 2**20:.1f} MiB used"
    if not facts.max_bytes:
        return Finding("OK", "memory", f"{used}, no limit set")
    text = f"{used} of {facts.max_bytes / 2**20:.1f} MiB"
    if facts.used_bytes > facts.max_bytes * FULL_SHARE:
        return Finding("WARN", "memory", text, "Raise maxmemory, or look for a queue that grows: GET /info.")
    return Finding("OK", "memory", text)


def _clock(facts: RedisFacts) -> Finding:
    text = f"Redis' clock differs by {abs(facts.ahead_s):.1f} s from this machine's"
    if abs(facts.ahead_s) > SKEW_S:
        return Finding("WARN", "redis clock", text, "Run a time service (NTP) on both machines.")
    return Finding("OK", "redis clock", text)


def parse_version(text: str) -> tuple[int, ...]:
    """
    Return the leading numbers of a version; empty when it has none, which is older than all.
    """
    numbers = []
    for part in text.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
