"""
The newcomer's first message: from the sandbox's customer through the gateway to n8n, and the answer back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from common.errors import GatewayError
from common.queue.connection import Connections, mapped
from common.queue.keys import AccountKeys
from common.queue.records import Records
from common.settings import Account, Settings
from sandbox import Record, Sandbox

TEXT: Final = "Hello! Is it still for sale?"
STEP_S: Final = 15.0
POLL_S: Final = 0.02

Say = Callable[[str], None]


class RoundTrip:
    """
    One message on its way; each step is said as soon as it is seen to have happened.
    """

    def __init__(
        self, sandbox: Sandbox, settings: Settings, connections: Connections, account: Account, say: Say
    ) -> None:
        self._sandbox = sandbox
        self._connections = connections
        self._records = Records(connections, settings)
        self._keys = AccountKeys(settings.key_prefix, account.user_id)
        self._user_id = account.user_id
        self._say = say
        self._step = 0
        self._begun_s = 0.0

    async def show(self) -> bool:
        """
        Let a customer write, and follow the message until the answer is in the chat; False when it gets stuck.
        """
        chat = next(iter(self._sandbox.avito.chats))
        self._begun_s = time.monotonic()
        message = self._sandbox.avito.receive(chat.id, TEXT)
        self._tell(f"{chat.customer_name} writes in an Avito chat: «{TEXT}»")

        def is_webhook(record: Record) -> bool:
            return record.kind == "webhook" and message.id in record.note and record.status == 200

        try:
            await self._sandbox.journal.wait_for(lambda journal: any(map(is_webhook, journal.records)), STEP_S)
            self._tell("Avito -> gateway: the webhook is stored and answered")
            await self._sandbox.n8n.wait_for(
                lambda calls: any(call.headers.get("webhook-id") == message.id for call in calls), STEP_S
            )
            self._tell("gateway -> n8n: the event is delivered")
            command_id = await self._answer_to(message.id)
            self._tell(f"n8n -> gateway: the workflow's answer is queued as command {command_id}")
            await self._sent(command_id)
        except (TimeoutError, GatewayError) as error:
            self._say(f"  The message did not get further: {error}. GET /health tells what is missing.")
            return False
        self._tell("gateway -> Avito: the answer is in the chat")
        return True

    async def _sent(self, command_id: str) -> None:
        record = await self._records.wait(self._user_id, command_id, STEP_S)
        if record is None or record.status != "sent":
            raise TimeoutError(f"command {command_id} is {record.status if record else 'gone'}")

    async def _answer_to(self, message_id: str) -> str:
        """
        Wait for the command that n8n's stand-in posts under a key made of the message's id.
        """
        deadline_s = time.monotonic() + STEP_S
        key = self._keys.idempotency(f"reply-{message_id}")
        while True:
            with mapped():
                known = await self._connections.commands.get(key)
            if known:
                return str(known).split(" ", 1)[0]
            if time.monotonic() > deadline_s:
                raise TimeoutError("n8n's answer did not reach the gateway")
            await asyncio.sleep(POLL_S)

    def _tell(self, text: str) -> None:
        self._step += 1
        self._say(f"  {self._step}. {text}  (+{(time.monotonic() - self._begun_s) * 1000:.0f} ms)")


def try_lines(sandbox: Sandbox, base_url: str, *, with_key: bool) -> list[str]:
    """
    Return command lines that work in another terminal.
    """
    chat_id = next(iter(sandbox.avito.chats)).id
    key = ' -H "X-API-Key: $API_KEY"' if with_key else ""
    post = "curl -X POST -H 'Content-Type: application/json'"
    return [
        "Let the customer write once more:",
        f"""  {post} {sandbox.control_url}/control/messages -d '{{"chat_id":"{chat_id}","text":"And the price?"}}'""",
        "Send a message as n8n would:",
        f"""  {post}{key} {base_url}/api/messages/send -d '{{"chat_id":"{chat_id}","text":"Hello"}}'""",
        "What Avito has been sent:",
        f"  curl {sandbox.control_url}/control/messages",
    ]
