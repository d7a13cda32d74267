"""
Spans of OpenTelemetry, for `common.tracing` alone: it imports this when tracing is on.

Samplers, limits, headers, service name and the like are those of OpenTelemetry's standard variables.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, Self

import structlog
from dotenv import dotenv_values
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common import log, tracing

_SERVICE: Final = "avito-gateway"
_UNNAMED: Final = "unknown_service"
_TRACEPARENT: Final = TraceContextTextMapPropagator()

_log = log.logger(__name__)


class _Span(tracing.Span):
    """
    One span; lines of the log that are written meanwhile carry its `trace_id`.
    """

    __slots__ = ("_before", "_current", "_logged", "_span", "_traceparent", "_tracer")

    def __init__(self, span: trace.Span, tracer: trace.Tracer, current: ContextVar[tracing.Span]) -> None:
        self._span = span
        self._tracer = tracer
        self._current = current
        self._before: Token[tracing.Span] | None = None
        self._logged: Mapping[str, Token[object]] = {}
        found = span.get_span_context()
        # Not asked of the propagator, which wants a dictionary to put it in: each entry and each request has one.
        self._traceparent = (
            f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}" if found.is_valid else ""
        )

    @property
    def traceparent(self) -> str:
        return self._traceparent

    def call(self, name: str) -> tracing.Span:
        context = trace.set_span_in_context(self._span, Context())
        return _Span(self._tracer.start_span(name, context, SpanKind.CLIENT), self._tracer, self._current)

    def note(self, **attributes: tracing.Attribute) -> None:
        for name, value in attributes.items():
            if value is not None:
                self._span.set_attribute(name, value)

    def answered(self, status: int | None, otherwise: str) -> None:
        if status is None:
            self.fail(otherwise)
        else:
            self._span.set_attribute("http.response.status_code", status)
            if status >= 400:
                self.fail(str(status))

    def fail(self, why: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, why))

    def __enter__(self) -> Self:
        self._before = self._current.set(self)
        if self._span.is_recording():
            trace_id = trace.format_trace_id(self._span.get_span_context().trace_id)
            self._logged = structlog.contextvars.bind_contextvars(trace_id=trace_id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        structlog.contextvars.reset_contextvars(**self._logged)
        if self._before is not None:
            self._current.reset(self._before)
        if kind is not None:
            # Its text may quote anything.
            self.fail(kind.__name__)
        self._span.end()


class _Tracer:
    """
    Begins spans, and hands them to a receiver in the background, in batches.

    Nothing here waits for the receiver: what it does not take is lost.
    """

    def __init__(self, endpoint: str, current: ContextVar[tracing.Span]) -> None:
        for name, value in dotenv_values(".env").items():
            if name.startswith("OTEL_") and value:
                os.environ.setdefault(name, value)
        resource = Resource.create({})
        if str(resource.attributes.get("service.name", _UNNAMED)).startswith(_UNNAMED):
            resource = resource.merge(Resource({"service.name": _SERVICE}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_Export(_exporter(endpoint))))
        self._tracer = self._provider.get_tracer(_SERVICE)
        self._current = current

    def request(self, name: str, traceparent: str) -> tracing.Span:
        return self._begun(name, _context(traceparent), SpanKind.SERVER)

    def attempt(self, name: str, traceparent: str, *, stream: str, waited_ms: int | None) -> tracing.Span:
        context = _context(traceparent)
        if traceparent and waited_ms is not None:
            # Shown where this clock has it; how long it was is Redis' to say.
            now_ns = time.time_ns()
            waited = self._tracer.start_span(
                f"wait in {stream}", context, SpanKind.INTERNAL, start_time=now_ns - waited_ms * 1_000_000
            )
            waited.end(now_ns)
        span = self._begun(name, context, SpanKind.CONSUMER)
        span.note(waited_ms=waited_ms)
        return span

    def stop(self) -> None:
        self._provider.shutdown()

    def _begun(self, name: str, context: Context, kind: SpanKind) -> _Span:
        return _Span(self._tracer.start_span(name, context, kind), self._tracer, self._current)


def begin(endpoint: str, current: ContextVar[tracing.Span]) -> tracing.Tracer:
    """
    Return what makes spans and sends them to the receiver at `endpoint`; `current` holds the span that is current.
    """
    return _Tracer(endpoint, current)


def _context(traceparent: str) -> Context:
    """
    Return what a text says to go on from; a text that is none begins anew.
    """
    return _TRACEPARENT.extract({"traceparent": traceparent}, Context())


def _exporter(endpoint: str) -> SpanExporter:
    # The more particular variable wins, as everywhere with OpenTelemetry.
    if os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return OTLPSpanExporter()
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")


class _Export(SpanExporter):
    """
    Says once when spans are lost, and once when they are taken again; runs in a thread of OpenTelemetry's.
    """

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._lost = 0
        self._heard = _Heard()
        # It would tell of each batch and each retry.
        library = logging.getLogger("opentelemetry")
        library.handlers[:] = [self._heard]
        library.propagate = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                _log.info("traces.back", lost=self._lost)
            self._lost = 0
        else:
            if not self._lost:
                _log.warning("traces.lost", error=self._heard.last)
            self._lost += len(spans)
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


class _Heard(logging.Handler):
    """
    Keeps the last line of OpenTelemetry's own log.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()
