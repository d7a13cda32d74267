"""
What stands in front of both stand-ins: journal every request, let limit and faults act, date the answer.
"""

from __future__ import annotations

import asyncio
import json
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Literal

from sandbox.faults import AvitoFault, N8nFault
from sandbox.listener import ARRIVED, TRANSPORT
from sandbox.refusals import Refused, bad_token, component

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from sandbox.clock import Clock
    from sandbox.faults import Faults
    from sandbox.journal import Journal, Record

    Message: TypeAlias = dict[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[Message]]
    Send: TypeAlias = Callable[[Message], Awaitable[None]]
    App: TypeAlias = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]
    # Say whose request this is (its record's user_id) and refuse it if it comes too fast.
    Admit: TypeAlias = Callable[[dict[str, Any], bytes, Record], Refused | None]

RECORD = "sandbox.record"
NOT_REGISTERED_HINT = (
    "The workflow must be active for a production URL to run successfully. You can activate the workflow using the "
    "toggle in the top-right of the editor. Note that unlike test URL calls, production URL calls aren't shown on the "
    "canvas (only in the executions list)"
)
ENVOY = b"upstream connect error or disconnect/reset before headers. reset reason: connection termination"


class Front:
    """
    An ASGI application around another one.

    A request is read whole, counted, maybe struck by a fault, and answered. A fault that says `taken` lets the
    application do its work and withholds the answer.
    """

    def __init__(
        self,
        app: App,
        kind: type[AvitoFault | N8nFault],
        *,
        journal: Journal,
        faults: Faults,
        clock: Clock,
        admit: Admit | None = None,
    ) -> None:
        self._app = app
        self._kind = kind
        self._face: Literal["avito", "n8n"] = "avito" if kind is AvitoFault else "n8n"
        self._journal = journal
        self._faults = faults
        self._clock = clock
        self._admit = admit

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """
        Answer one request, or not, as the faults will have it.
        """
        journal = self._journal
        record = journal.begin(self._face, scope["method"], scope["path"], scope["extensions"][ARRIVED])
        scope[RECORD] = record
        record.traceparent = next((value.decode() for name, value in scope["headers"] if name == b"traceparent"), "")
        outcome = "failed"
        try:
            body = await _read(receive)
            if body is None:
                journal.arrived(record)
                outcome = "left"
                return
            record.body_bytes = len(body)
            too_fast = self._admit(scope, body, record) if self._admit else None
            journal.arrived(record)
            answer = _Answer(send, record, self._clock)
            if too_fast is not None:
                record.fault = "limit"
                await answer.give(too_fast)
                outcome = "answered"
                return
            outcome = await self._answer(scope, body, receive, answer, record)
        finally:
            journal.end(record, outcome)

    async def _answer(
        self, scope: dict[str, Any], body: bytes, receive: Receive, answer: _Answer, record: Record
    ) -> str:
        struck = self._faults.strike(self._kind, scope["method"], scope["path"])
        record.fault = " ".join(fault.kind for fault in struck)
        delay_s = sum(self._faults.delay_s(fault) for fault in struck if fault.kind == "latency")
        if delay_s and await _client_left(receive, delay_s):
            return "left"
        fault = next((fault for fault in struck if fault.kind != "latency"), None)
        if fault is None:
            await self._app(scope, _replay(body, receive), answer.send)
            return "answered"
        if fault.taken:
            answer.withhold()
            await self._app(scope, _replay(body, receive), answer.send)
        if fault.kind == "hang" and await _client_left(receive, fault.hold_s):
            return "held"
        if fault.kind == "drop" or (fault.kind == "hang" and not fault.taken):
            await _cut(scope, receive)
            return "dropped"
        if fault.kind == "hang":
            await answer.release()
        else:
            await answer.give(faulty_answer(fault, scope["method"], scope["path"], self._clock.now_s()))
        return "answered"


class _Answer:
    """
    The way back to the client: dated, journaled, and withheld while a fault wants it so.
    """

    def __init__(self, send: Send, record: Record, clock: Clock) -> None:
        self._send = send
        self._record = record
        self._clock = clock
        self._withheld: list[Message] | None = None

    async def send(self, message: Message) -> None:
        if self._withheld is not None:
            self._withheld.append(message)
            return
        if message["type"] == "http.response.start":
            self._record.status = message["status"]
            message["headers"] = [*message["headers"], (b"date", self._clock.http_date())]
        await self._send(message)

    def withhold(self) -> None:
        self._withheld = []

    async def release(self) -> None:
        messages, self._withheld = self._withheld or [], None
        for message in messages:
            await self.send(message)

    async def give(self, refused: Refused) -> None:
        self._withheld = None
        body = refused.body if isinstance(refused.body, bytes) else json.dumps(refused.body).encode()
        kind = b"text/plain" if isinstance(refused.body, bytes) else b"application/json"
        headers = [(name.lower().encode(), value.encode()) for name, value in refused.headers.items()]
        headers += [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": refused.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def faulty_answer(fault: AvitoFault | N8nFault, method: str, path: str, now_s: float) -> Refused:
    """
    Return the answer that a fault gives in place of the real one.
    """
    headers = {}
    if fault.retry_after_s is not None:
        headers["Retry-After"] = (
            formatdate(now_s + fault.retry_after_s, usegmt=True)
            if fault.retry_after_form == "date"
            else f"{fault.retry_after_s:g}"
        )
    if fault.rate_headers:
        headers |= {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0"}
    if isinstance(fault, AvitoFault) and fault.kind == "expired_token":
        return bad_token(fault.form, "access token expired")
    if fault.kind == "not_registered":
        webhook = path.removeprefix("/webhook/").strip("/")
        message = f'The requested webhook "{method} {webhook}" is not registered.'
        return Refused(404, {"code": 404, "message": message, "hint": NOT_REGISTERED_HINT})
    if isinstance(fault, N8nFault):
        return Refused(fault.status, {"code": fault.status, "message": "Workflow could not be started!"}, headers)
    if fault.status in (502, 503, 504):
        return Refused(fault.status, ENVOY, headers)
    return Refused(fault.status, component(fault.status), headers)


async def _read(receive: Receive) -> bytes | None:
    """
    Return the whole body, or None when the client left before it was sent.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message["body"]
        return body
    parts = []
    while message["type"] == "http.request":
        parts.append(message["body"])
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    return None


def _replay(body: bytes, receive: Receive) -> Receive:
    """
    Give the application the body that was already read, then what really comes.
    """
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


async def _client_left(receive: Receive, within_s: float | None) -> bool:
    """
    Wait for the client to close its connection, for ever when `within_s` is None.
    """
    try:
        async with asyncio.timeout(within_s):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


async def _cut(scope: dict[str, Any], receive: Receive) -> None:
    """
    Close the TCP connection without an answer, and wait until uvicorn knows, lest it answer 500 in our place.
    """
    scope["extensions"][TRANSPORT].close()
    await _client_left(receive, None)
