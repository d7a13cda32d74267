"""
The queue and the gate as plain Python: what may happen, and what must be true after it. No Redis here.

The model does not choose which entry `take` gives out; it judges each choice, and says when there was one to make.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from common.queue.entry import Tries

STREAMS = (1, 2)
_MOST_CRASHES = 3
# Idle times and clocks are told in whole milliseconds.
_ROUNDING_MS = 3

Key = tuple[int, str]


def order(entry_id: str) -> tuple[int, int]:
    """
    Return an entry id as it sorts.
    """
    ms, seq = entry_id.split("-")
    return int(ms), int(seq)


@dataclass
class Message:
    """
    One entry of a stream. `begun` = given out, and not settled since: its chat waits for it.

    `unknown_since_ms` is set when its outcome must be known to be unknown, `suspect` when it may be called so.
    """

    id: str
    stream: int
    entry_id: str
    chat: str
    scheduled: bool = False
    expires_ms: float = float("inf")
    worker: str | None = None
    out_since_ms: int = 0
    due_ms: int = 0
    given: bool = False
    begun: bool = False
    far: bool = False
    deleted: bool = False
    in_order: bool = True
    attempts: int = 0
    crashes: int = 0
    unknown_since_ms: int | None = None
    suspect: bool = False

    @property
    def key(self) -> Key:
        """
        Return the stream's number and the entry id.
        """
        return self.stream, self.entry_id

    def must_be_unknown(self, since_ms: int) -> None:
        """
        Note that an attempt since then may have taken effect; the first such time counts.
        """
        self.unknown_since_ms = since_ms if self.unknown_since_ms is None else min(self.unknown_since_ms, since_ms)


@dataclass
class Queue:
    """
    Two streams with their lanes.

    `ends` says how each accepted message left; `damaged` that an index was hurt by hand and no pass of the janitor
    came since: until then a chat may stand still. `mended` that this ever happened: what is made ready again then may
    have been so before.
    """

    messages: dict[Key, Message] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)
    ends: dict[str, str] = field(default_factory=dict)
    grouped: dict[int, bool] = field(default_factory=lambda: dict.fromkeys(STREAMS, False))
    damaged: bool = False
    mended: bool = False

    def accept(self, message: Message) -> None:
        """
        A new message lies in its stream.
        """
        self.accepted.append(message.id)
        self.messages[message.key] = message

    def of_chat(self, message: Message) -> Iterator[Message]:
        """
        Yield the other messages of a message's chat, over both streams.
        """
        return (
            other
            for other in self.messages.values()
            if other is not message and message.chat and other.chat == message.chat
        )

    def give(self, worker: str, key: Key, tries: Tries, verdict: str, permit: str, wall_ms: int) -> Message:
        """
        `take` gave an entry to a worker: it must be one that may start, and be told its history.
        """
        message = self.messages[key]
        assert message.worker is None, f"{message} is out already"
        assert not message.deleted, f"{message} was deleted"
        assert not message.far, f"{message} is not due"
        for other in self.of_chat(message):
            assert not other.begun, f"{message} was given out while {other} is not settled"
        if not message.given and not message.scheduled and message.in_order:
            for other in self.of_chat(message):
                first = other.stream == message.stream and order(other.entry_id) < order(message.entry_id)
                waits = not other.given and not other.scheduled and other.in_order and not other.deleted
                assert not (first and waits), f"{message} overtook {other}"
        assert (message.attempts, message.crashes) == (tries.attempts, tries.crashes), f"{message}: {tries}"
        if message.unknown_since_ms is not None:
            assert tries.outcome_unknown, f"{message} was out before: {tries}"
            assert (tries.unknown_since_ms or wall_ms) <= message.unknown_since_ms + _ROUNDING_MS, f"{message}: {tries}"
        elif not message.suspect:
            assert not tries.outcome_unknown, f"{message} was never out: {tries}"
        expected = "expired" if message.expires_ms <= wall_ms else "run"
        assert verdict == ("crashed" if message.crashes >= _MOST_CRASHES else expected), f"{message}: {verdict}"
        assert bool(permit) == (verdict == "run"), f"{message}: permit {permit!r} for {verdict}"
        message.worker, message.out_since_ms = worker, wall_ms
        message.given = message.begun = True
        return message

    def startable(self, wall_ms: int) -> list[Message]:
        """
        Return what an empty-handed `take` should have given out.
        """
        return [
            message
            for message in self.messages.values()
            if message.worker is None
            and not message.deleted
            and not message.far
            and not any(other.begun for other in self.of_chat(message))
        ]

    def owns(self, worker: str, key: Key, action: str) -> bool:
        """
        Whether a result counts: the entry is its worker's, or its whole group is gone and it need not come back.
        """
        if not self.grouped[key[0]]:
            return action != "retry"
        message = self.messages.get(key)
        return message is not None and message.worker == worker

    def end(self, key: Key, message_id: str, status: str) -> None:
        """
        A message left its stream for good.
        """
        self.messages.pop(key, None)
        self.ends[message_id] = status

    def retry(self, key: Key, tries: Tries | None, due_ms: int, now_ms: int) -> None:
        """
        A worker gave an entry back; `tries` None = as it was.
        """
        message = self.messages[key]
        message.worker, message.far, message.due_ms = None, due_ms > now_ms, due_ms
        if message.deleted:
            del self.messages[key]
        elif tries is not None:
            message.attempts, message.crashes = tries.attempts, tries.crashes
            message.unknown_since_ms = tries.unknown_since_ms if tries.outcome_unknown else None

    def pass_time(self, now_ms: int) -> None:
        """
        It is later, by the gate's clock: retries become due.
        """
        for message in self.messages.values():
            message.far = message.far and (message.scheduled or message.due_ms > now_ms)

    def adopt(self, keys: Sequence[Key]) -> int:
        """
        The janitor put entries back whose workers are gone; return how many there still were.
        """
        adopted = 0
        for key in keys:
            message = self.messages[key]
            if message.deleted:
                # A ghost: only the janitor's next pass knows whose turn it is.
                del self.messages[key]
                self.damaged = True
                continue
            message.worker, message.far = None, False
            message.crashes += 1
            message.must_be_unknown(message.out_since_ms)
            adopted += 1
        return adopted

    def delete(self, key: Key, *, follower: bool, head: bool) -> None:
        """
        Somebody deletes an entry by hand; a worker's stays out until the worker is done with it.

        Where its lane does not name it as the `head`, nobody can tell any more whose chat waits for it.
        """
        message = self.messages[key]
        if not head:
            message.chat = ""
        self.ends[message.id] = "removed"
        message.deleted = True
        if message.worker is None:
            del self.messages[key]
            self.damaged = self.damaged or not follower

    def delete_index(self, stream: int, index: str) -> None:
        """
        Somebody deletes a whole index: what only it knew is gone, but never who is out.
        """
        here = [message for message in self.messages.values() if message.stream == stream]
        self.damaged = self.mended = True
        for message in here:
            if not self.grouped[stream]:
                # What is left of the indexes tells that something was out when the group was lost.
                message.unknown_since_ms = None
            if index == "lanes" and message.deleted:
                # Nobody can tell any more whose lane it was.
                message.chat = ""
            if index == "tries":
                message.attempts, message.crashes, message.unknown_since_ms = 0, 0, None
            elif index == "retry":
                message.far = message.scheduled
            elif index in ("lanes", "waiting"):
                message.in_order = False
                message.begun = message.begun and message.worker is not None

    def lose_group(self, stream: int) -> None:
        """
        The group is destroyed: what is left in the stream is new again, and what was out has an unknown outcome.
        """
        self.grouped[stream] = False
        for message in [message for message in self.messages.values() if message.stream == stream]:
            if message.begun and any(other.stream != stream for other in self.of_chat(message)):
                # What it blocks in the other stream is told when it is settled, or by the janitor's next pass.
                self.damaged = self.mended = True
            if message.deleted:
                del self.messages[message.key]
                continue
            if message.worker is not None and message.chat and not self.damaged:
                # Of a message without a chat no index tells that it was out.
                message.must_be_unknown(message.out_since_ms)
            message.worker, message.begun, message.far = None, False, message.scheduled

    def ensure(self, stream: int) -> None:
        """
        The group is there; where it was made now, whatever lay in the stream may have been out.
        """
        for message in self.messages.values():
            if message.stream == stream and not self.grouped[stream]:
                message.suspect = True
        self.grouped[stream] = True

    def lose_stream(self, stream: int, how: str) -> None:
        """
        The stream is deleted with all that lies in it.
        """
        self.grouped[stream] = False
        for message in [message for message in self.messages.values() if message.stream == stream]:
            self.end(message.key, message.id, self.ends.get(message.id, how) if message.deleted else how)

    def check_sum(self) -> None:
        """
        Accepted = settled + dead + expired + cancelled + removed by hand + still in the stream.
        """
        left = Counter(message.id for message in self.messages.values() if not message.deleted)
        found = left + Counter(self.ends.keys())
        assert found == Counter(self.accepted), f"lost or doubled: {found - Counter(self.accepted)}"

    def check_out(self) -> None:
        """
        At most one entry of a chat is out at a time, over both streams.
        """
        out = Counter(message.chat for message in self.messages.values() if message.worker and message.chat)
        assert all(count == 1 for count in out.values()), f"more than one of a chat is out: {out}"


@dataclass
class Request:
    """
    One request to Avito on the gate's clock; `end_ms` None until it has ended. `cut`: its process is gone, so it is not
    open any more, and may arrive all the same. `lost_ms`: since when the gate knows nothing of it.
    """

    start_ms: int
    end_ms: int | None = None
    cut: bool = False
    lost_ms: int | None = None


@dataclass
class Limiter:
    """
    What Avito sees: in no window more requests than allowed, never more open than allowed.

    A request may arrive at any time from its start to its end, so it counts from its start to a window after its end.
    """

    requests: int
    window_ms: int
    connections: int
    timeout_ms: int
    now_ms: int
    made: list[Request] = field(default_factory=list)
    paused_until_ms: int = 0
    # The permit that probes after a pause: None = no pause, '' = nobody yet.
    probe: str | None = None

    def start(self) -> Request:
        """
        A request goes out now.
        """
        request = Request(self.now_ms)
        self.made.append(request)
        counted = [one for one in self.made if one.end_ms is None or one.end_ms + self.window_ms > self.now_ms]
        assert len(counted) <= self.requests, f"{len(counted)} requests in a window: {counted}"
        still_open = [one for one in self.made if one.end_ms is None and not one.cut]
        assert len(still_open) <= self.connections, f"{len(still_open)} requests are open: {still_open}"
        self.made = counted
        return request

    def end(self, request: Request) -> None:
        """
        The answer is there.
        """
        if request.end_ms is None:
            request.end_ms = self.now_ms

    def forget(self, request: Request) -> None:
        """
        The gate has lost its state, and the process is gone that could tell of it: the promise does not cover this.
        """
        if request.end_ms is None:
            request.end_ms = request.lost_ms

    def pass_time(self, ms: int) -> None:
        """
        Time passes; a request that lasts longer than the timeout ends with it, whatever became of its worker.
        """
        self.now_ms += ms
        for request in self.made:
            if request.end_ms is None and request.start_ms + self.timeout_ms <= self.now_ms:
                request.end_ms = request.start_ms + self.timeout_ms


@dataclass
class Picture:
    """
    One stream as it lies in Redis: chats of its entries, owners of its pending ones, and the indexes.
    """

    entries: dict[str, str]
    pending: dict[str, str]
    lanes: dict[str, str]
    waiting: set[tuple[str, str]]
    ready: list[str]
    retry: dict[str, float]


def disagreements(pictures: Sequence[Picture]) -> list[str]:
    """
    Return where the indexes do not say what the pending lists do; entries that were deleted by hand aside.
    """
    return [complaint for stream in pictures for complaint in _disagreements(stream, pictures)]


def _disagreements(stream: Picture, pictures: Sequence[Picture]) -> Iterator[str]:
    for entry_id, owner in stream.pending.items():
        chat = stream.entries.get(entry_id)
        if chat is None:
            continue
        head = stream.lanes.get(chat) == entry_id
        if owner == "~retry" and entry_id not in stream.retry:
            yield f"{entry_id} waits for no time"
        elif owner == "~lane" and not head:
            if (chat, entry_id) not in stream.waiting or chat not in stream.lanes:
                yield f"{entry_id} is behind its chat and not waiting, or behind nobody"
        elif owner == "~lane" and entry_id not in stream.ready and not _busy_elsewhere(stream, chat, pictures):
            yield f"{entry_id} has its turn and is not ready"
        elif not owner.startswith("~") and chat and not head:
            yield f"{entry_id} is out and not the head of its lane"
    for chat, head_id in stream.lanes.items():
        if head_id not in stream.pending:
            yield f"{head_id}, head of {chat}, is not pending"


def _busy_elsewhere(stream: Picture, chat: str, pictures: Sequence[Picture]) -> bool:
    heads = ((other, other.lanes.get(chat, "")) for other in pictures if other is not stream)
    return any(other.pending.get(head, "~lane") != "~lane" for other, head in heads)
