"""
A steady load in both directions: n8n sends over the REST API, customers write in Avito's chats.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict

import httpx

from sandbox import Sandbox
from tests.harness import eventually

USER_ID = 100_000_001
GIVE_UP_S = 60.0
AGAIN_S = 0.1
OK = (200, 202)


class Load:
    """
    One sender and one customer for each chat.

    A sender posts its next text when the one before is accepted, and repeats what was refused or not answered under
    the same Idempotency-Key, as a careful n8n workflow does. The sandbox's Avito repeats a webhook until it gets 200.
    """

    def __init__(self, url: str, sandbox: Sandbox, pace_s: float) -> None:
        self.chats = [chat.id for chat in sandbox.avito.chats]
        self.accepted: dict[str, list[str]] = defaultdict(list)
        self.written: dict[str, list[str]] = defaultdict(list)
        self.refusals: dict[str, int] = defaultdict(int)
        self._ids: dict[str, tuple[str, str]] = {}
        self._url = url
        self._sandbox = sandbox
        self._pace_s = pace_s
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """
        Begin.
        """
        self._sandbox.avito.webhooks.subscribe(USER_ID, f"{self._url}/webhook/avito")
        for chat_id in self.chats:
            self._tasks.append(asyncio.create_task(self._send(chat_id), name=f"n8n {chat_id}"))
            self._tasks.append(asyncio.create_task(self._write(chat_id), name=f"customer {chat_id}"))

    async def stop(self) -> None:
        """
        End when all that was begun is accepted.
        """
        self._stopping.set()
        await asyncio.gather(*self._tasks)
        await eventually(lambda: len(self.taken_over()) == len(self._ids), GIVE_UP_S)

    async def abort(self) -> None:
        """
        End at once, as a test that failed does.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def taken_over(self) -> dict[str, tuple[str, str]]:
        """
        Return chat and text of each customer's message whose webhook was answered with 200.
        """
        notes = (record.note for record in self._sandbox.journal.list("webhook") if record.status == 200)
        ids = {note.rpartition(" ")[2] for note in notes if note.startswith("inbound")}
        return {message_id: self._ids[message_id] for message_id in ids}

    async def _pause(self) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), self._pace_s)
        except TimeoutError:
            return True
        return False

    async def _write(self, chat_id: str) -> None:
        number = 0
        while await self._pause():
            text = f"from the customer {number}"
            message = self._sandbox.avito.receive(chat_id, text)
            self._ids[message.id] = (chat_id, text)
            self.written[chat_id].append(text)
            number += 1

    async def _send(self, chat_id: str) -> None:
        number = 0
        async with httpx.AsyncClient(base_url=self._url, timeout=5.0, trust_env=False) as client:
            while await self._pause():
                text = f"from n8n {number}"
                await self._post(client, chat_id, text)
                self.accepted[chat_id].append(text)
                number += 1

    async def _post(self, client: httpx.AsyncClient, chat_id: str, text: str) -> None:
        deadline_s = time.monotonic() + GIVE_UP_S
        headers = {"Idempotency-Key": f"{chat_id} {text}"}
        while time.monotonic() < deadline_s:
            try:
                answer = await client.post(
                    "/api/messages/send", json={"chat_id": chat_id, "text": text}, headers=headers
                )
            except httpx.TransportError as error:
                self.refusals[type(error).__name__] += 1
            else:
                if answer.status_code in OK:
                    return
                self.refusals[str(answer.status_code)] += 1
                assert answer.status_code == 503, answer.text
            await asyncio.sleep(AGAIN_S)
        raise AssertionError(f"{chat_id}: {text!r} was not accepted in {GIVE_UP_S:g} s: {dict(self.refusals)}")
