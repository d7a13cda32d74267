"""
A receiver of spans (OTLP over HTTP) on a free port of this machine, for tests of tracing.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

PATH: Final = "/v1/traces"


@dataclass(frozen=True)
class Span:
    """
    One span as it came. Ids are hexadecimal, `parent` is empty for the first of a trace.
    """

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    start_ns: int
    end_ns: int
    is_error: bool
    attributes: dict[str, str | int | float | bool]
    service: str


@dataclass
class Receiver:
    """
    What has come until now; `status` is what it answers.
    """

    url: str
    status: int = 200
    spans: list[Span] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def of(self, trace: str) -> list[Span]:
        """
        Return a trace's spans in the order of their beginning.
        """
        return sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.start_ns)

    def named(self, name: str) -> list[Span]:
        """
        Return the spans of that name.
        """
        return [span for span in self.spans if span.name == name]

    def take(self, body: bytes) -> None:
        """
        Read one request's body.
        """
        self.raw.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {one.key: _plain(one.value) for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        Span(
                            name=span.name,
                            kind=span.kind,
                            trace=span.trace_id.hex(),
                            id=span.span_id.hex(),
                            parent=span.parent_span_id.hex(),
                            start_ns=span.start_time_unix_nano,
                            end_ns=span.end_time_unix_nano,
                            is_error=span.status.code == 2,
                            attributes={one.key: _plain(one.value) for one in span.attributes},
                            service=str(about["service.name"]),
                        )
                    )


def _plain(value: AnyValue) -> str | int | float | bool:
    found: str | int | float | bool = getattr(value, value.WhichOneof("value") or "string_value")
    return found


@contextmanager
def receiver() -> Iterator[Receiver]:
    """
    Run a receiver in a thread.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == PATH and found.status == 200:
                found.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(found.status if self.path == PATH else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
