"""
What a request says beside its body: its key, and whether it waits for the end.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, Final

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, QueryParameter
from litestar.types import Receive

from common.settings import Account
from ingress.bodies import Options
from ingress.problems import invalid
from ingress.waiting import wait_s

# The ASGI extension whose `event` is set when the server is about to end.
ENDING: Final = "avito_gateway.ending"

KeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key and body again: the first answer. Kept for 72 hours.",
    ),
]
PreferHeader = Annotated[
    str | None, HeaderParameter(name="Prefer", description="`wait=N` waits up to N (25) seconds for the end.")
]
WaitQuery = Annotated[int | None, QueryParameter(ge=0, description="Seconds to wait for the end, up to 25.")]


@dataclass(frozen=True, slots=True)
class Ask:
    """
    The Idempotency-Key of the header, the seconds the caller waits for the end of its command, and its connection.
    """

    key: str | None
    wait_s: float
    receive: Receive
    ending: asyncio.Event | None = None

    async def hung_up(self) -> None:
        """
        Return when the caller has closed the connection, or the server is about to end: its callers learn their
        command's id and ask the next one.
        """
        disconnected = asyncio.create_task(self._disconnected(), name="disconnected")
        ended = asyncio.create_task((self.ending or asyncio.Event()).wait(), name="ending")
        try:
            await asyncio.wait((disconnected, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            disconnected.cancel()
            ended.cancel()

    async def _disconnected(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def key_with(self, options: Options | None) -> str | None:
        """
        Return the key of header or body.

        Raises:

            ProblemError: when both are there and differ.

        """
        in_body = options.idempotency_key if options is not None else None
        if self.key is not None and in_body is not None and self.key != in_body:
            raise invalid("idempotency_key", "This is not the key of the header Idempotency-Key.")
        return self.key if self.key is not None else in_body


def provide_ask(
    request: Request[Any, Any, Any],
    account: NamedDependency[Account],
    idempotency_key: KeyHeader = None,
    prefer: PreferHeader = None,
    wait: WaitQuery = None,
) -> Ask:
    """
    Give handlers their `ask`.

    It comes after the account only so that dependencies are resolved one by one: for several that could be resolved
    together Litestar makes a task group, which costs more than all of them.
    """
    del account
    ending = ((request.scope.get("extensions") or {}).get(ENDING) or {}).get("event")
    assert ending is None or isinstance(ending, asyncio.Event)
    return Ask(idempotency_key, wait_s(prefer, wait), request.receive, ending)
