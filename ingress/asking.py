"""
What a request says beside its body: its key, and whether it waits for the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, QueryParameter
from litestar.types import Receive

from common.settings import Account
from ingress.bodies import Options
from ingress.problems import invalid
from ingress.waiting import wait_s

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

    async def hung_up(self) -> None:
        """
        Return when the caller has closed the connection.
        """
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
    return Ask(idempotency_key, wait_s(prefer, wait), request.receive)
