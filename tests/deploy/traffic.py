"""
Messages in both directions through a gateway that runs somewhere, for a restart to be tried under load.

    python -m tests.deploy.traffic http://127.0.0.1:8765 http://127.0.0.1:8803 60

The addresses are those of the gateway and of the sandbox' control; it sends for so many seconds and tells what became
of it. The exit code is 1 if a message was lost, came twice or out of order. Each request has a connection of its own,
and is repeated under its Idempotency-Key until it is accepted.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections import Counter, defaultdict
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import httpx

from tests.chaos.measure import Direction, compare
from tests.harness import eventually

PACE_S = 0.25
AGAIN_S = 0.2
ARRIVED_WITHIN_S = 90.0
JOURNAL = "/control/journal?limit=50000"

Texts = dict[str, list[str]]
Sequences = dict[str, list[tuple[int, ...]]]


class Traffic:
    """
    One sender and one customer for each chat of the sandbox.
    """

    def __init__(self, gateway: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
        self._gateway = gateway
        self._control = control
        self._ends_s = 0.0
        # What was there before does not count.
        self._tag = secrets.token_hex(3)
        self._after = 0
        self.posted: dict[str, list[str]] = defaultdict(list)
        self.written: dict[str, list[str]] = defaultdict(list)
        self.outcomes: Counter[str] = Counter()
        self.slowest_s = 0.0

    async def run(self, for_s: float) -> None:
        """
        Send and write for a while, then wait until all has arrived.
        """
        self._ends_s = time.monotonic() + for_s
        self._after = max((record["seq"] for record in await self._list(JOURNAL)), default=0)
        chats = [chat["id"] for chat in (await self._control.get("/control/chats")).json()]
        await asyncio.gather(*(one(chat_id) for chat_id in chats for one in (self._send, self._write)))
        try:
            await eventually(self._all_there, ARRIVED_WITHIN_S)
        except TimeoutError:
            sys.stdout.write(f"Not all of it arrived within {ARRIVED_WITHIN_S:g} s.\n")

    async def measured(self) -> tuple[Direction, Direction]:
        """
        Compare what was accepted with what arrived, towards Avito and towards n8n.

        A webhook that is repeated may be accepted after later ones, so towards n8n the order is that of acceptance.
        """
        shown, got, sequences = await self._arrived()
        disorder = sum(later < earlier for one in sequences.values() for earlier, later in pairwise(one))
        return compare(self.posted, shown), replace(compare(self.written, got), out_of_order=disorder)

    async def webhooks(self) -> Counter[str]:
        """
        Count how the gateway answered the sandbox' webhooks.
        """
        journal = await self._list(f"{JOURNAL}&kind=webhook&after={self._after}")
        return Counter(str(record["status"] or record["outcome"]) for record in journal)

    async def _send(self, chat_id: str) -> None:
        number = 0
        while time.monotonic() < self._ends_s:
            number += 1
            text = f"{self._tag} from n8n {number}"
            body = {"chat_id": chat_id, "text": text}
            await eventually(partial(self._accepted, body), ARRIVED_WITHIN_S)
            self.posted[chat_id].append(text)
            await asyncio.sleep(PACE_S)

    async def _accepted(self, body: dict[str, str]) -> bool:
        began_s = time.monotonic()
        headers = {"Idempotency-Key": f"{body['chat_id']} {body['text']}"}
        try:
            answer = await self._gateway.post("/api/messages/send", json=body, headers=headers)
        except httpx.TransportError as error:
            outcome = type(error).__name__
        else:
            outcome = str(answer.status_code)
        self.outcomes[outcome] += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
        if outcome in {"200", "202"}:
            return True
        await asyncio.sleep(AGAIN_S)
        return False

    async def _write(self, chat_id: str) -> None:
        number = 0
        while time.monotonic() < self._ends_s:
            number += 1
            text = f"{self._tag} from the customer {number}"
            await self._control.post("/control/messages", json={"chat_id": chat_id, "text": text})
            self.written[chat_id].append(text)
            await asyncio.sleep(PACE_S)

    async def _arrived(self) -> tuple[Texts, Texts, Sequences]:
        shown: Texts = defaultdict(list)
        got: Texts = defaultdict(list)
        sequences: Sequences = defaultdict(list)
        for message in await self._list("/control/messages"):
            # The sandbox' n8n answers customers, too: it quotes them.
            if message["content"].get("text", "").startswith(self._tag):
                shown[message["chat_id"]].append(message["content"]["text"])
        for call in await self._list("/control/n8n/received"):
            if call["body"]["text"].startswith(self._tag):
                chat_id, sequence = call["body"]["external_chat_id"], call["body"]["meta"]["sequence"]
                got[chat_id].append(call["body"]["text"])
                sequences[chat_id].append(tuple(map(int, sequence.split("-"))))
        return shown, got, sequences

    async def _list(self, path: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = (await self._control.get(path)).json()
        return listed

    async def _all_there(self) -> bool:
        await asyncio.sleep(0.5)
        return not any(one.lost for one in await self.measured())


async def main(gateway_url: str, control_url: str, for_s: float, api_key: str = "") -> int:
    """
    Send, wait, tell.
    """
    alone = httpx.Limits(max_keepalive_connections=0)
    headers = {"X-API-Key": api_key} if api_key else {}
    async with (
        httpx.AsyncClient(base_url=gateway_url, limits=alone, headers=headers, timeout=30, trust_env=False) as gateway,
        httpx.AsyncClient(base_url=control_url, timeout=30, trust_env=False) as control,
    ):
        traffic = Traffic(gateway, control)
        await traffic.run(for_s)
        out, back = await traffic.measured()
        sys.stdout.write(
            f"REST: {dict(sorted(traffic.outcomes.items()))}, slowest {traffic.slowest_s:.1f} s\n"
            f"webhooks: {dict(sorted((await traffic.webhooks()).items()))}\n"
        )
        for name, one in (("to Avito", out), ("to n8n", back)):
            wrong = f"{one.lost} lost, {one.repeated} twice, {one.out_of_order} out of order"
            sys.stdout.write(f"{name}: {one.accepted} accepted, {wrong}\n")
    return int(any((one.lost, one.repeated, one.out_of_order) != (0, 0, 0) for one in (out, back)))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), *sys.argv[4:5])))
