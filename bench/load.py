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
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final, cast

from bench.loop import new_runner
from bench.samples import Kind, request
from bench.stats import Measurement, of_latencies

HOST: Final = "127.0.0.1"
_SILENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """
    What to send: `warm_up` requests that are not measured, then `count`, or fewer when `longest_s` is over.
    """

    kind: Kind
    port: int
    expected_status: int
    connections: int = 64
    warm_up: int = 1000
    count: int = 20_000
    longest_s: float = 8.0


@dataclass(frozen=True, slots=True)
class Result:
    """
    What came of it; `answered` is how many had the expected answer, those of the warm-up included.
    """

    answered: int
    measurement: Measurement


class LoadError(Exception):
    """
    An answer was not the expected one, or none came.
    """


class _Phase:
    """
    A number of requests that the connections share out among them.
    """

    def __init__(self, requests: list[bytes], expected_status: int, longest_s: float) -> None:
        self.requests: Iterator[bytes] = iter(requests)
        self.expected = f"HTTP/1.1 {expected_status} ".encode()
        self.latencies_s: list[float] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.began_s = time.perf_counter()
        self.deadline_s = self.began_s + longest_s
        self.ended_s = self.began_s
        self.open = 0

    def fail(self, why: str) -> None:
        """
        End it: a benchmark of failures is none.
        """
        if not self.over.done():
            self.over.set_exception(LoadError(why))


class _Connection(asyncio.Protocol):
    """
    One connection: sends, waits for the whole answer, sends the next.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._phase: _Phase | None = None
        self._sent_s = 0.0
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._phase is not None:
            self._phase.fail(f"the server closed a connection ({exc})")

    def close(self) -> None:
        """
        Close it.
        """
        self._phase = None
        assert self._transport is not None
        self._transport.close()

    def start(self, phase: _Phase) -> None:
        """
        Take part in a phase.
        """
        self._phase = phase
        phase.open += 1
        self._next(phase)

    def _next(self, phase: _Phase) -> None:
        now_s = time.perf_counter()
        following = next(phase.requests, None) if now_s < phase.deadline_s else None
        if following is None:
            phase.open -= 1
            self._phase = None
            if phase.open == 0 and not phase.over.done():
                phase.ended_s = now_s
                phase.over.set_result(None)
            return
        self._sent_s = now_s
        assert self._transport is not None
        self._transport.write(following)

    def data_received(self, data: bytes) -> None:
        phase = self._phase
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
        phase.latencies_s.append(time.perf_counter() - self._sent_s)
        self._next(phase)


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
    tag = secrets.token_hex(8)
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
        for requests in (made[: plan.warm_up], made[plan.warm_up :]):
            phase = _Phase(requests, plan.expected_status, plan.longest_s)
            for connection in connections:
                connection.start(phase)
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
    return Result(answered, of_latencies(phase.latencies_s, rate_per_s))


def read_result(text: str) -> Result:
    """
    Read what the process printed.
    """
    fields = json.loads(text)
    return Result(fields["answered"], Measurement(**fields["measurement"]))


def main(argument: str) -> None:
    """
    Run the plan that the argument holds, and print the result.
    """
    with new_runner() as runner:
        print(json.dumps(asdict(runner.run(run(Plan(**json.loads(argument)))))))


if __name__ == "__main__":
    main(sys.argv[1])
