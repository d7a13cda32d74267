"""
One HTTP exchange, and the one place where httpx' exceptions become values.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Final

import httpx

from common.avito.answers import Answer, NoAnswer, NotSent, Result
from common.http.headers import date_ms, retry_after_s

# Raised before a byte of the request can have gone out.
NOTHING_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
# Of the deadline, so that httpcore itself gives up connecting: cancelled in a TLS handshake it leaves a socket open.
CONNECT_SHARE: Final = 0.8


class _Progress:
    """
    How far httpcore came: a deadline that ends a connect has certainly sent nothing.
    """

    __slots__ = ("phase",)

    def __init__(self) -> None:
        self.phase = ""

    async def __call__(self, event: str, _info: object) -> None:
        if event.startswith("connection."):
            self.phase = "connecting"
        elif event.endswith("send_request_headers.started"):
            self.phase = "sending"


async def exchange(client: httpx.AsyncClient, request: httpx.Request, timeout_s: float) -> Result:
    """
    Send `request` and read the whole answer within `timeout_s`; redirects are not followed.

    A connection that the other side closed while idle counts as "went out": httpx cannot prove that the request did
    not reach it. After `NoAnswer` the connection is closed; the client should not be used again.
    """
    progress = _Progress()
    timeouts = {"connect": timeout_s * CONNECT_SHARE, "read": None, "write": None, "pool": None}
    request.extensions = {**request.extensions, "trace": progress, "timeout": timeouts}
    try:
        async with asyncio.timeout(timeout_s):
            response = await client.send(request, follow_redirects=False)
    except TimeoutError:
        error = f"no answer within {timeout_s:g} s"
        return NotSent(error) if progress.phase == "connecting" else NoAnswer(error, aborted=True)
    except NOTHING_SENT as error:
        return NotSent(_described(error))
    except httpx.TimeoutException as error:
        return NoAnswer(_described(error), aborted=True)
    except (httpx.HTTPError, httpx.StreamError) as error:
        return NoAnswer(_described(error))
    return read_answer(response)


def read_answer(response: httpx.Response) -> Answer:
    """
    Take from a response what callers need.
    """
    server_ms = date_ms(response.headers.get("date"))
    text = response.text
    try:
        body = json.loads(response.content) if response.content else None
    except (ValueError, RecursionError):
        body = None
    return Answer(
        status=response.status_code,
        body=body,
        text=text,
        retry_after_s=retry_after_s(response.headers.get("retry-after"), server_ms or round(time.time() * 1000)),
        server_ms=server_ms,
    )


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
