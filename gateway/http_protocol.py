"""
One connection of the ingress: uvicorn's, and an end for clients that are too slow or send a head without end.

uvicorn times only the pause between two requests. Here, too, a head must be whole within `head_s`, a body must come on
at `body_bytes` each `body_s`, an answer must be read on within `answer_s`, and a head has at most `head_bytes`. So a
client that says nothing, or says it byte by byte, takes a file and some memory for a while, not for good.

At the end of the server uvicorn cuts idle connections at once, also under a request that is just on its way, which a
proxy must not repeat if it is a POST. Here they stay for `linger_s`: the next request is answered, with `Connection:
close`. What waits for the end of a message is told, and answers at once.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.http_transport import JoiningTransport
from ingress.asking import ENDING

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class HttpProtocol(HttpToolsProtocol):
    """
    A connection of uvicorn's with these limits.

    A request that arrives in one piece, as webhooks do, starts no timer.
    """

    head_s = 10.0
    head_bytes = 64 * 1024
    body_s = 30.0
    body_bytes = 64 * 1024
    answer_s = 30.0
    linger_s = 1.0

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._due: Literal["head", "body"] | None = "head"
        self._timed: Literal["head", "body"] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._received = 0
        self._received_before = 0
        self._unread = 0
        self._ending = asyncio.Event()
        self._linger: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """
        Wait for the head of the first request.
        """
        super().connection_made(JoiningTransport(transport, self.loop))
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """
        Wait for nothing any more.
        """
        self._due = None
        self._watch()
        if self._linger is not None:
            self._linger.cancel()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """
        Feed the parser, then see what is still due.
        """
        self._received += len(data)
        self._unread += len(data)
        super().data_received(data)
        if self._due is None and self.cycle is not None and self.cycle.response_complete:
            # An empty line between two requests has ended uvicorn's own timer.
            self._due = "head"
        if self._unread > self.head_bytes:
            self._end(_TOO_LARGE)
        else:
            self._watch()

    def on_message_begin(self) -> None:
        """
        A head has begun.
        """
        self._due = "head"
        super().on_message_begin()
        self.scope["extensions"] = {ENDING: {"event": self._ending}}

    def on_headers_complete(self) -> None:
        """
        The head is whole.
        """
        self._due, self._unread = "body", 0
        super().on_headers_complete()
        if self._ending.is_set() and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """
        A piece of the body is there; what lies between two of them counts like a head.
        """
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """
        The request is whole.
        """
        self._due, self._unread = None, 0
        super().on_message_complete()

    def shutdown(self) -> None:
        """
        End with the answer under way, else with the next one, else after a while.
        """
        self._ending.set()
        if self._is_idle():
            self._linger = self.loop.call_later(self.linger_s, self._leave)
        else:
            super().shutdown()

    def pause_writing(self) -> None:
        """
        The client reads more slowly than we write.
        """
        super().pause_writing()
        self._stuck = self.loop.call_later(self.answer_s, self.transport.abort)

    def resume_writing(self) -> None:
        """
        The client has read on.
        """
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        super().resume_writing()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _leave(self) -> None:
        # A head that is half there is a request: it gets its answer, or ends as one that is too slow.
        if self._is_idle() and not self._unread:
            self.transport.close()

    def _watch(self) -> None:
        if self._due == self._timed:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timed = self._due
        if self._due is not None and not self.transport.is_closing():
            self._received_before = self._received
            self._timer = self.loop.call_later(self.head_s if self._due == "head" else self.body_s, self._late)

    def _late(self) -> None:
        self._timed = self._timer = None
        came = self._received - self._received_before
        if self._due == "body" and (came >= self.body_bytes or self.flow.read_paused):
            # It comes on, or we are the slow ones.
            self._watch()
        else:
            self._end(_TOO_SLOW if self._unread or self._due == "body" else b"")

    def _end(self, answer: bytes) -> None:
        if self.transport.is_closing():
            return
        if answer and (self.cycle is None or not self.cycle.response_started or self.cycle.response_complete):
            self.transport.write(answer)
        self.transport.close()
