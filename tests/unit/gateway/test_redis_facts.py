"""
What the doctor thinks of a Redis.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.findings import Finding, Level, failed
from gateway.redis_facts import RedisFacts, facts_of, judge, parse_version

GOOD = RedisFacts(
    kind="Redis",
    version="7.2.5",
    role="master",
    appends=True,
    snapshots=False,
    policy="noeviction",
    used_bytes=2**20,
    max_bytes=0,
    ahead_s=0.1,
)


def by_subject(facts: RedisFacts) -> dict[str, Finding]:
    """
    Return the findings by what they are about.
    """
    return {finding.subject: finding for finding in judge([facts])}


def test_good_server_has_nothing_but_ok() -> None:
    """
    A primary with append-only file and noeviction is fine, and no advice is given.
    """
    assert {("OK", "")} == {(finding.level, finding.advice) for finding in judge([GOOD])}


@pytest.mark.parametrize(
    ("changed", "subject", "level", "word"),
    [
        ({"version": "6.2.14"}, "redis version", "FAIL", "too old"),
        ({"version": "garbage"}, "redis version", "FAIL", "too old"),
        ({"version": "10.0.1"}, "redis version", "OK", "10.0.1"),
        ({"role": "slave"}, "redis role", "FAIL", "slave"),
        ({"appends": False, "snapshots": True}, "persistence", "WARN", "snapshots alone"),
        ({"appends": False, "snapshots": False}, "persistence", "WARN", "none"),
        ({"appends": False, "snapshots": None}, "persistence", "WARN", "unknown"),
        ({"policy": "allkeys-lru"}, "eviction", "WARN", "allkeys-lru"),
        ({"max_bytes": 2**30}, "memory", "OK", "of 1024.0 MiB"),
        ({"max_bytes": 2**20}, "memory", "WARN", "of 1.0 MiB"),
        ({"ahead_s": -6.0}, "redis clock", "WARN", "6.0 s"),
    ],
)
def test_each_weakness_is_named_with_advice(changed: dict[str, object], subject: str, level: Level, word: str) -> None:
    """
    What is not right gets its level, says what it is, and what to do.
    """
    found = by_subject(replace(GOOD, **changed))[subject]  # type: ignore[arg-type]

    assert (level, True, level != "OK") == (found.level, word in found.text, bool(found.advice))


def test_only_fail_fails() -> None:
    """
    A WARN leaves the exit code at 0, a FAIL does not.
    """
    assert not failed(judge([replace(GOOD, appends=False, snapshots=False)]))
    assert failed(judge([replace(GOOD, version="5.0")]))


def test_one_bad_server_of_a_cluster_is_named_once() -> None:
    """
    What all servers have in common is said once, what is wrong with some of them besides.
    """
    bad = replace(GOOD, policy="allkeys-lru")

    found = [finding.level for finding in judge([GOOD, bad, bad]) if finding.subject == "eviction"]

    assert ["OK", "WARN"] == found


def test_valkey_is_told_from_redis() -> None:
    """
    Valkey says 7.2 for Redis' sake, and its own version beside it.
    """
    info = {"redis_version": "7.2.4", "valkey_version": "9.1.2", "role": "master", "aof_enabled": 1, "used_memory": 7}

    facts = facts_of(info, "3600 1", 0.0)

    assert ("Valkey 9.1.2", True, True, 7) == (facts.name, facts.appends, facts.snapshots, facts.used_bytes)


def test_server_without_config_command_is_read_as_far_as_it_goes() -> None:
    """
    Where CONFIG is refused, snapshots are unknown rather than off.
    """
    assert facts_of({"redis_version": "7.0.15"}, None, 0.0).snapshots is None


@pytest.mark.parametrize(("text", "numbers"), [("7.0.15", (7, 0, 15)), ("8.0-rc1", (8,)), ("", ())])
def test_version_is_its_leading_numbers(text: str, numbers: tuple[int, ...]) -> None:
    """
    Versions compare as numbers, not as text.
    """
    assert numbers == parse_version(text)
