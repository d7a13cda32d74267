"""
The load: keep-alive connections over raw sockets, each with one request under way. A process of its own.

`python -m bench.load '{...}'` takes a `Plan` as JSON and prints a `Result` as JSON. It goes to loopback only, and is
bounded in count and in time.
"""

from __future__ import annotations

import asyncio
import gc
import json
import secrets
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

from bench.loop import new_runner
from bench.samples import Kind, request
from bench.stats import Measurement, of_latencies

HOST: Final = "127.0.0.1"
_SILENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What to send: `warm_up` requests that are not measured, then `count`, or fewer when `longest_s` is over.

    `expected_status` 0 takes any answer.
    """

    kind: Kind
    port: int
    expected_status: int
    connections: int = 64
    warm_up: int = 1000
    count: int = 20_000
    longest_s: float = 8.0
    # 0: each connection sends as soon as it has its answer. Else that many requests a second, answered or not.
    per_s: float = 0.0
    # What the ids of a run begin with; of itself a new one each time.
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """
    What came of it; `answered` is how many had the expected answer, those of the warm-up included.

    With a pace: `due_s` is the machine's monotonic time at which each measured request was to be sent, in their order,
    and `good` how many of them were answered with 2xx.
    """

    answered: int
    measurement: Measurement
    due_s: list[float]
    good: int


class LoadError(Exception):
    """
    An answer was not the expected one, or none came.
    """


class _Phase:
    """
    A number of requests that the connections share out among them, as fast as they can or at a pace.
    """

    def __init__(self, requests: list[bytes], plan: Plan) -> None:
        self.requests: Iterator[bytes] = iter(requests)
        self.expected = f"HTTP/1.1 {plan.expected_status or ''}".encode().rstrip()
        self.latencies_s: list[float] = []
        self.due_s: list[float] = []
        self.good = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.began_s = time.perf_counter()
        self.deadline_s = self.began_s + plan.longest_s
        self.ended_s = self.began_s
        self.per_s = plan.per_s
        self._open = 0
        # In turns, so that none is idle for so long that the server closes it.
        self._idle: deque[_Connection] = deque()
        self._late: deque[tuple[bytes, float]] = deque()
        self._left = len(requests)

    def start(self, connections: Sequence[_Connection]) -> None:
        """
        Begin.
        """
        self._open = len(connections)
        if self.per_s:
            self._idle.extend(connections)
            self._tick()
        for connection in connections:
            connection.phase = self
            if not self.per_s:
                self.follow(connection)

    def fail(self, why: str) -> None:
        """
        End it: a benchmark of failures is none.
        """
        if not self.over.done():
            self.over.set_exception(LoadError(why))

    def answered(self, connection: _Connection, sent_s: float, *, good: bool) -> None:
        """
        Count an answer; the connection has the next request.
        """
        self.latencies_s.append(time.perf_counter() - sent_s)
        self.good += good
        if not self.per_s:
            self.follow(connection)
        elif self._late:
            connection.send(*self._late.popleft())
        else:
            self._idle.append(connection)
            if len(self.latencies_s) == self._left:
                self._end(time.perf_counter())

    def follow(self, connection: _Connection) -> None:
        """
        Give a connection its next request, or none any more.
        """
        now_s = time.perf_counter()
        following = next(self.requests, None) if now_s < self.deadline_s else None
        if following is not None:
            connection.send(following, now_s)
            return
        self._open -= 1
        if self._open == 0:
            self._end(now_s)

    def _end(self, now_s: float) -> None:
        if not self.over.done():
            self.ended_s = now_s
            self.over.set_result(None)

    def _tick(self) -> None:
        """
        Send all that is due. By the clock: an answer that is late does not slow down what follows.
        """
        now_s = time.perf_counter()
        while not self.over.done() and (due_s := self.began_s + len(self.due_s) / self.per_s) <= now_s:
            following = next(self.requests, None)
            if following is None:
                return
            self.due_s.append(now_s)
            if self._idle:
                self._idle.popleft().send(following, now_s)
            else:
                self._late.append((following, now_s))
        if not self.over.done():
            asyncio.get_running_loop().call_later(due_s - now_s, self._tick)


class _Connection(asyncio.Protocol):
    """
    One connection: sends, waits for the whole answer, sends the next.
    """

    def __init__(self) -> None:
        self.phase: _Phase | None = None
        self._transport: asyncio.Transport | None = None
        self._sent_s = 0.0
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.phase is not None:
            self.phase.fail(f"the server closed a connection ({exc})")

    def close(self) -> None:
        """
        Close it.
        """
        self.phase = None
        assert self._transport is not None
        self._transport.close()

    def send(self, request: bytes, since_s: float) -> None:
        """
        Send a request, which is timed from that moment on.
        """
        self._sent_s = since_s
        assert self._transport is not None
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        phase = self.phase
        if phase is None:
            return
        self._got += data
        try:
            if not _is_whole(self._got):
                return
        except LoadError as error:
            phase.fail(str(error))
            return
        answer, self._got = self._got, b""
        if not answer.startswith(phase.expected):
            phase.fail(f"an answer was not the expected one: {answer[:300]!r}")
            return
        phase.answered(self, self._sent_s, good=answer.startswith(b"HTTP/1.1 2"))


def _is_whole(answer: bytes) -> bool:
    head_bytes = answer.find(b"\r\n\r\n")
    if head_bytes < 0:
        return False
    head = answer[:head_bytes].lower()
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        raise LoadError(f"an answer without Content-Length: {answer[:300]!r}")
    length = int(head[at + 17 :].split(b"\r\n", 1)[0])
    return len(answer) - head_bytes - 4 >= length


async def run(plan: Plan) -> Result:
    """
    Carry out a plan.

    Raises:

        LoadError: an answer was not the expected one, the server closed a connection or was silent.

    """
    tag = plan.tag or secrets.token_hex(8)
    host = f"{HOST}:{plan.port}"
    made = [request(plan.kind, host, tag, number) for number in range(plan.warm_up + plan.count)]
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(_Connection, HOST, plan.port))[1] for _ in range(max(1, plan.connections))
    ]
    gc.collect()
    gc.disable()
    answered = 0
    try:
        for requests in filter(None, (made[: plan.warm_up], made[plan.warm_up :])):
            phase = _Phase(requests, plan)
            phase.start(connections)
            try:
                await asyncio.wait_for(phase.over, plan.longest_s + _SILENCE_S)
            except TimeoutError:
                raise LoadError(f"the server was silent for {_SILENCE_S:.0f} s") from None
            answered += len(phase.latencies_s)
    finally:
        gc.enable()
        for connection in connections:
            connection.close()
    rate_per_s = len(phase.latencies_s) / (phase.ended_s - phase.began_s)
    return Result(answered, of_latencies(phase.latencies_s, rate_per_s), phase.due_s, phase.good)


def read_result(fields: Mapping[str, Any]) -> Result:
    """
    Read what the process printed.
    """
    return Result(**{**fields, "measurement": Measurement(**fields["measurement"])})


def main(argument: str) -> None:
    """
    Run the plan that the argument holds, and print the result.
    """
    with new_runner() as runner:
        print(json.dumps(asdict(runner.run(run(Plan(**json.loads(argument)))))))


if __name__ == "__main__":
    main(sys.argv[1])
