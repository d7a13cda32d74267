"""
The queue's pure parts: what errors mean, what is remembered of attempts, where an entry stands.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from redis import exceptions

from common.errors import GroupLost, RedisAway, RedisMisuse, RedisRefused, RoleChanged
from common.queue.connection import meaning
from common.queue.entry import Entry, Tries, parse_tries
from common.queue.keys import AccountKeys
from common.queue.outcomes import Dead, Retry
from common.queue.receipts import fingerprint
from common.queue.records import iso, timeline
from common.queue.settlement import callback, dead_letter, tries_after
from common.queue.standing import state


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.ConnectionError("refused"), RedisAway),
        (exceptions.TimeoutError("slow"), RedisAway),
        (exceptions.BusyLoadingError("LOADING Redis is loading"), RedisAway),
        (OSError("no route"), RedisAway),
        (exceptions.ResponseError("CLUSTERDOWN the cluster is down"), RedisAway),
        (exceptions.ClusterDownError("Hash slot not served"), RedisAway),
        (exceptions.TryAgainError("Multiple keys request during rehashing of slot"), RedisAway),
        (exceptions.MovedError("3999 127.0.0.1:6381"), RedisAway),
        (exceptions.AskError("3999 127.0.0.1:6381"), RedisAway),
        (exceptions.ClusterError("TTL exhausted."), RedisAway),
        (exceptions.SlotNotCoveredError("Slot 3999 not covered by the cluster."), RedisAway),
        (exceptions.RedisClusterException("All slots are not covered after query all startup_nodes."), RedisAway),
        (exceptions.RedisClusterException("Cluster mode is not enabled on this node"), RedisMisuse),
        (exceptions.RedisClusterException("EVALSHA - all keys must map to the same key slot"), RedisMisuse),
        (exceptions.OutOfMemoryError("command not allowed"), RedisRefused),
        (exceptions.ResponseError("MISCONF errors writing to the AOF file"), RedisRefused),
        (exceptions.ResponseError("NOREPLICAS not enough good replicas"), RedisRefused),
        (exceptions.ReadOnlyError("you can't write against a replica"), RoleChanged),
        (exceptions.ResponseError("MASTERDOWN link with MASTER is down"), RoleChanged),
        (
            exceptions.ResponseError("UNBLOCKED force unblock from blocking operation, instance state changed"),
            RoleChanged,
        ),
        (exceptions.ResponseError("UNBLOCKED the stream key no longer exists"), GroupLost),
        (exceptions.ResponseError("NOGROUP no such consumer group"), GroupLost),
        (exceptions.AuthenticationError("invalid password"), RedisMisuse),
        (exceptions.ResponseError("WRONGTYPE against a key"), RedisMisuse),
    ],
)
def test_each_error_of_redis_has_one_meaning(error: Exception, kind: type[Exception]) -> None:
    """
    Sorted by class, else by the first word (R8).
    """
    assert type(meaning(error)) is kind


@pytest.mark.parametrize("raw", ["{", "[]", '{"attempts":"many"}'])
def test_tries_that_cannot_be_read_count_as_a_crash(raw: str) -> None:
    """
    A spoilt memory never makes an entry look new.
    """
    assert Tries(crashes=1, outcome_unknown=True) == parse_tries(raw)


@pytest.mark.parametrize(
    ("before", "outcome", "after"),
    [
        (Tries(), Retry(1, "500"), Tries(attempts=1, first_at=50, last_error="500")),
        (Tries(attempts=2, first_at=9), Retry(1, "x", counted=False), Tries(attempts=2, first_at=9, last_error="x")),
        (
            Tries(),
            Retry(1, "cut", unknown=True),
            Tries(attempts=1, first_at=50, last_error="cut", outcome_unknown=True, unknown_since_ms=50),
        ),
        (
            Tries(attempts=1, first_at=9, outcome_unknown=True, unknown_since_ms=9),
            Retry(1, "cut", unknown=True),
            Tries(attempts=2, first_at=9, last_error="cut", outcome_unknown=True, unknown_since_ms=9),
        ),
        (
            Tries(),
            Retry(1, "cut", unknown=True, since_ms=70, gate_since_ms=80, theirs_since_ms=90, trace="/a"),
            Tries(
                attempts=1,
                first_at=50,
                last_error="cut",
                outcome_unknown=True,
                unknown_since_ms=70,
                gate_since_ms=80,
                theirs_since_ms=90,
                traces=("/a",),
            ),
        ),
        (
            Tries(attempts=1, first_at=9, outcome_unknown=True, unknown_since_ms=9, traces=("/a",)),
            Retry(1, "cut", unknown=True, since_ms=70, gate_since_ms=80, theirs_since_ms=90, trace="/b"),
            Tries(
                attempts=2, first_at=9, last_error="cut", outcome_unknown=True, unknown_since_ms=9, traces=("/a", "/b")
            ),
        ),
        (
            Tries(attempts=1, first_at=9, outcome_unknown=True, unknown_since_ms=9),
            Retry(1, "refused"),
            Tries(attempts=2, first_at=9, last_error="refused"),
        ),
    ],
)
def test_an_attempt_is_remembered(before: Tries, outcome: Retry, after: Tries) -> None:
    """
    Attempts are counted when the other side refused; an unknown outcome keeps its first time.
    """
    assert after == tries_after(before, outcome, taken_ms=50)


def _entry(**fields: str) -> Entry:
    return Entry("K:commands", "5-0", fields, Tries(attempts=2, crashes=1, first_at=7), "run", "p", 50)


def test_a_dead_letter_keeps_the_entry_and_says_why() -> None:
    """
    The fields of the entry, and source, reason, detail, attempts and times.
    """
    letter = dead_letter(_entry(id="m1", body="{}"), Dead("rejected", "400", attempt={"status": 400}), 99)

    assert letter == {
        "id": "m1",
        "body": "{}",
        "source": "K:commands",
        "source_id": "5-0",
        "reason": "rejected",
        "detail": "400",
        "attempts": "3",
        "crashes": "1",
        "first_at": "7",
        "died_at": "99",
    }


def test_a_dead_letter_that_may_have_been_sent_remembers_what_a_look_needs() -> None:
    """
    Since when, by each clock, and what it would be known by: put back, it counts as never tried, and is looked up.
    """
    doubtful = Tries(
        attempts=2, outcome_unknown=True, unknown_since_ms=5, gate_since_ms=6, theirs_since_ms=7, traces=("/a",)
    )
    letter = dead_letter(replace(_entry(), tries=doubtful), Dead("unknown", "it may have been sent"), 99)

    assert Tries.model_validate_json(letter["doubt"]) == doubtful.model_copy(update={"attempts": 0, "redriven": True})
    assert letter["unknown_since"] == "5"


def test_an_outcome_is_told_only_to_who_asked() -> None:
    """
    Without `callback_url` there is no event, and where only a failure is of interest no other end is told.
    """
    parts = {"callback_url": "http://x", "callback_on": "failed"}
    assert [False, True] == [bool(callback(parts, "m1", status, None, None, 9)) for status in ("sent", "expired")]
    asked = callback({"callback_url": "http://x", "chat_id": "c"}, "m1", "failed", None, "rejected: 400", 9)

    assert callback({}, "m1", "sent", "av1", None, 9) == {}
    assert ("m1.failed", "callback:m1") == (asked["id"], asked["lane"])
    assert json.loads(asked["body"])["problem"] == "rejected: 400"


@pytest.mark.parametrize(
    ("owner", "tries", "ahead", "expected"),
    [
        (None, None, False, "queued"),
        (None, None, True, "scheduled"),
        ("~lane", None, False, "queued"),
        ("~retry", None, True, "scheduled"),
        ("~retry", '{"attempts":1}', False, "retrying"),
        ("~retry", '{"attempts":1}', True, "retrying"),
        ("~retry", '{"crashes":1,"outcome_unknown":true}', False, "unknown"),
        ("~retry", '{"attempts":0}', False, "queued"),
        ("host-1-abc", '{"attempts":1}', False, "sending"),
    ],
)
def test_an_entrys_consumer_tells_its_state(owner: str | None, tries: str | None, ahead: bool, expected: str) -> None:
    """
    The pending list tells the whole story.
    """
    assert expected == state(owner, parse_tries(tries), ahead=ahead)


def test_a_timeline_is_in_order() -> None:
    """
    Accepted, attempts by time, the end.
    """
    fields = {
        "accepted_at": "0",
        "attempt:2000": '{"status":200}',
        "attempt:1000": '{"status":500}',
        "finished_at": "3000",
        "status": "sent",
    }

    assert [
        {"at": "1970-01-01T00:00:00.000+00:00", "event": "accepted"},
        {"at": "1970-01-01T00:00:01.000+00:00", "event": "attempt", "status": 500},
        {"at": "1970-01-01T00:00:02.000+00:00", "event": "attempt", "status": 200},
        {"at": "1970-01-01T00:00:03.000+00:00", "event": "sent"},
    ] == timeline(fields)


def test_a_time_that_is_none_passes_as_it_is() -> None:
    """
    Entries added by hand may hold anything.
    """
    assert iso("soon") == "soon"


def test_an_echo_has_the_mark_of_what_was_sent() -> None:
    """
    Equal for a text, whatever its white space, the same text as a link, and any image; empty for what is never sent.
    """
    assert fingerprint("text", {"text": "a  b\r\n c"}) == fingerprint("text", {"text": "a b\nc"})
    assert fingerprint("text", {"text": "https://a.b "}) == fingerprint("link", {"link": {"text": "https://a.b"}})
    assert fingerprint("image", {"image": {}}) == fingerprint("image", {"image": {"sizes": {}}}) == "image"
    assert fingerprint("text", {"text": "a"}) != fingerprint("text", {"text": "b"})
    assert [""] * 3 == [fingerprint("call", {}), fingerprint("text", None), fingerprint("link", {"link": 1})]


def test_every_key_of_an_account_carries_its_tag() -> None:
    """
    One tag, one cluster slot (R47).
    """
    keys = AccountKeys("avito", "12")
    names = [
        *keys.commands.indexes,
        *keys.bulk.indexes,
        *keys.events.indexes,
        *keys.gate("avito"),
        keys.commands.dead,
        keys.bulk.dead,
        keys.events.dead,
        keys.token,
        keys.command("x"),
        keys.sent("c"),
    ]

    assert all(name.startswith("avito:{12}:") for name in names)
    assert (keys.commands.dead, keys.bulk.dead) == ("avito:{12}:commands:dead", "avito:{12}:commands:dead")
