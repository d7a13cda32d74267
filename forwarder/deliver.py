"""
One POST to a receiver, and the one place where httpx' exceptions become values.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache
from typing import Final, Protocol

import httpx

from common.avito.http import NOTHING_SENT
from common.http.guard import SSRFProtectionError, guarded
from common.http.pool import ClientPool, Loan
from common.settings import Settings
from forwarder.headers import USER_AGENT
from forwarder.replies import Answered, CutOff, Forbidden, Late, Reply, Unsent, read_answer

_BODY_BYTES: Final = 64 * 1024
_CONNECT_MAX_S: Final = 10.0
# A connect has two timed steps, TCP and TLS: a third each ends it before the deadline, so that it counts as unsent.
_CONNECT_SHARE: Final = 1 / 3


class Lender(Protocol):
    """
    Lends a client for one request: `ClientPool` to n8n, `Guarded` to anywhere else.
    """

    def lend(self) -> AbstractAsyncContextManager[Loan]:
        """
        Lend it for as long as the context lasts.
        """
        ...


class Guarded:
    """
    Lends clients that reach only allowed addresses: for `callback_url`, which a user gave.

    A new one each time, so that a decision about an address is not older than the request.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ssl = httpx.create_ssl_context()

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Loan]:
        """
        Lend a client that is closed afterwards.
        """
        client = httpx.AsyncClient(
            verify=self._ssl,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        )
        async with client:
            yield Loan(guarded(client, self._settings))


def pool() -> ClientPool:
    """
    Return the pool of clients to n8n.
    """
    return ClientPool("", USER_AGENT.decode())


async def post(lender: Lender, url: str, content: bytes, headers: Mapping[bytes, bytes], timeout_s: float) -> Reply:
    """
    POST `content` and say what came back within `timeout_s`; redirects are not followed.

    A status counts from the moment it is there: a body that then fails or never ends takes nothing back.
    """
    async with lender.lend() as loan:
        reply, whole = await _exchange(loan.client, url, content, headers, timeout_s)
        if not whole:
            loan.spoil()
        return reply


async def _exchange(
    client: httpx.AsyncClient, url: str, content: bytes, headers: Mapping[bytes, bytes], timeout_s: float
) -> tuple[Reply, bool]:
    """
    Return the reply, and whether the connection may be used again.
    """
    connect_s = min(_CONNECT_MAX_S, timeout_s * _CONNECT_SHARE)
    response: httpx.Response | None = None
    try:
        # Not `client.build_request`: there is nothing to merge, headers and deadline are all here.
        request = httpx.Request(
            "POST", _parsed(url), headers=dict(headers), content=content, extensions={"timeout": {"connect": connect_s}}
        )
        async with asyncio.timeout(timeout_s):
            response = await client.send(request, stream=True, follow_redirects=False)
            beginning, whole = await _beginning(response)
    except TimeoutError:
        return (Late(timeout_s) if response is None else _answered(response)), False
    except SSRFProtectionError as error:
        return Forbidden(str(error)), False
    except (*NOTHING_SENT, httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
        # The last one: a name that looks like an international one and is not (IDNA).
        return Unsent(_described(error)), False
    except httpx.LocalProtocolError:
        # Ours: a header that HTTP does not allow. Not an answer of the other side.
        raise
    except (httpx.HTTPError, httpx.StreamError) as error:
        return (CutOff(_described(error)) if response is None else _answered(response)), False
    return _answered(response, beginning), whole


@lru_cache(maxsize=64)
def _parsed(url: str) -> httpx.URL:
    """
    Parse an address once: an account's is the same for each event.
    """
    return httpx.URL(url)


async def _beginning(response: httpx.Response) -> tuple[bytes, bool]:
    """
    Return the first part of the body, and whether that was all of it. Only then is the connection free again.
    """
    read = bytearray()
    async for part in response.aiter_raw():
        read += part
        if len(read) > _BODY_BYTES:
            return bytes(read[:_BODY_BYTES]), False
    return bytes(read), True


def _answered(response: httpx.Response, beginning: bytes = b"") -> Answered:
    return read_answer(response.status_code, response.headers, beginning)


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
