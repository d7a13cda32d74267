"""
Tracing without processes: that it costs nothing while it is off, and how spans hang together while it is on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from common import tracing
from common.queue.connection import Connections
from common.queue.ends import Ends
from common.queue.entry import Entry, Tries
from common.queue.gate import Permit
from common.queue.outcomes import Dead, Done, Outcome, Release, Retry
from common.queue.traced import handler_with_traces, told, waited_ms
from common.settings import load
from ingress import traces
from tests.harness import eventually
from tests.otlp import Receiver, receiver

ROOT = Path(__file__).resolve().parents[3]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
IMPORT_ALL = """
import sys

{before}
import gateway.run, gateway.cli, ingress.app, dispatcher.app, forwarder.app
from common import tracing
from common.queue.connection import Connections
from common.queue.ends import Ends
from common.settings import load

tracing.start(load(None))
ours = ("common.otel", "opentelemetry.sdk.trace", "opentelemetry.exporter", "google.protobuf", "requests")
print([name for name in sys.modules if name.startswith(ours)])
"""


@pytest.fixture(name="received")
def _received(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Receiver]:
    monkeypatch.chdir(tmp_path)
    with receiver() as running:
        tracing.start(load(None, otel_exporter_otlp_endpoint=running.url))
        try:
            yield running
        finally:
            tracing.stop()


def tracer() -> tracing.Tracer:
    """
    Return the tracer of this process, which is on.
    """
    found = tracing.tracer()
    assert found is not None
    return found


def entry(entry_id: str = "1000-0", tries: Tries | None = None) -> Entry:
    """
    Return an entry that was taken at 1500 ms.
    """
    return Entry("p:{1}:commands", entry_id, {"id": "c1"}, tries or Tries(), "run", "permit", 1500)


@pytest.mark.parametrize("before", ["", "sys.modules['opentelemetry'] = None"])
def test_while_it_is_off_opentelemetry_is_not_imported(before: str) -> None:
    """
    No role needs it, nor imports what makes and sends spans where it is installed. redis-py imports what counts for it,
    wherever that is there.
    """
    found = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL.format(before=before)], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "[]\n" == found.stdout


async def _handle(entry: Entry, permit: Permit) -> Outcome:
    return Done("sent")


def test_while_it_is_off_nothing_stands_in_the_way() -> None:
    """
    Handlers and requests are not wrapped, and asking for the current span leaves nothing behind on the heap.
    """
    assert (handler_with_traces(_handle, "dispatcher", "1"), traces.middleware()) == (_handle, [])

    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(1000):
            if tracing.current().traceparent:
                pytest.fail("there is no span")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 1000


def test_a_span_is_current_while_its_context_lasts(received: Receiver) -> None:
    """
    Calls hang on the span that is current, log lines carry its trace, and an error marks it by its class alone.
    """

    def work() -> None:
        with tracer().request("GET /a", PARENT) as request:
            with tracing.current().call("avito chats") as call:
                assert tracing.current() is call
                assert structlog.contextvars.get_contextvars() == {"trace_id": PARENT.split("-")[1]}
            assert tracing.current() is request
            request.note(account="1", left_out=None)
            raise ValueError("secret")

    with pytest.raises(ValueError, match="secret"):
        work()
    assert (tracing.current().traceparent, structlog.contextvars.get_contextvars()) == ("", {})
    tracing.stop()

    (call_span,), (request_span,) = received.named("avito chats"), received.named("GET /a")
    assert (call_span.parent, request_span.parent) == (request_span.id, PARENT.split("-")[2])
    assert (request_span.is_error, request_span.attributes) == (True, {"account": "1"})
    assert b"secret" not in b"".join(received.raw)


async def test_what_serves_all_is_not_in_the_trace_of_who_came_first(
    monkeypatch: pytest.MonkeyPatch, received: Receiver, connections: Connections
) -> None:
    """
    The task that hears of commands' ends is begun by a request, and outlives it.
    """
    seen: list[dict[str, object]] = []

    async def listen(_: Ends) -> None:
        seen.append(structlog.contextvars.get_contextvars() | {"traceparent": tracing.current().traceparent})

    monkeypatch.setattr(Ends, "_listen", listen)
    ends = Ends(connections, "test")
    ends._subscribed.set()
    with tracer().request("GET /a", PARENT):
        async with ends.of("c1"):
            await eventually(lambda: bool(seen))

    assert [{"traceparent": ""}] == seen


@pytest.mark.parametrize("traceparent", ["", "junk", f"{PARENT}x", "00-" + "0" * 32 + "-b7ad6b7169203331-01"])
def test_what_is_no_traceparent_begins_a_trace(received: Receiver, traceparent: str) -> None:
    """
    An entry made by hand may say anything, or nothing.
    """
    with tracer().attempt("process commands", traceparent, stream="commands", waited_ms=5) as span:
        assert PARENT.split("-")[1] not in span.traceparent
    tracing.stop()

    (attempt,) = received.named("process commands")
    assert attempt.parent in ("", *(found.id for found in received.named("wait in commands")))


def test_what_a_variable_of_the_env_file_says_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, received: Receiver
) -> None:
    """
    OpenTelemetry reads its variables from the environment alone; those in `.env` are put there, unless they are there.
    """
    tracing.stop()
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-outside")
    lines = ["OTEL_SERVICE_NAME=from-file", "OTEL_TRACES_SAMPLER=always_off", "API_KEY=secret"]
    (tmp_path / ".env").write_text("\n".join(lines), encoding="utf-8")
    # So that what is put there is taken out again.
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "")
    monkeypatch.delenv("OTEL_TRACES_SAMPLER")
    tracing.start(load(None, otel_exporter_otlp_endpoint=received.url))
    with tracer().request("GET /a", PARENT) as span:
        sampled = span.traceparent[-2:]
    tracing.stop()

    assert ("00", []) == (sampled, received.spans)
    assert "from-outside" == os.environ["OTEL_SERVICE_NAME"]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Done("sent"), {"outcome": "sent"}),
        (Done("skipped"), {"outcome": "skipped"}),
        (Retry(1.23456, "said a text"), {"outcome": "retry", "after_s": 1.235, "outcome_unknown": None}),
        (Retry(0, "", unknown=True), {"outcome": "retry", "after_s": 0, "outcome_unknown": True}),
        (Dead("rejected", "said a text"), {"outcome": "dead", "reason": "rejected"}),
        (Release("n8n is away"), {"outcome": "released"}),
    ],
)
def test_a_span_tells_an_outcome_without_words_of_others(outcome: Outcome, expected: dict[str, object]) -> None:
    """
    Errors quote the other side, which may quote the message.
    """
    assert expected == told(outcome)


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        (entry(), 500),
        (entry("2000-7"), 0),
        (entry("by-hand"), None),
        (entry(tries=Tries(attempts=1, first_at=1100)), None),
    ],
)
def test_the_wait_is_told_once(taken: Entry, expected: int | None) -> None:
    """
    From the entry's id to its first attempt, by Redis' clock.
    """
    assert expected == waited_ms(taken)
