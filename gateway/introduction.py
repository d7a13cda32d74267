"""
The program introduces itself: where everything is, and in the sandbox the first message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from common.avito import calls, reads
from common.avito.client import Avito
from common.errors import GatewayError
from common.queue.connection import Connections
from common.settings import Settings
from gateway.banner import Banner, ingress_addresses, redis_name
from gateway.round_trip import RoundTrip, try_lines
from sandbox import Reply, Sandbox

SUBSCRIBE_WAIT_S: Final = 90.0


@dataclass(frozen=True, slots=True)
class Introduction:
    """
    What there is to tell. `base_url` is None without an ingress.
    """

    settings: Settings
    roles: Sequence[str]
    base_url: str | None
    banner: Banner

    def tell(self) -> None:
        """
        Show the addresses.
        """
        self.banner.title(", ".join(self.roles))
        self.banner.addresses(self._addresses())

    async def tell_sandbox(
        self, sandbox: Sandbox, base_url: str, avito: Avito, connections: Connections, *, has_own_n8n: bool
    ) -> None:
        """
        Show the first message on its way, then the addresses and what to try next.
        """
        banner = self.banner
        banner.title(", ".join(self.roles))
        banner.line("AVITO_CLIENT_ID is not set: this is the sandbox. No message leaves this machine.", style="bold")
        if has_own_n8n:
            banner.line("N8N_WEBHOOK_URL is not used here: the sandbox has an n8n of its own.")
        banner.line("`avito-gateway init` writes an .env for the real thing.")
        banner.line()
        await self._first_message(sandbox, base_url, avito, connections)
        banner.line()
        banner.addresses(self._addresses() | {"sandbox control": f"{sandbox.control_url}/control"})
        banner.line()
        for line in try_lines(sandbox, base_url, with_key=self.settings.api_key is not None):
            banner.line(line)
        banner.line()
        banner.line("Ctrl-C stops.")

    def _addresses(self) -> dict[str, str]:
        listed = ingress_addresses(self.base_url, self.settings) if self.base_url is not None else {}
        return listed | {"messages are kept in": redis_name(self.settings)}

    async def _first_message(self, sandbox: Sandbox, base_url: str, avito: Avito, connections: Connections) -> None:
        account = self.settings.accounts[0]
        secret, api_key = account.webhook_secret, self.settings.api_key
        webhook = f"{base_url}/webhook/avito" + (f"/{secret.get_secret_value()}" if secret is not None else "")
        sandbox.n8n.reply = Reply(gateway_url=base_url, api_key=api_key.get_secret_value() if api_key else None)
        try:
            await reads.read(avito, account, calls.subscribe(webhook), wait_s=SUBSCRIBE_WAIT_S)
        except GatewayError as error:
            self.banner.line(f"  The gateway did not reach the sandbox: {error}")
            return
        await RoundTrip(sandbox, self.settings, connections, account, self.banner.line).show()
