"""
The scripts on a real server against a plain Python model, through all that may happen to them in any order.

Redis' own clock is left alone: the gate is told another one, retries are made due by their scores, and a worker is
dead as soon as its name is. So minutes pass in microseconds.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar, Final, TypeVar, cast

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from common.errors import GroupLost, NoPermit
from common.queue import keys, scripts
from common.queue.connection import Connections, connect
from common.queue.consumer import Consumer, streams_of
from common.queue.dead import DeadLetters
from common.queue.entry import Entry, parse_tries
from common.queue.gate import Gate, Limits, Permit
from common.queue.hold import REASON, Holds
from common.queue.intake import Accepted, Duplicate, Intake, NewCommand
from common.queue.janitor import Janitor
from common.queue.keys import AccountKeys
from common.queue.lease import Lease
from common.queue.outcomes import Dead, Done, Outcome, Release, Retry
from common.queue.records import Records
from common.queue.scripts import Argument
from common.queue.settlement import Finished, Settler, tries_after
from common.settings import load
from tests import model, servers

USER_ID: Final = "100000001"
GROUP: Final = "dispatcher"
_HOUR_MS: Final = 3_600_000
_TIMEOUT_S: Final = 10.0
_INDEXES: Final = ("lanes", "waiting", "ready", "retry", "tries")
_START_MS: Final = 1_000_000_000_000

T = TypeVar("T")

pick = st.integers(0, 11)
chats = st.sampled_from(["a", "b", "c", ""])
kinds = st.sampled_from(["plain", "plain", "plain", "plain", "scheduled", "expired", "expires"])
outcomes = st.sampled_from(["done", "done", "soon", "later", "unknown", "dead", "release"])


@pytest.fixture(name="own_url", scope="module")
def _own_url() -> Iterator[str]:
    # FLUSHALL is one of the steps.
    with servers.shared_url() as url:
        yield url


class _SteppedGate(Gate):
    """
    A gate of a process that is told the time.
    """

    limiter: model.Limiter
    marks: list[str]

    @property
    def arguments(self) -> list[Argument]:
        return [*self._limits, f"0 {self.marks[-1]}" if self.marks else "", str(self.limiter.now_ms), "model"]

    def told(self, gate_ms: str, wall_ms: int, mark: str | None = None) -> None:
        super().told(gate_ms, wall_ms, mark)
        self.marks += [mark] if mark else []


@dataclass
class _Running:
    """
    What a worker has in its hands.
    """

    entry: Entry
    number: int
    permit: Permit
    request: model.Request | None = None


@dataclass
class _Worker:
    """
    A process: its name, its results, and what the janitor asks of a consumer.
    """

    name: str
    gate: _SteppedGate
    settler: Settler
    script_keys: list[str]
    streams: tuple[keys.StreamKeys, ...]
    group: str = GROUP
    account: str = USER_ID
    labels: tuple[str, str] = (USER_ID, "commands")
    alive: bool = True
    held: int = 1
    running: dict[model.Key, _Running] = field(default_factory=dict)
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def wake(self) -> None:
        """
        Nothing sleeps here.
        """


def _plain(*chats: str, bulk: bool = False) -> list[tuple[str, bool, str]]:
    return [(chat, bulk, "plain") for chat in chats]


def _rule(name: str, step: Callable[..., None], **arguments: st.SearchStrategy[Any]) -> Any:
    """
    Return a step as a rule under a name of its own: Hypothesis leaves some names out of each run, and what makes a
    queue go must not all be among them.
    """

    def named(self: object, **drawn: Any) -> None:
        step(self, **drawn)

    named.__name__ = name
    return cast(Any, rule)(**arguments)(named)


class _QueueMachine(RuleBasedStateMachine):
    """
    Every step does one thing for real, tells the model, and compares.
    """

    runner: asyncio.Runner
    connections: Connections
    numbers = itertools.count(1)

    def __init__(self) -> None:
        super().__init__()
        self.sound = False
        self.queue = model.Queue()
        self.flushed = False
        self.held = False
        self.keyed: list[tuple[NewCommand, str]] = []
        number = next(self.numbers)
        self.settings = load(
            None,
            redis_url="redis://unused",
            key_prefix=f"model-{number}",
            avito_client_id="sandbox",
            avito_client_secret="sandbox",
            avito_user_id=USER_ID,
            max_queue_wait=1e6,
        )
        self.keys = AccountKeys(self.settings.key_prefix, USER_ID)
        self.holds = Holds(self.connections, self.settings.key_prefix)
        self.streams = streams_of(self.keys, GROUP)
        self.workers: list[_Worker] = []
        self.ids = itertools.count(1)
        self.names = itertools.count(1)
        self.marks: list[str] = []

    def run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        self.sound = False
        return self.runner.run(awaited())

    @property
    def client(self) -> Any:
        return self.connections.commands

    # -- the start

    @initialize(
        requests=st.integers(2, 6),
        connections=st.integers(1, 4),
        reserve=st.integers(0, 2),
        workers=st.integers(1, 3),
        first=st.lists(st.tuples(chats, st.booleans(), kinds), max_size=8),
    )
    def start(
        self, requests: int, connections: int, reserve: int, workers: int, first: list[tuple[str, bool, str]]
    ) -> None:
        # The settings refuse a reserve that leaves bulk nothing.
        self.limits = Limits(requests, 60.0, connections, _TIMEOUT_S, min(reserve, requests - 1))
        self.limiter = model.Limiter(requests, 60_000, connections, round(_TIMEOUT_S * 1000), _START_MS)
        self.records = Records(self.connections, self.settings)
        self.letters = DeadLetters(self.connections, self.settings)
        self.intake = Intake(self.connections, self.settings)
        for _ in range(workers):
            self.be_born()
        for number in model.STREAMS:
            self.ensure(number)
        for chat, bulk, kind in first:
            self._accept(chat, bulk=bulk, kind=kind)

    def be_born(self) -> _Worker:
        name = f"worker-{next(self.names)}"
        gate = _SteppedGate(self.connections, self.keys, "avito", self.limits)
        gate.limiter, gate.marks = self.limiter, self.marks
        settler = Settler(
            connections=self.connections,
            keys=self.keys,
            streams=self.streams,
            group=GROUP,
            gate=gate,
            lease=cast(Lease, SimpleNamespace(name=name)),
        )
        script_keys = [key for stream in self.streams for key in stream.indexes] + list(gate.keys)
        worker = _Worker(name, gate, settler, script_keys, self.streams)
        self.run(scripts.HEARTBEAT(self.client, [keys.workers(self.settings.key_prefix)], [name, _HOUR_MS, "1"]))
        self.workers.append(worker)
        return worker

    def worker(self, n: int) -> _Worker:
        alive = [worker for worker in self.workers if worker.alive]
        return alive[n % len(alive)]

    # -- what comes in

    def _accept(self, chat: str, *, bulk: bool, kind: str) -> None:
        now_ms = time.time_ns() // 1_000_000
        expires_ms = {"expired": 1, "expires": now_ms + 5}.get(kind)
        command = NewCommand(
            id=f"m{next(self.ids)}",
            kind="text",
            chat_id=chat,
            body={},
            priority="bulk" if bulk else "interactive",
            not_before_ms=now_ms + _HOUR_MS if kind == "scheduled" else None,
            expires_at_ms=expires_ms,
            idempotency_key=f"key-{len(self.queue.accepted)}",
        )
        reply = self.run(self.intake.command(USER_ID, command))
        assert isinstance(reply, Accepted), reply
        self.keyed.append((command, reply.entry_id))
        message = model.Message(command.id, 2 if bulk else 1, reply.entry_id, chat)
        message.scheduled = message.far = kind == "scheduled"
        message.expires_ms = expires_ms or float("inf")
        self.queue.accept(message)

    def accept(self, messages: list[tuple[str, bool, str]]) -> None:
        for chat, bulk, kind in messages:
            self._accept(chat, bulk=bulk, kind=kind)

    some = st.lists(st.tuples(chats, st.booleans(), kinds), min_size=1, max_size=4)
    accept_some = _rule("accept_some", accept, messages=some)
    accept_more = _rule("accept_more", accept, messages=some)

    @rule(at=pick)
    def lose_a_reply_of_accept(self, at: int) -> None:
        if self.keyed:
            command, entry_id = self.keyed[at % len(self.keyed)]
            again = self.run(self.intake.command(USER_ID, msgspec.structs.replace(command, id="again")))
            assert again == Duplicate(command.id, entry_id)

    # -- what workers do

    @rule(n=pick, want=st.integers(1, 4))
    def lose_a_reply_of_take(self, n: int, want: int) -> None:
        self.take(n, want, lost=True)

    def work(self, n: int, want: int, sends: int, how: list[str]) -> None:
        self.take(n, want)
        for at in range(sends):
            self.send(n, at)
        self._settle_some(self.worker(n), 0, how)

    turn: ClassVar[dict[str, st.SearchStrategy[Any]]] = {
        "n": pick,
        "want": st.integers(1, 4),
        "sends": st.integers(0, 3),
        "how": st.lists(outcomes, max_size=3),
    }
    work_on = _rule("work_on", work, **turn)
    work_more = _rule("work_more", work, **turn)
    work_again = _rule("work_again", work, **turn)
    work_still = _rule("work_still", work, **turn)

    def take(self, n: int, want: int, *, lost: bool = False) -> None:
        worker = self.worker(n)
        names = [key for stream in self.streams for key in stream.indexes] + list(worker.gate.keys)
        arguments = [2, GROUP, worker.name, want, *worker.gate.arguments]
        try:
            reply = self.run(scripts.TAKE(self.client, names, arguments))
        except GroupLost:
            assert not all(self.queue.grouped.values())
            for number in model.STREAMS:
                self.ensure(number)
            return
        why, _ask, _watch, gate_ms, wall_ms, _held, rows, _last, reason, mark = reply
        worker.gate.told(gate_ms, wall_ms, mark)
        if why != "empty":
            assert (reason == REASON) == self.held
        assert not (self.held and rows), "given out while an operator holds it"
        permits = [row[5] for row in rows if row[5]]
        if reason != "state_lost" and why != "paused":
            assert not rows or self.limiter.now_ms >= self.limiter.paused_until_ms, "given out in a pause"
        if self.limiter.probe is not None and permits:
            assert len(permits) == 1, "more than a probe after a pause"
            self.limiter.probe = permits[0]
        assert len(rows) <= want
        for row in rows:
            self._given(worker, row, wall_ms, lost=lost)
        if why == "empty" and not self.queue.damaged and all(self.queue.grouped.values()):
            left = self.queue.startable(wall_ms)
            assert not left, f"take said empty, and these could start: {left}"

    def _given(self, worker: _Worker, row: list[Any], wall_ms: int, *, lost: bool) -> None:
        number, entry_id, flat, raw_tries, verdict, permit = row
        tries = parse_tries(raw_tries)
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        message = self.queue.give(worker.name, (number, entry_id), tries, verdict, permit, wall_ms)
        assert (message.id, message.chat) == (fields["id"], fields["chat_id"])
        if lost:
            return
        if message.key in worker.running:
            # Its group was lost meanwhile: the first run goes on (R6).
            self.run(worker.gate.finish(permit, permit, "open", passed=False))
            return
        entry = Entry(self.streams[number - 1].stream, entry_id, fields, tries, verdict, permit, wall_ms)
        handed = Permit(worker.gate, permit=permit, token=permit, taken_ms=wall_ms, wait_s=0)
        worker.running[message.key] = _Running(entry, number, handed)

    def send(self, n: int, at: int) -> None:
        worker = self.worker(n)
        idle = [run for run in worker.running.values() if run.entry.verdict == "run" and run.request is None]
        if not idle:
            return
        run = idle[at % len(idle)]
        try:
            self.run(run.permit.token())
        except NoPermit:
            return
        run.request = self.limiter.start()

    @rule(n=pick, at=pick)
    def look_up_first(self, n: int, at: int) -> None:
        worker = self.worker(n)
        busy = [run for run in worker.running.values() if run.request is not None and run.request.end_ms is None]
        if not busy:
            return
        run = busy[at % len(busy)]
        assert run.request is not None
        self.limiter.end(run.request)
        run.permit.ended()
        run.request = None
        try:
            self.run(run.permit.token())
        except NoPermit:
            return
        run.request = self.limiter.start()

    @rule(n=pick, first=pick, how=st.lists(outcomes, min_size=1, max_size=4))
    def settle(self, n: int, first: int, how: list[str]) -> None:
        self._settle_some(self.worker(n), first, how)

    @rule(n=pick, first=pick, how=st.lists(outcomes, min_size=1, max_size=4))
    def lose_a_reply_of_settle(self, n: int, first: int, how: list[str]) -> None:
        # Without a group nobody can tell that it was settled before: a dead letter is then written twice.
        self._settle_some(self.worker(n), first, how, lost=all(self.queue.grouped.values()))

    @rule(n=pick, first=pick, how=st.lists(outcomes, min_size=1, max_size=4))
    def result_of_a_dead_worker(self, n: int, first: int, how: list[str]) -> None:
        dead = [worker for worker in self.workers if not worker.alive and worker.running]
        if dead and all(self.queue.grouped.values()):
            self._settle_some(dead[n % len(dead)], first, how)

    @rule(n=pick, want=st.integers(1, 4), how=st.lists(outcomes, min_size=1, max_size=3))
    def a_worker_freezes_and_thaws(self, n: int, want: int, how: list[str]) -> None:
        frozen = self.worker(n)
        self.take(n, want)
        self.a_worker_dies(n)
        self.adopt(n, idle=True)
        self.take(n, want)
        if all(self.queue.grouped.values()):
            self._settle_some(frozen, 0, how)

    @rule(n=pick, rounds=st.integers(2, 4))
    def a_rush(self, n: int, rounds: int) -> None:
        for _ in range(rounds):
            self.accept(_plain("a", "b", "c"))
            self.work(n, 4, 4, ["done"] * 4)
            self.time_passes(13.0)

    def _settle_some(self, worker: _Worker, first: int, how: list[str], *, lost: bool = False) -> None:
        runs = list(worker.running.values())
        chosen = [runs[(first + n) % len(runs)] for n in range(min(len(how), len(runs)))]
        self._settle(worker, [(run, _outcome(run, one)) for run, one in zip(chosen, how, strict=False)], lost=lost)

    def _settle(self, worker: _Worker, results: list[tuple[_Running, Outcome]], *, lost: bool = False) -> None:
        if not results:
            return
        for run, outcome in results:
            self._answered(run, outcome)

        async def settle() -> list[str]:
            loop = asyncio.get_running_loop()
            batch = [
                (Finished(run.entry, run.number, worker.name, run.permit, outcome), loop.create_future())
                for run, outcome in results
            ]
            refused = await worker.settler._write(batch)
            assert not refused, f"settle refused {refused}"
            return [await future for _, future in batch]

        replies = self.run(settle())
        if lost:
            assert set(self.run(settle())) == {"lost"}, "settled twice"
        for (run, outcome), reply in sorted(zip(results, replies, strict=True), key=lambda one: _order(one[0][1])):
            key = (run.number, run.entry.entry_id)
            del worker.running[key]
            owns = self.queue.owns(worker.name, key, _action(outcome))
            assert reply == ("ok" if owns else "lost"), f"{key} {outcome}: {reply}"
            if owns:
                self._settled(run, outcome)

    def _answered(self, run: _Running, outcome: Outcome) -> None:
        if run.request is None:
            return
        self.limiter.end(run.request)
        run.permit.ended(aborted=isinstance(outcome, Retry) and outcome.unknown)
        if self.limiter.probe == run.permit.name and run.permit.passed:
            self.limiter.probe = None

    def _settled(self, run: _Running, outcome: Outcome) -> None:
        key = (run.number, run.entry.entry_id)
        if isinstance(outcome, Done | Dead):
            self.queue.end(key, run.entry.id, outcome.status if isinstance(outcome, Done) else "failed")
            self._check_record(run.entry.id)
        elif isinstance(outcome, Retry):
            tries = tries_after(run.entry.tries, outcome, run.entry.taken_ms)
            self.queue.retry(key, tries, self.limiter.now_ms + round(outcome.after_s * 1000), self.limiter.now_ms)
        else:
            self.queue.retry(key, None, 0, self.limiter.now_ms)

    def _check_record(self, command_id: str) -> None:
        record = self.run(self.records.command(USER_ID, command_id))
        assert record is not None
        assert (record.status, record.ended) == (self.queue.ends[command_id], True)

    # -- what becomes of workers

    @rule(n=pick)
    def a_worker_dies(self, n: int) -> None:
        worker = self.worker(n)
        worker.alive = False
        for run in worker.running.values():
            if run.request is not None and run.request.lost_ms is not None:
                self.limiter.forget(run.request)
        self.run(self.client.zadd(keys.workers(self.settings.key_prefix), {worker.name: 1}))
        self.be_born()

    @rule(n=pick, idle=st.booleans())
    def adopt(self, n: int, idle: bool) -> None:
        if all(self.queue.grouped.values()):
            self._adopt(self.worker(n), life_s=0.0 if idle else 3600.0)

    def _janitor(self, life_s: float) -> Janitor:
        return Janitor(self.connections, cast(Lease, SimpleNamespace(name="", life_s=life_s)), [])

    def _adopt(self, worker: _Worker, life_s: float) -> None:
        living = self.run(scripts.BURY(self.client, [keys.workers(self.settings.key_prefix)], []))
        janitor = Janitor(self.connections, cast(Lease, SimpleNamespace(name=worker.name, life_s=life_s)), [])
        adopted = self.run(janitor.adopt(cast(Consumer, worker), living))
        gone = []
        for message in self.queue.messages.values():
            unknown_to_its_own = message.worker == worker.name and message.key not in worker.running
            dead = message.worker not in (None, worker.name, *living) and life_s == 0
            if unknown_to_its_own or dead:
                gone.append(message.key)
        for run in [run for other in self.workers if not other.alive for run in other.running.values()]:
            if run.request is not None and (run.number, run.entry.entry_id) in gone:
                run.request.cut = True
        assert adopted == self.queue.adopt(gone)

    @rule(n=pick)
    def the_janitor_mends_a_part(self, n: int) -> None:
        if all(self.queue.grouped.values()):
            self.run(self._janitor(0).mend(cast(Consumer, self.worker(n))))

    @rule(n=pick)
    def the_janitor_passes(self, n: int) -> None:
        for number in model.STREAMS:
            self.ensure(number)
        worker = self.worker(n)
        self._adopt(worker, life_s=0)
        janitor = self._janitor(0)
        for _ in range(20):
            self.run(janitor.mend(cast(Consumer, worker)))
            if all(cursors == ["0", "-", "-"] for cursors in janitor._cursors.values()):
                break
        self.queue.damaged = False

    # -- what people do

    def _some(self, at: int) -> model.Message | None:
        there = [message for message in self.queue.messages.values() if not message.deleted]
        return there[at % len(there)] if there else None

    @rule(at=pick)
    def cancel(self, at: int) -> None:
        message = self._some(at)
        if message is None:
            return
        reply = self.run(self.records.cancel(USER_ID, message.id))
        for number in model.STREAMS:
            self.queue.ensure(number)
        assert reply == ("sending" if message.worker else "cancelled")
        if reply == "cancelled":
            self.queue.end(message.key, message.id, "cancelled")
            self._check_record(message.id)

    @rule(at=pick)
    def redrive(self, at: int) -> None:
        letters = self.run(self.letters.list(USER_ID, "commands"))
        if not letters:
            return
        letter = letters[at % len(letters)]
        own_id, stream = letter.fields["id"], letter.fields["source"]
        entry_id = self.run(self.letters.redrive(USER_ID, "commands", letter.dead_id))
        assert entry_id is not None
        number = 1 if stream == self.streams[0].stream else 2
        message = model.Message(own_id, number, entry_id, letter.fields["chat_id"])
        if since := letter.fields.get("unknown_since"):
            message.unknown_since_ms = int(since)
        del self.queue.ends[own_id]
        self.queue.messages[message.key] = message

    @rule(at=pick)
    def delete_by_hand(self, at: int) -> None:
        message = self._some(at)
        if message is None:
            return
        picture = self._pictures()[message.stream - 1]
        owner = picture.pending.get(message.entry_id)
        follower = owner is None or (owner == "~lane" and (message.chat, message.entry_id) in picture.waiting)
        self.run(self.client.xdel(self.streams[message.stream - 1].stream, message.entry_id))
        head = picture.lanes.get(message.chat) == message.entry_id
        self.queue.delete(message.key, follower=follower, head=head)

    @rule(number=st.sampled_from(model.STREAMS), index=st.sampled_from(_INDEXES))
    def delete_an_index_by_hand(self, number: int, index: str) -> None:
        name = self.streams[number - 1].indexes[1 + _INDEXES.index(index)]
        if self.run(self.client.delete(name)):
            self.queue.delete_index(number, index)

    @rule(number=st.sampled_from(model.STREAMS))
    def destroy_a_group(self, number: int) -> None:
        if self.queue.grouped[number]:
            self.run(self.client.xgroup_destroy(self.streams[number - 1].stream, GROUP))
            self.queue.lose_group(number)

    @rule(number=st.sampled_from(model.STREAMS))
    def ensure(self, number: int) -> None:
        made, _length = self.run(scripts.ENSURE(self.client, self.streams[number - 1].indexes, [GROUP]))
        assert bool(made) != self.queue.grouped[number]
        self.queue.ensure(number)

    @precondition(lambda self: len(self.queue.accepted) > 5)
    @rule(number=st.sampled_from(model.STREAMS))
    def delete_a_stream(self, number: int) -> None:
        if self.run(self.client.delete(self.streams[number - 1].stream)):
            self.queue.lose_stream(number, "removed")
            # What it had blocked in the other stream is told by the janitor's next pass.
            self.queue.damaged = self.queue.mended = True

    @precondition(lambda self: len(self.queue.accepted) > 5 and not self.flushed)
    @rule()
    def flushall(self) -> None:
        self.flushed = True
        self.keyed.clear()
        self.run(self.client.flushall())
        for number in model.STREAMS:
            self.queue.lose_stream(number, "flushed")
        for message_id, status in self.queue.ends.items():
            self.queue.ends[message_id] = "flushed" if status == "failed" else status
        self.limiter.probe = None
        self.held = False
        self.queue.damaged = False
        for worker in self.workers:
            for run in worker.running.values():
                if run.request is not None:
                    run.request.lost_ms = self.limiter.now_ms
                    if not worker.alive:
                        self.limiter.forget(run.request)
            if worker.alive:
                name = keys.workers(self.settings.key_prefix)
                self.run(scripts.HEARTBEAT(self.client, [name], [worker.name, _HOUR_MS, "1"]))

    # -- time, and the gate

    @rule(seconds=st.sampled_from([0.6, 5.0, 13.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        until_ms = self.limiter.now_ms + round(seconds * 1000)
        while True:
            # A request ends with its timeout, and its worker tells at once.
            live = [
                (run.request.start_ms + self.limiter.timeout_ms, worker, run)
                for worker in self.workers
                if worker.alive
                for run in worker.running.values()
                if run.request is not None
            ]
            due_ms, worker, run = min(live, key=lambda one: one[0], default=(until_ms + 1, None, None))
            if worker is None or run is None or due_ms > until_ms:
                break
            self._clock(max(0, due_ms - self.limiter.now_ms))
            self._settle(worker, [(run, Retry(0.0, "timeout", unknown=True))])
        self._clock(until_ms - self.limiter.now_ms)

    def _clock(self, ms: int) -> None:
        self.limiter.pass_time(ms)
        self.queue.pass_time(self.limiter.now_ms)
        for worker in self.workers:
            for run in worker.running.values():
                run.permit._dated_s -= ms / 1000

    @rule()
    def retries_become_due(self) -> None:
        for number, stream in enumerate(self.streams, 1):
            name = stream.indexes[4]
            rows = self.run(self.client.zrange(name, 0, -1))
            if rows:
                self.run(self.client.zadd(name, dict.fromkeys(rows, 0), xx=True))
            for entry_id in rows:
                message = self.queue.messages.get((number, entry_id))
                if message is not None and message.worker is None:
                    message.far = message.far and (message.scheduled or not self.queue.grouped[number])

    def _scheduled_become_due(self) -> None:
        # Their time is an hour of the server's clock away. What was out once goes by its retries alone.
        for message in self.queue.messages.values():
            indexes = self.streams[message.stream - 1].indexes
            if message.scheduled and self.run(self.client.zscore(indexes[4], message.entry_id)) is not None:
                self.run(self.client.hsetnx(indexes[5], message.entry_id, "{}"))
                self.run(self.client.zadd(indexes[4], {message.entry_id: 0}))
                message.far = False

    @rule(seconds=st.sampled_from([None, 2.0, 30.0]), n=pick)
    def pause(self, seconds: float | None, n: int) -> None:
        paused_s = self.run(self.worker(n).gate.pause(seconds, "429"))
        self.limiter.paused_until_ms = max(self.limiter.paused_until_ms, self.limiter.now_ms + round(paused_s * 1000))
        self.limiter.probe = ""

    @precondition(lambda self: not self.held)
    @rule()
    def an_operator_holds_it(self) -> None:
        assert self.run(self.holds.hold(USER_ID, "commands", by="test"))
        self.held = True

    @precondition(lambda self: self.held)
    @rule()
    def an_operator_lets_it_go_on(self) -> None:
        assert self.run(self.holds.resume(USER_ID, "commands"))
        self.held = False

    @rule(n=pick)
    def read_for_the_api(self, n: int) -> None:
        gate = self.worker(n).gate
        try:
            permit = self.run(gate.acquire(wait_s=0))
        except NoPermit:
            return
        if self.limiter.probe is not None:
            self.limiter.probe = permit.name
        permit.how = "used"
        request = self.limiter.start()
        self.limiter.end(request)
        permit.ended()
        if self.limiter.probe == permit.name:
            self.limiter.probe = None
        self.run(permit.release())

    # -- what must be true

    def _pictures(self) -> list[model.Picture]:
        pipe = self.client.pipeline(transaction=True)
        for stream in self.streams:
            name, lanes, waiting, ready, retry, _tries = stream.indexes
            pipe.xrange(name)
            pipe.xpending_range(name, GROUP, "-", "+", 1000)
            pipe.hgetall(lanes)
            pipe.zrange(waiting, 0, -1)
            pipe.lrange(ready, 0, -1)
            pipe.zrange(retry, 0, -1, withscores=True)
        replies = self.run(pipe.execute(raise_on_error=False))
        return [_picture(replies[n : n + 6]) for n in range(0, len(replies), 6)]

    @invariant()
    def nothing_is_lost(self) -> None:
        pictures = self._pictures()
        letters = [letter.fields["id"] for letter in self.run(self.letters.list(USER_ID, "commands"))]
        for number, picture in enumerate(pictures, 1):
            here = [message for message in self.queue.messages.values() if message.stream == number]
            there = {message.entry_id: message.chat for message in here if not message.deleted}
            assert there == picture.entries
            out = {message.entry_id: message.worker for message in here if message.worker is not None}
            assert out == {entry: owner for entry, owner in picture.pending.items() if not owner.startswith("~")}
        assert sorted(letters) == sorted(name for name, status in self.queue.ends.items() if status == "failed")
        self.queue.check_sum()
        self.queue.check_out()
        if not self.queue.damaged and all(self.queue.grouped.values()):
            found = model.disagreements(pictures)
            assert not found, found
        for picture in pictures:
            assert self.queue.mended or len(picture.ready) == len(set(picture.ready)), f"twice ready: {picture.ready}"
        self.sound = True

    # -- the end

    def teardown(self) -> None:
        try:
            if self.sound:
                self._drain()
        finally:
            if hasattr(self, "intake"):
                self.run(self.intake.stop())

    def _drain(self) -> None:
        """
        Whatever happened: one pass of the janitor later everything goes out, without a human.
        """
        for worker in list(self.workers):
            worker.alive = False
            self.run(self.client.zadd(keys.workers(self.settings.key_prefix), {worker.name: 1}))
        if self.held:
            self.an_operator_lets_it_go_on()
        worker = self.be_born()
        self.the_janitor_passes(len(self.workers))
        self.nothing_is_lost()
        self._work_off(worker)
        # An index may still name what was deleted by hand: where nothing lies nobody looks. The next messages clear it:
        # a take drops as many such names as it may give out, after a pause one.
        for _ in range(10):
            self.accept(_plain("a") + _plain("b", bulk=True))
            self._work_off(worker)
            self.take(0, 10)
            pictures = self._pictures()
            left = [(p.entries, p.pending, p.lanes, p.waiting, p.ready) for p in pictures]
            if not any(map(any, left)):
                return
        pytest.fail(f"left behind: {pictures}")

    def _work_off(self, worker: _Worker) -> None:
        # With one connection, one message a round.
        for _ in range(100 + 4 * len(self.queue.messages)):
            if not self.queue.messages:
                break
            self.retries_become_due()
            self._scheduled_become_due()
            self.time_passes(61.0)
            self.take(0, 10)
            for at in range(len(worker.running)):
                self.send(0, at)
            self._settle_some(worker, 0, ["done"] * len(worker.running))
            self.nothing_is_lost()
        assert not self.queue.messages, f"these never went out: {self.queue.messages}"
        self.time_passes(61.0)


def _action(outcome: Outcome) -> str:
    return "done" if isinstance(outcome, Done) else "dead" if isinstance(outcome, Dead) else "retry"


def _order(outcome: Outcome) -> int:
    return ("done", "retry", "dead").index(_action(outcome))


def _outcome(run: _Running, how: str) -> Outcome:
    if run.entry.verdict == "expired":
        return Done("expired")
    if run.entry.verdict == "crashed":
        return Dead("crashed", "three workers died with it")
    match how:
        case "soon":
            return Retry(0.0, "refused")
        case "later":
            return Retry(3600.0, "refused")
        case "unknown":
            return Retry(0.0, "timeout", unknown=True)
        case "dead":
            return Dead("rejected", "no")
        case "release":
            return Release("paused")
        case _:
            return Done("sent")


def _picture(replies: list[Any]) -> model.Picture:
    rows, pending, lanes, waiting, ready, retry = replies
    members = (member.split("\x1f") for member in waiting)
    return model.Picture(
        entries={entry_id: fields["chat_id"] for entry_id, fields in rows},
        pending={} if isinstance(pending, Exception) else {row["message_id"]: row["consumer"] for row in pending},
        lanes=lanes,
        waiting={(chat, "-".join(str(int(part)) for part in padded.split("-"))) for chat, padded in members},
        ready=ready,
        retry=dict(retry),
    )


@contextmanager
def _machines(url: str) -> Iterator[None]:
    with asyncio.Runner() as runner:

        async def connected() -> Connections:
            # Collecting the garbage of what Hypothesis remembers of thousands of examples takes longer than Redis may.
            return connect(url, timeout_s=60.0)

        _QueueMachine.runner = runner
        _QueueMachine.connections = runner.run(connected())
        try:
            yield
        finally:
            runner.run(_QueueMachine.connections.aclose())


def _check(url: str, *, examples: int, steps: int, derandomize: bool) -> None:
    with _machines(url):
        run_state_machine_as_test(
            _QueueMachine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                derandomize=derandomize,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )


def _mended_after_a_deletion_in_flight(machine: _QueueMachine) -> None:
    machine.accept(_plain("a", "a"))
    machine.take(0, 1)
    machine.delete_by_hand(0)
    machine.the_janitor_mends_a_part(0)
    machine.take(0, 1)


def _retried_after_a_deletion_in_flight(machine: _QueueMachine) -> None:
    machine.accept(_plain("a", "a"))
    machine.take(0, 1)
    machine.delete_by_hand(0)
    machine.settle(0, 0, ["soon"])
    machine.nothing_is_lost()
    machine.take(0, 1)


def _lanes_deleted_in_flight(machine: _QueueMachine) -> None:
    machine.accept(_plain("a"))
    machine.take(0, 1)
    machine.delete_an_index_by_hand(1, "lanes")
    machine.accept(_plain("a"))
    machine.take(0, 1)


def _lanes_deleted_and_mended(machine: _QueueMachine) -> None:
    machine.accept(_plain("a", "a"))
    machine.take(0, 4)
    machine.delete_an_index_by_hand(1, "lanes")
    machine.the_janitor_mends_a_part(0)
    machine.take(0, 1)


def _a_scheduled_send_lost_its_time(machine: _QueueMachine) -> None:
    machine.accept([("a", False, "scheduled")])
    machine.take(0, 1)
    machine.delete_an_index_by_hand(1, "retry")
    machine.the_janitor_passes(0)
    machine.take(0, 1)


def _out_again_when_the_group_is_lost(machine: _QueueMachine) -> None:
    machine.accept(_plain("a"))
    machine.take(0, 1)
    machine.settle(0, 0, ["soon"])
    machine.take(0, 1)
    machine.destroy_a_group(1)
    machine.ensure(1)
    machine.be_born()
    machine.take(1, 1)


def _settled_while_the_other_group_is_gone(machine: _QueueMachine) -> None:
    machine.accept(_plain("a") + _plain("a", bulk=True))
    machine.take(0, 4)
    machine.destroy_a_group(2)
    machine.settle(0, 0, ["done"])


def _settled_while_its_group_is_gone(machine: _QueueMachine) -> None:
    machine.accept(_plain("a", "a"))
    machine.take(0, 4)
    machine.destroy_a_group(1)
    machine.settle(0, 0, ["dead"])


def _taken_while_the_other_group_is_gone(machine: _QueueMachine) -> None:
    machine.accept(_plain("b", bulk=True))
    machine.take(0, 1)
    machine.settle(0, 0, ["soon"])
    machine.destroy_a_group(2)
    machine.accept(_plain("a"))
    machine.time_passes(61.0)
    machine.take(0, 4)


def _three_requests(machine: _QueueMachine) -> None:
    machine.accept(_plain("a", "b", "c"))
    for number in model.STREAMS:
        machine.ensure(number)
    machine.take(0, 3)
    for at in range(3):
        machine.send(0, at)


def _flushed_with_a_request_in_flight(machine: _QueueMachine) -> None:
    _three_requests(machine)
    machine.flushall()
    machine.read_for_the_api(0)
    machine.time_passes(61.0)
    _three_requests(machine)


def _flushed_with_requests_of_one_who_dies_then(machine: _QueueMachine) -> None:
    _three_requests(machine)
    machine.flushall()
    machine.a_worker_dies(0)
    machine.read_for_the_api(0)
    machine.time_passes(61.0)
    _three_requests(machine)


def _woken_by_each_message_of_the_other_stream(machine: _QueueMachine) -> None:
    machine.accept(_plain("a", "a", "a") + _plain("a", bulk=True))
    machine.take(0, 4)
    for _ in range(2):
        machine.settle(0, 0, ["done"])
        machine.take(0, 1)


def _retried_after_the_lanes_were_deleted(machine: _QueueMachine) -> None:
    machine.accept(_plain("a", "a"))
    machine.take(0, 1)
    machine.delete_an_index_by_hand(1, "lanes")
    machine.settle(0, 0, ["later"])
    machine.take(0, 1)


def _adopted_after_the_lanes_were_deleted(machine: _QueueMachine) -> None:
    machine.accept(_plain("a", bulk=True))
    machine.take(0, 1)
    machine.delete_an_index_by_hand(2, "lanes")
    machine.a_worker_dies(0)
    machine.accept(_plain("a"))
    machine.adopt(0, idle=True)
    machine.take(0, 1)


def _deleted_in_flight_after_the_lanes(machine: _QueueMachine) -> None:
    machine.accept(_plain("a"))
    machine.take(0, 1)
    machine.delete_an_index_by_hand(1, "lanes")
    machine.delete_by_hand(0)
    machine.accept(_plain("a"))
    machine.take(0, 1)


def _held_after_the_other_group_was_lost(machine: _QueueMachine) -> None:
    machine.accept(_plain("a") + _plain("a", bulk=True))
    machine.take(0, 2)
    machine.destroy_a_group(1)
    machine.an_operator_holds_it()
    machine.take(0, 2)
    machine.take(0, 2)


def _bulk_behind_one_that_was_deleted_in_flight(machine: _QueueMachine) -> None:
    machine.accept(_plain("a", bulk=True))
    machine.take(0, 1)
    machine.delete_by_hand(0)
    machine.accept(_plain("b", bulk=True))
    machine.time_passes(5.0)
    machine.take(0, 1)


@pytest.mark.parametrize(
    "steps",
    [
        _mended_after_a_deletion_in_flight,
        _retried_after_a_deletion_in_flight,
        _lanes_deleted_in_flight,
        _lanes_deleted_and_mended,
        _a_scheduled_send_lost_its_time,
        _out_again_when_the_group_is_lost,
        _settled_while_the_other_group_is_gone,
        _settled_while_its_group_is_gone,
        _taken_while_the_other_group_is_gone,
        _flushed_with_a_request_in_flight,
        _flushed_with_requests_of_one_who_dies_then,
        _woken_by_each_message_of_the_other_stream,
        _retried_after_the_lanes_were_deleted,
        _adopted_after_the_lanes_were_deleted,
        _deleted_in_flight_after_the_lanes,
        _held_after_the_other_group_was_lost,
        _bulk_behind_one_that_was_deleted_in_flight,
    ],
    ids=lambda steps: steps.__name__.strip("_"),
)
def test_what_the_model_found_once_stays_mended(own_url: str, steps: Callable[[_QueueMachine], None]) -> None:
    """
    Each of these few steps broke a promise before.
    """
    with _machines(own_url):
        machine = _QueueMachine()
        machine.start(requests=4, connections=3, reserve=0, workers=1, first=[])
        steps(machine)
        machine.nothing_is_lost()
        machine.teardown()


@pytest.mark.timeout(600)
def test_the_scripts_do_what_the_model_says(own_url: str) -> None:
    """
    Whatever happens in whatever order: nothing is lost, one of a chat is out, and the limits hold.
    """
    _check(own_url, examples=200, steps=40, derandomize=True)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_the_scripts_do_what_the_model_says_for_long(own_url: str) -> None:
    """
    The same with other steps each time, and many more of them.
    """
    _check(own_url, examples=2000, steps=80, derandomize=False)
