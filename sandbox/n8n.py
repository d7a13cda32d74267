"""
The n8n stand-in: keeps what it is sent, and can answer each delivered text as a workflow would.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import httpx
from pydantic import BaseModel, ConfigDict, Field

from sandbox.changes import Changes
from sandbox.front import RECORD

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.clock import Clock
    from sandbox.front import Message as AsgiMessage
    from sandbox.front import Receive, Send
    from sandbox.journal import Record

KEPT = 100_000
STARTED = b'{"message":"Workflow was started"}'
UNKNOWN = b'{"code":404,"message":"Not found"}'
REPLY_ATTEMPTS = 5
MAY_PASS = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Received:
    """
    One call that reached a workflow. Header names are lower case.
    """

    seq: int
    arrived_s: float
    arrived_mono_s: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @cached_property
    def json(self) -> Any:
        """
        Return the body as JSON; None if it is not.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def as_dict(self) -> dict[str, Any]:
        """
        Return the call for the control API, which is for tests and demos: the body is shown, keys are not.
        """
        hidden = ("authorization", "x-api-key")
        headers = {name: "***" if name in hidden else value for name, value in self.headers.items()}
        return {
            "seq": self.seq,
            "arrived_s": self.arrived_s,
            "arrived_mono_s": self.arrived_mono_s,
            "method": self.method,
            "path": self.path,
            "headers": headers,
            "body": self.json if self.json is not None else self.body.decode("utf-8", "replace"),
        }


class Reply(BaseModel):
    """
    Where and how the demo's workflow answers; `{text}` in the template stands for the customer's text.

    `responds_last`: the webhook is answered when the workflow has ended, so answers keep the order of what they answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateway_url: str
    api_key: str | None = Field(None, repr=False)
    template: str = "You wrote: {text}"
    responds_last: bool = False


class N8n:
    """
    What reached the workflows, oldest first; the last 100 000 calls.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seq = 0
        self._replies: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None
        self.received: deque[Received] = deque(maxlen=KEPT)
        self.reply: Reply | None = None
        self.changes = Changes()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """
        Take a call to `/webhook/...` as an active workflow with any path would; nothing else exists.
        """
        body: bytes = (await receive())["body"]
        path: str = scope["path"]
        if not path.startswith(("/webhook/", "/webhook-test/", "/webhook-waiting/")):
            await _answer(send, 404, UNKNOWN)
            return
        record: Record = scope[RECORD]
        self._seq += 1
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        call = Received(
            self._seq, record.arrived_s, record.arrived_mono_s, scope["method"], path.rstrip("/"), headers, body
        )
        self.received.append(call)
        record.note = headers.get("webhook-id", "")
        replying = None if self.reply is None else self._start_reply(self.reply, call)
        self.changes.notify()
        if replying is not None and self.reply is not None and self.reply.responds_last:
            await asyncio.wait({replying})
        await _answer(send, 200, STARTED)

    async def wait_for(self, is_so: Callable[[Sequence[Received]], bool], timeout_s: float = 10.0) -> list[Received]:
        """
        Return all calls when `is_so(received)` holds; it is asked after each call.
        """
        await self.changes.wait_until(
            lambda: is_so(self.received), timeout_s, lambda: f"{len(self.received)} calls received"
        )
        return list(self.received)

    def clear(self) -> None:
        """
        Forget what was received.
        """
        self.received.clear()
        self.changes.notify()

    async def stop(self) -> None:
        """
        Give up replies under way.
        """
        self.reply = None
        for task in self._replies:
            task.cancel()
        await asyncio.gather(*self._replies, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def _start_reply(self, reply: Reply, call: Received) -> asyncio.Task[None] | None:
        event = call.json
        if not isinstance(event, dict) or event.get("channel") != "avito" or not event.get("text"):
            return None
        task = asyncio.get_running_loop().create_task(self._send_reply(reply, call, event), name=f"reply {call.seq}")
        self._replies.add(task)
        task.add_done_callback(self._replies.discard)
        return task

    async def _send_reply(self, reply: Reply, call: Received, event: dict[str, Any]) -> None:
        """
        Post one answer; tried again with the same Idempotency-Key, so it arrives once.
        """
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=10.0, trust_env=False)
        headers = {"X-API-Key": reply.api_key} if reply.api_key else {}
        if "webhook-id" in call.headers:
            headers["Idempotency-Key"] = f"reply-{call.headers['webhook-id']}"
        text = reply.template.replace("{text}", str(event["text"]))[:1000]
        body = {"chat_id": event.get("external_chat_id"), "text": text}
        url = f"{reply.gateway_url.rstrip('/')}/api/messages/send"
        for attempt in range(REPLY_ATTEMPTS):
            try:
                response = await self._client.post(url, json=body, headers=headers)
                if response.status_code not in MAY_PASS:
                    return
            except httpx.HTTPError:
                pass  # the gateway is away: as good as a 503
            await asyncio.sleep(2**attempt / 4)


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    start: AsgiMessage = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
