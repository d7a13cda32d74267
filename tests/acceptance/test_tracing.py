"""
Tracing with the program as processes, the real exporter and a receiver on loopback.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from common.queue.connection import Connections
from sandbox import AvitoFault, N8nFault, Sandbox
from tests.fleet import Fleet, fleet, free_port
from tests.harness import eventually
from tests.integration.ingress.test_webhook import event
from tests.otlp import Receiver, Span, receiver
from tests.program import ROOT, Start, real, start

__all__ = ["start"]

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = PARENT.split("-")[1]
TEXT = "a-text-for-nobody-else"
SECRET = "a-webhook-secret"
SERVER, CLIENT, CONSUMER = 2, 3, 5


@pytest.fixture(name="traces")
def _traces() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture(name="running")
async def _running(
    connections: Connections, redis_url: str, sandbox: Sandbox, tmp_path: Path, traces: Receiver
) -> AsyncIterator[Fleet]:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "WEBHOOK_SECRET": SECRET,
        # It would renew the token first.
        "RECONCILE_INTERVAL": "0",
        "RETRY_MIN_WAIT": "0.02",
        "RETRY_MAX_WAIT": "0.05",
        "FORWARD_RETRY_MIN": "0.02",
        "FORWARD_RETRY_MAX": "0.05",
        "FORWARD_MAX_ATTEMPTS": "2",
    }
    async with fleet(connections, redis_url, sandbox, tmp_path, **settings) as running:
        yield running


def chat_of(sandbox: Sandbox) -> str:
    """
    Return a chat that is there.
    """
    return next(iter(sandbox.avito.chats)).id


def tree(spans: list[Span]) -> list[tuple[str, str]]:
    """
    Return each span's name with that of its parent, in the order of their beginnings.
    """
    names = {span.id: span.name for span in spans}
    return [(span.name, names.get(span.parent, "")) for span in spans]


async def test_one_trace_from_the_rest_call_to_avito(running: Fleet, sandbox: Sandbox, traces: Receiver) -> None:
    """
    A request's trace goes on through the stream to the request at Avito: request, wait, attempt, call; and back to the
    callback at n8n.
    """
    await running.start("ingress", "dispatcher", "forwarder")
    body = {"chat_id": chat_of(sandbox), "text": TEXT, "callback_url": sandbox.n8n_webhook_url}
    answer = await running.client.post(
        "/api/messages/send", json=body, params={"wait": 10}, headers={"traceparent": PARENT}
    )
    command_id = answer.json()["command_id"]
    await eventually(lambda: len(sandbox.n8n.received) == 1)
    await eventually(lambda: len(traces.of(TRACE)) == 8)

    spans = traces.of(TRACE)
    (sent,) = sandbox.journal.list("avito", path="/messages")
    assert {
        ("POST /api/messages/send", ""),
        ("wait in commands", "POST /api/messages/send"),
        ("process commands", "POST /api/messages/send"),
        ("avito token", "process commands"),
        ("avito send_text", "process commands"),
        ("wait in events", "POST /api/messages/send"),
        ("process events", "POST /api/messages/send"),
        ("deliver", "process events"),
    } == set(tree(spans))
    (request,) = traces.named("POST /api/messages/send")
    (attempt,) = traces.named("process commands")
    (call,) = traces.named("avito send_text")
    assert PARENT.split("-")[2] == request.parent
    assert (SERVER, CONSUMER, CLIENT) == (request.kind, attempt.kind, call.kind)
    assert {"account": "100000001", "chat_id": chat_of(sandbox), "command_id": command_id}.items() <= (
        request.attributes.items() & attempt.attributes.items()
    )
    assert ("sent", 1, 200) == (
        attempt.attributes["outcome"],
        attempt.attributes["attempt"],
        request.attributes["http.response.status_code"],
    )
    assert f"00-{TRACE}-{call.id}-01" == sent.traceparent
    assert {"avito-gateway"} == {span.service for span in spans}
    assert TRACE in sandbox.n8n.received[0].headers["traceparent"]


async def test_one_trace_from_the_webhook_to_n8n(running: Fleet, sandbox: Sandbox, traces: Receiver) -> None:
    """
    A webhook begins a trace, its entry carries it, and n8n gets it as a header, on each attempt with a span of its own.
    """
    sandbox.faults.add(N8nFault(kind="status", status=500, count=1))
    await running.start("ingress", "forwarder")
    chat_id = chat_of(sandbox)
    answer = await running.client.post(
        f"/webhook/avito/{SECRET}", json=event(id="m1", chat_id=chat_id, content={"text": TEXT})
    )
    assert 200 == answer.status_code
    await eventually(lambda: len(sandbox.n8n.received) == 1)
    await eventually(lambda: len(traces.named("process events")) == 2)

    (request,) = traces.named("POST /webhook/avito")
    spans = traces.of(request.trace)
    assert [
        ("POST /webhook/avito", ""),
        ("deliver", "process events"),
        ("deliver", "process events"),
        ("process events", "POST /webhook/avito"),
        ("process events", "POST /webhook/avito"),
        ("wait in events", "POST /webhook/avito"),
    ] == sorted(tree(spans))
    first, second = sorted(traces.named("process events"), key=lambda span: span.start_ns)
    assert [("retry", 1), ("delivered", 2)] == [
        (span.attributes["outcome"], span.attributes["attempt"]) for span in (first, second)
    ]
    assert {"account": "100000001", "chat_id": chat_id, "message_id": "m1"}.items() <= second.attributes.items()
    (last,) = (span for span in traces.named("deliver") if span.parent == second.id)
    assert sandbox.n8n.received[0].headers["traceparent"].startswith(f"00-{request.trace}-{last.id}-")


async def test_a_dead_letter_that_is_put_back_stays_in_its_trace(
    running: Fleet, sandbox: Sandbox, traces: Receiver
) -> None:
    """
    What dies ends its span as an error; put back, it goes on in the trace it came with. So do a split text's parts.
    """
    sandbox.faults.add(AvitoFault(kind="status", status=400, count=1, method="POST", path="*/messages"))
    await running.start("ingress", "dispatcher")
    body = {"chat_id": chat_of(sandbox), "text": f"{TEXT} " * 60, "split": True}
    await running.client.post("/api/messages/send", json=body, headers={"traceparent": PARENT})
    await eventually(lambda: len(traces.named("process commands")) == 2)
    code, _ = await running.command("dead", "redrive", "--all")
    assert 0 == code
    await eventually(lambda: len(traces.named("process commands")) == 3)

    attempts = sorted(traces.named("process commands"), key=lambda span: span.start_ns)
    assert {TRACE} == {span.trace for span in attempts}
    assert [("dead", True), ("sent", False), ("sent", False)] == [
        (span.attributes["outcome"], span.is_error) for span in attempts
    ]
    assert "rejected" == attempts[0].attributes["reason"]


async def test_another_worker_goes_on_with_the_trace(running: Fleet, sandbox: Sandbox, traces: Receiver) -> None:
    """
    A worker is killed while it sends; the one that adopts the entry looks into the chat, within the same trace.
    """
    fault = sandbox.faults.add(AvitoFault(kind="hang", method="POST", path="*/messages"))
    ingress = await running.start("ingress")
    first = await running.start("dispatcher")
    await running.client.post(
        "/api/messages/send", json={"chat_id": chat_of(sandbox), "text": TEXT}, headers={"traceparent": PARENT}
    )
    await eventually(lambda: any("hang" in record.fault for record in sandbox.journal.records))
    assert -signal.SIGKILL == await running.stop(first, signal.SIGKILL)
    sandbox.faults.remove(fault)
    await running.start("dispatcher")
    await eventually(lambda: bool(traces.named("avito send_text")), 40)

    (attempt,) = traces.named("process commands")
    assert (TRACE, 1, "sent") == (attempt.trace, attempt.attributes["crashes"], attempt.attributes["outcome"])
    assert ("avito messages", "process commands") in tree(traces.of(TRACE))
    assert ingress.returncode is None


async def test_spans_and_logs_tell_of_each_other_and_of_nothing_else(
    running: Fleet, sandbox: Sandbox, traces: Receiver
) -> None:
    """
    Lines of the log carry the trace's id; no text of a message and no secret is in a span.
    """
    sandbox.faults.add(AvitoFault(kind="status", status=400, count=1, method="POST", path="*/messages"))
    program = await running.start("ingress", "dispatcher", "forwarder", LOG_LEVEL="debug")
    await running.client.post(
        "/api/messages/send", json={"chat_id": chat_of(sandbox), "text": TEXT}, headers={"traceparent": PARENT}
    )
    await running.client.post(f"/webhook/avito/{SECRET}", json=event(id="m1", content={"text": TEXT}))
    for path in ("/webhook/avito/another-secret", f"/webhook/avito/{SECRET}"):
        await running.client.post(path, content=TEXT.encode())
    await running.client.get("/api/chats", params={"item_id": TEXT})
    await eventually(lambda: len(traces.named("POST /webhook/avito")) == 3)
    await eventually(lambda: bool(traces.named("deliver") and traces.named("process commands")))

    lines = [json.loads(line) for line in running.log_of(program).splitlines()]
    assert TRACE in {line.get("trace_id") for line in lines if line["event"] == "avito.called"}
    everything = b"".join(traces.raw)
    assert [] == [mark for mark in (TEXT, SECRET, "another-secret") if mark.encode() in everything]
    assert {200, 400, 404} == {
        span.attributes["http.response.status_code"] for span in traces.named("POST /webhook/avito")
    }


async def test_without_the_extra_the_start_says_what_to_install(start: Start, tmp_path: Path) -> None:
    """
    The endpoint is set and OpenTelemetry is not there: exit code 2 and one line.
    """
    without = tmp_path / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text("import sys\n\nsys.modules['opentelemetry'] = None\n", encoding="utf-8")
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": f"{without}:{ROOT}"}
    program = await start("run", **settings)

    assert 2 == await program.ends()
    assert program.err == (
        "avito-gateway: OTEL_EXPORTER_OTLP_ENDPOINT is set, and opentelemetry is not installed. Install it with "
        "`make otel` or `pip install avito-gateway[otel]`, or unset it\n"
    )


async def test_what_is_not_sampled_is_not_sent(running: Fleet, sandbox: Sandbox, traces: Receiver) -> None:
    """
    The standard variables choose: without a caller's wish nothing is sampled here, on either side of the stream.
    """
    sampler = {"OTEL_TRACES_SAMPLER": "parentbased_always_off", "OTEL_SERVICE_NAME": "mine"}
    await running.start("ingress", "dispatcher", **sampler)
    for headers in ({}, {"traceparent": PARENT}):
        answer = await running.client.post(
            "/api/messages/send",
            json={"chat_id": chat_of(sandbox), "text": TEXT},
            params={"wait": 10},
            headers=headers,
        )
        assert 200 == answer.status_code
    await eventually(lambda: bool(traces.named("avito send_text")))

    assert ({TRACE}, {"mine"}) == ({span.trace for span in traces.spans}, {span.service for span in traces.spans})


async def test_several_ingress_processes_hand_over_their_last_spans(
    start: Start, redis_url: str, sandbox: Sandbox, traces: Receiver
) -> None:
    """
    `--workers 2`: what the processes have not sent yet when they are stopped still arrives.
    """
    late = {"OTEL_EXPORTER_OTLP_ENDPOINT": traces.url, "OTEL_BSP_SCHEDULE_DELAY": "60000"}
    program = await start("run", "ingress", "--workers", "2", **real(sandbox, redis_url), **late)
    await program.prints("ingress.started")
    found = re.search(r"address=(http\S+)", program.err)
    assert found is not None
    async with httpx.AsyncClient(base_url=found[1], trust_env=False, timeout=30) as client:
        for _ in range(4):
            body = {"chat_id": chat_of(sandbox), "text": TEXT}
            assert 202 == (await client.post("/api/messages/send", json=body)).status_code
    assert [] == traces.spans
    program.process.send_signal(signal.SIGTERM)
    assert 0 == await program.ends()

    assert 4 == len(traces.named("POST /api/messages/send"))


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_receiver_that_does_not_take_spans_holds_nobody_up(
    running: Fleet, sandbox: Sandbox, traces: Receiver, *, is_there: bool
) -> None:
    """
    It answers 503, or nothing listens: messages go on, one line tells of it, and the stop does not wait.
    """
    traces.status = 503
    url = traces.url if is_there else f"http://127.0.0.1:{free_port()}"
    quick = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "0.5"}
    program = await running.start("ingress", "dispatcher", **quick)
    for _ in range(3):
        answer = await running.client.post(
            "/api/messages/send", json={"chat_id": chat_of(sandbox), "text": TEXT}, params={"wait": 10}
        )
        assert 200 == answer.status_code
    await eventually(lambda: "traces.lost" in running.log_of(program), 20)
    if is_there:
        traces.status = 200
        await eventually(lambda: answered(running), 5)
        await eventually(lambda: bool(traces.spans), 20)
        await eventually(lambda: "traces.back" in running.log_of(program), 20)
    assert 0 == await running.stop(program)

    lines = [json.loads(line) for line in running.log_of(program).splitlines()]
    assert 1 == [line["event"] for line in lines].count("traces.lost")
    assert [] == [line for line in lines if line["logger"].startswith(("opentelemetry", "urllib3"))]


async def answered(running: Fleet) -> bool:
    """
    Make one more span.
    """
    return (await running.client.get("/api/commands/nobody")).status_code == 404
