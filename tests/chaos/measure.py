"""
What a fault did to the messages: lost, repeated, out of order, and when it went on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sandbox import Sandbox
from tests.chaos.load import Load

# A chat gets something about three times a second, but a limiter that is used up lets nobody through for its window of
# 2 s: that is no stall.
STALL_S = 3.0

Texts = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Direction:
    """
    The counts of one direction.
    """

    accepted: int
    lost: int
    repeated: int
    out_of_order: int


def compare(accepted: Texts, arrived: Texts) -> Direction:
    """
    Compare what was accepted with what arrived, by chat and in order.

    Only the first arrival of a text counts for the order; it is out of order when one accepted after it came first.
    """
    lost = repeated = disorder = 0
    for chat_id in accepted.keys() | arrived.keys():
        wanted, got = accepted.get(chat_id, ()), arrived.get(chat_id, ())
        first = list(dict.fromkeys(got))
        lost += len(set(wanted) - set(first))
        repeated += len(got) - len(first)
        place = {text: number for number, text in enumerate(wanted)}
        latest = -1
        for text in first:
            number = place.get(text, latest)
            disorder += number < latest
            latest = max(latest, number)
    return Direction(sum(map(len, accepted.values())), lost, repeated, disorder)


def to_avito(load: Load, sandbox: Sandbox) -> Direction:
    """
    Measure what the chats show of what n8n sent.
    """
    shown: dict[str, list[str]] = defaultdict(list)
    for message in sandbox.avito.sent():
        shown[message.chat_id].append(message.content["text"])
    return compare(load.accepted, shown)


def to_n8n(load: Load, sandbox: Sandbox) -> Direction:
    """
    Measure what n8n got of what the customers wrote and the gateway answered for.
    """
    got: dict[str, list[str]] = defaultdict(list)
    for call in sandbox.n8n.received:
        got[call.json["external_chat_id"]].append(call.json["text"])
    taken: dict[str, list[str]] = defaultdict(list)
    answered = set(load.taken_over().values())
    for chat_id, texts in load.written.items():
        taken[chat_id] = [text for text in texts if (chat_id, text) in answered]
    return compare(taken, got)


def went_on_s(load: Load, sandbox: Sandbox, since_s: float, now_s: float) -> float | None:
    """
    Return how long after `since_s` the last chat got something again, of both directions; times are monotonic.

    A chat that stands still once more, longer than `STALL_S`, has not gone on before that is over. None while one still
    waits. What was under way before does not count.
    """
    sends = (
        (record.path.split("/")[-2], record.arrived_mono_s)
        for record in sandbox.journal.list("avito", path="/chats/")
        if record.method == "POST" and record.path.endswith("/messages")
    )
    calls = ((call.json["external_chat_id"], call.arrived_mono_s) for call in sandbox.n8n.received)
    resumed = [resumed_s(by_chat(arrivals, load.chats), since_s, now_s) for arrivals in (sends, calls)]
    return None if None in resumed else max(at_s for at_s in resumed if at_s is not None) - since_s


def by_chat(arrivals: Iterable[tuple[str, float]], chats: Sequence[str]) -> dict[str, list[float]]:
    """
    Sort arrivals by chat; chats without any are there, too.
    """
    times: dict[str, list[float]] = {chat_id: [] for chat_id in chats}
    for chat_id, at_s in arrivals:
        times[chat_id].append(at_s)
    return times


def resumed_s(times: Mapping[str, Sequence[float]], since_s: float, now_s: float) -> float | None:
    """
    Return when the last chat went on for good; None if one stands still.
    """
    latest = since_s
    for of_chat in times.values():
        after = sorted(at_s for at_s in of_chat if at_s > since_s)
        if not after or now_s - after[-1] > STALL_S:
            return None
        before = [since_s, *after[:-1]]
        stalls = [at_s for at_s, last_s in zip(after, before, strict=True) if at_s - last_s > STALL_S]
        latest = max(latest, stalls[-1] if stalls else after[0])
    return latest
