"""
The whole sandbox on three ports, in this process.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs

from sandbox import avito_http, control
from sandbox.avito import Avito
from sandbox.clock import Clock
from sandbox.faults import AvitoFault, Faults, N8nFault
from sandbox.front import Front
from sandbox.journal import Journal
from sandbox.listener import Listener
from sandbox.n8n import N8n
from sandbox.options import Options
from sandbox.refusals import Refused, component

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from uvicorn._types import ASGI3Application

    from sandbox.journal import Record

CUSTOMERS = ("Иван", "Анна", "Глеб", "Мария", "Олег")
ADS = ("Ролик обводной", "Машинка для стрижки", "Велосипед", "Детская кроватка", "Зимние шины")


class Sandbox:
    """
    Avito, n8n and the control API, each on a port of its own, and their state for direct use.

        async with Sandbox.start() as sandbox:
            sandbox.faults.add(AvitoFault(kind="drop", taken=True, count=1, path="*/messages"))
            ...
            await sandbox.avito.wait_for(lambda avito: len(avito.sent()) == 10)
            assert sandbox.journal.worst(window_s=4.0) <= 40
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.clock = Clock()
        self.journal = Journal(self.clock)
        self.faults = Faults(options.seed)
        self.n8n = N8n(self.clock)
        self._control = Listener(cast("ASGI3Application", control.face(self)), options.host, options.control_port)
        self.avito = Avito(options.behaviour, self.clock, self.journal, self.faults, self._control.url)
        front: dict[str, Any] = {"journal": self.journal, "faults": self.faults, "clock": self.clock}
        avito_front = Front(avito_http.face(self.avito), AvitoFault, admit=self._admit, **front)
        self._avito = Listener(cast("ASGI3Application", avito_front), options.host, options.avito_port)
        n8n_front = Front(self.n8n, N8nFault, **front)
        self._n8n = Listener(cast("ASGI3Application", n8n_front), options.host, options.n8n_port)
        self._seed_state()

    @classmethod
    @asynccontextmanager
    async def start(cls, options: Options | None = None, **fields: Any) -> AsyncIterator[Sandbox]:
        """
        Serve until the block ends; `fields` are those of `Options`. No signal handler is installed.
        """
        sandbox = cls(options or Options(**fields))
        try:
            for listener in (sandbox._avito, sandbox._n8n, sandbox._control):
                await listener.open()
            yield sandbox
        finally:
            await sandbox.avito.webhooks.stop()
            await sandbox.n8n.stop()
            for listener in (sandbox._avito, sandbox._n8n, sandbox._control):
                await listener.release()

    @property
    def avito_url(self) -> str:
        """
        Return the base URL for `AVITO_BASE_URL`.
        """
        return self._avito.url

    @property
    def n8n_url(self) -> str:
        """
        Return the n8n stand-in's base URL; it keeps its port while it is down.
        """
        return self._n8n.url

    @property
    def n8n_webhook_url(self) -> str:
        """
        Return a URL for `N8N_WEBHOOK_URL`.
        """
        return f"{self._n8n.url}/webhook/avito"

    @property
    def control_url(self) -> str:
        """
        Return the base URL of the control API, whose paths begin with `/control`.
        """
        return self._control.url

    async def n8n_down(self) -> None:
        """
        Let n8n refuse connections; those that are open are cut.
        """
        await self._n8n.close()

    async def n8n_up(self) -> None:
        """
        Let n8n listen again, on the same port.
        """
        await self._n8n.open()

    async def avito_down(self) -> None:
        """
        Let Avito refuse connections; those that are open are cut.
        """
        await self._avito.close()

    async def avito_up(self) -> None:
        """
        Let Avito listen again, on the same port.
        """
        await self._avito.open()

    def reset(self) -> None:
        """
        Start over: no faults, no shift, the behaviour of the start, the demo chats alone. Tokens stay good.
        """
        self.faults.clear()
        self.clock.shift_s = 0.0
        self.avito.behaviour = self.options.behaviour
        self.avito.clear()
        self.n8n.clear()
        self.journal.clear()
        self._seed_state()

    def addresses(self) -> dict[str, Any]:
        """
        Return what another process needs to use the sandbox: URLs, the first account, the chats.
        """
        account = self.avito.chats.accounts[self.avito.default_user_id]
        return {
            "avito_url": self.avito_url,
            "n8n_url": self.n8n_url,
            "n8n_webhook_url": self.n8n_webhook_url,
            "control_url": self.control_url,
            "user_id": account.user_id,
            "client_id": account.client_id,
            "client_secret": account.client_secret,
            "chats": [chat.id for chat in self.avito.chats],
        }

    def _seed_state(self) -> None:
        for account in self.options.accounts:
            self.avito.register(account)
        for number in range(self.options.chats):
            self.avito.create_chat(customer_name=CUSTOMERS[number % len(CUSTOMERS)], title=ADS[number % len(ADS)])

    def _admit(self, scope: dict[str, Any], body: bytes, record: Record) -> Refused | None:
        """
        Say whose request this is, and refuse it when the limiter is on and the account's window is full.
        """
        avito = self.avito
        if record.path.rstrip("/") == "/token":
            form = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
            account = avito.tokens.client(form)
            record.user_id = account.user_id if account else 0
        else:
            record.user_id = next(
                (
                    avito.tokens.owner(value[7:].strip().decode("latin-1"))
                    for name, value in scope["headers"]
                    if name == b"authorization" and value[:7].lower() == b"bearer "
                ),
                0,
            )
        limit = avito.behaviour.limit
        if limit is None:
            return None
        wait_s = avito.limiter.wait_s(record.user_id, record.arrived_mono_s, limit)
        if not wait_s:
            return None
        headers = {"Retry-After": str(int(wait_s) + 1)} if limit.retry_after else {}
        if limit.rate_headers:
            per_minute = round(limit.requests * 60 / limit.window_s)
            headers |= {"X-RateLimit-Limit": str(per_minute), "X-RateLimit-Remaining": "0"}
        return Refused(429, component(429), headers)
