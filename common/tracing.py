"""
Traces: the story of one message as spans (docs/tracing.md), if `OTEL_EXPORTER_OTLP_ENDPOINT` is set.

This is the one seam: nobody else knows OpenTelemetry, and while tracing is off it is not imported. Attributes of
spans are ids, numbers and outcomes, never the text of a message or a secret.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Protocol, Self

from common.errors import SettingsError
from common.settings import Settings

# How long the end of the program waits for the last spans to be taken.
_LAST_S: Final = 2.0

Attribute = str | int | float | bool | None


class Span:
    """
    A piece of the story, current while its context lasts. This one is not recorded: all there is while tracing is off.

    `traceparent` (W3C Trace Context) lets another process go on from here; empty where there is nothing to go on from.
    """

    __slots__ = ()

    @property
    def traceparent(self) -> str:
        """
        What goes into a header or an entry.
        """
        return ""

    def call(self, name: str) -> Span:  # noqa: ARG002 - nothing is named here
        """
        Begin a request to another program, as a part of this.
        """
        return self

    def note(self, **attributes: Attribute) -> None:
        """
        Say more of it; None is left out.
        """

    def answered(self, status: int | None, otherwise: str) -> None:
        """
        Say how a request ended: with an HTTP status, or else with what came instead, in one word.
        """

    def fail(self, why: str) -> None:
        """
        Mark it as gone wrong. `why` is one of few words.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """
        End it.
        """


class Tracer(Protocol):
    """
    Begins the spans that a trace enters this process with.
    """

    def request(self, name: str, traceparent: str) -> Span:
        """
        Begin with an HTTP request, whose caller may have begun already.
        """
        ...

    def attempt(self, name: str, traceparent: str, *, stream: str, waited_ms: int | None) -> Span:
        """
        Begin an attempt with an entry, where the one who stored it left off.

        `waited_ms` is how long it lay in `stream`, None where that was told before.
        """
        ...

    def stop(self) -> None:
        """
        Hand over the last spans. It may block for as long as the receiver is slow.
        """
        ...


_OFF: Final = Span()
_current: Final[ContextVar[Span]] = ContextVar("span", default=_OFF)
# Set once, before anything works.
_tracer: Tracer | None = None


def current() -> Span:
    """
    Return the span that this piece of work belongs to.
    """
    return _current.get()


def tracer() -> Tracer | None:
    """
    Return what begins spans, None while tracing is off. Who is not told of it at the start has no cost by it.
    """
    return _tracer


def start(settings: Settings) -> None:
    """
    Turn tracing on in this process, if the settings ask for it.

    Raises:

        SettingsError: they do, and OpenTelemetry is not installed.

    """
    global _tracer  # noqa: PLW0603 - one a process, as the log
    if settings.otel_exporter_otlp_endpoint is None:
        return
    try:
        from common import otel  # noqa: PLC0415 - an extra that is there or not
    except ImportError as error:
        raise SettingsError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, and {error.name} is not installed. Install it with `make otel` "
            "or `pip install avito-gateway[otel]`, or unset it"
        ) from None
    _tracer = otel.begin(settings.otel_exporter_otlp_endpoint, _current)


def stop() -> None:
    """
    Turn tracing off and hand over the last spans, within 2 s; what is not taken then is lost. Safe to call again.
    """
    global _tracer  # noqa: PLW0603 - one a process, as the log
    if _tracer is not None:
        last = threading.Thread(target=_tracer.stop, name="last-spans", daemon=True)
        _tracer = None
        last.start()
        last.join(_LAST_S)
