"""
What the workflows talk to beside the gateway: a chat that takes alerts, and an OpenAI-compatible model.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from litestar import Litestar, Response, post
from litestar.params import JSONBody

from sandbox.changes import Changes
from sandbox.listener import Listener

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application


class Neighbours:
    """
    Both on one port: `/hook` and `/v1`. The model says `answers` in turn, the last one for ever.
    """

    def __init__(self, port: int) -> None:
        self.alerts: list[str] = []
        self.asked: list[list[dict[str, str]]] = []
        self.answers = ["It is still for sale."]
        self._changes = Changes()
        app = Litestar([post("/hook")(self._alert), post("/v1/chat/completions")(self._complete)], openapi_config=None)
        self._listener = Listener(cast("ASGI3Application", app), "127.0.0.1", port)

    @classmethod
    @asynccontextmanager
    async def start(cls, port: int) -> AsyncIterator[Neighbours]:
        """
        Listen on a port until the block ends.
        """
        neighbours = cls(port)
        await neighbours._listener.open()
        try:
            yield neighbours
        finally:
            await neighbours._listener.release()

    async def told(self, count: int, timeout_s: float = 60.0) -> list[str]:
        """
        Wait for so many alerts and return them.
        """
        await self._changes.wait_until(lambda: len(self.alerts) >= count, timeout_s, lambda: str(self.alerts))
        return list(self.alerts)

    async def _alert(self, data: JSONBody[dict[str, str]]) -> Response[str]:
        self.alerts.append(data["text"])
        self._changes.notify()
        return Response("ok", status_code=200, media_type="text/plain")

    async def _complete(self, data: JSONBody[dict[str, Any]]) -> Response[dict[str, Any]]:
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(data["messages"])
        choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        body = {"id": "c1", "object": "chat.completion", "created": 1, "model": data["model"], "choices": [choice]}
        return Response(body | {"usage": usage}, status_code=200)
