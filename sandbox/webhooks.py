"""
Webhook delivery of the Avito stand-in: echo and inbound messages to the subscribed URLs (facts, section 6).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import uuid
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from sandbox.clock import rfc3339
from sandbox.faults import WebhookFault

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from sandbox.behaviour import Behaviour
    from sandbox.chats import Chat, Message
    from sandbox.clock import Clock
    from sandbox.faults import Faults
    from sandbox.journal import Journal, Record

# Invented: how Avito signs is unknown. A gateway must not depend on the header's value.
SIGNATURE = "x-avito-messenger-signature"
SIGNATURE_KEY = b"sandbox"
AT_ONCE = 32
# Shorter than any receiver's: a connection that it closes just then would look like a failed delivery.
KEEP_ALIVE_S = 2.0


@dataclass(slots=True)
class _Parcel:
    body: bytes
    note: str
    faults: list[WebhookFault]


@dataclass(slots=True)
class _Lane:
    """
    What one subscriber is still to get of one chat; delivered in order while no fault says otherwise.
    """

    url: str
    parcels: deque[_Parcel]
    more: asyncio.Event


class Webhooks:
    """
    Deliver webhooks in the background, in order per subscriber and chat.

    An attempt has a deadline; anything but 200 is tried again after each of the delays in `Behaviour.webhooks`, then
    given up. Every attempt is in the journal as kind `webhook`, with the URL as its path.
    """

    def __init__(self, behaviour: Callable[[], Behaviour], clock: Clock, journal: Journal, faults: Faults) -> None:
        self._behaviour = behaviour
        self._clock = clock
        self._journal = journal
        self._faults = faults
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._client: httpx.AsyncClient | None = None
        self._subscriptions: dict[int, list[str]] = {}

    def subscribe(self, user_id: int, url: str) -> None:
        """
        Add a URL to an account's subscriptions; the same one again changes nothing.
        """
        urls = self._subscriptions.setdefault(user_id, [])
        if url not in urls:
            urls.append(url)
        if self._behaviour().webhooks.ping:
            self._start(self._attempt(url, b"{}", "ping", 1), f"ping {url}")

    def unsubscribe(self, user_id: int, url: str) -> bool:
        """
        Remove a URL; False if it was not subscribed.
        """
        urls = self._subscriptions.get(user_id, [])
        if url not in urls:
            return False
        urls.remove(url)
        return True

    def subscriptions(self, user_id: int) -> list[str]:
        """
        Return an account's URLs, oldest first.
        """
        return list(self._subscriptions.get(user_id, ()))

    def announce(self, chat: Chat, message: Message) -> None:
        """
        Deliver a message of a chat to every subscriber of its account.
        """
        own = message.author_id == chat.user_id
        urls = self._subscriptions.get(chat.user_id)
        if not urls or (own and not self._behaviour().webhooks.echo):
            return
        body = json.dumps(envelope(chat, message, self._clock.now_s()), ensure_ascii=False).encode()
        for url in urls:
            self._send(url, chat.id, body, f"{'echo' if own else 'inbound'} {message.type} {message.id}")

    def post(self, user_id: int, body: dict[str, Any]) -> None:
        """
        Deliver any body as it is, such as a payload sample, in the lane of the chat it names.
        """
        chat_id = str(body.get("payload", {}).get("value", {}).get("chat_id", ""))
        for url in self.subscriptions(user_id):
            self._send(url, chat_id, json.dumps(body, ensure_ascii=False).encode(), "as given")

    async def stop(self) -> None:
        """
        Give up what is not delivered.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lanes.clear()
        if self._client is not None:
            await self._client.aclose()

    def clear(self) -> None:
        """
        Forget subscriptions and what is not delivered yet.
        """
        self._subscriptions.clear()
        for task in self._tasks:
            task.cancel()
        self._lanes.clear()

    def _send(self, url: str, chat_id: str, body: bytes, note: str) -> None:
        faults = self._faults.strike(WebhookFault, "POST", url)
        parcel = _Parcel(body, note, faults)
        lane = self._lanes.get((url, chat_id))
        if lane is None:
            lane = self._lanes[url, chat_id] = _Lane(url, deque((parcel,)), asyncio.Event())
            self._start(self._run(lane, (url, chat_id)), f"webhooks {chat_id}")
        else:
            lane.parcels.append(parcel)
            lane.more.set()

    def _start(self, work: Coroutine[Any, Any, object], name: str) -> None:
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, lane: _Lane, key: tuple[str, str]) -> None:
        while lane.parcels:
            parcel = lane.parcels.popleft()
            fault = parcel.faults[0] if parcel.faults else None
            match fault.kind if fault else None:
                case "lost":
                    self._lost(lane.url, parcel)
                    continue
                case "delay":
                    self._start(self._later(lane.url, parcel), f"webhook delayed {key[1]}")
                    continue
                case "reorder" if fault is not None:
                    await self._let_pass(lane, fault.delay_s)
            await self._deliver(lane.url, parcel)
            if fault is not None and fault.kind == "duplicate":
                for _ in range(fault.copies):
                    await self._deliver(lane.url, parcel)
        if self._lanes.get(key) is lane:
            del self._lanes[key]

    async def _let_pass(self, lane: _Lane, within_s: float) -> None:
        """
        Deliver the next parcel of the lane first, if one comes in time.
        """
        if not lane.parcels:
            lane.more.clear()
            try:
                async with asyncio.timeout(within_s):
                    await lane.more.wait()
            except TimeoutError:
                return
        await self._deliver(lane.url, lane.parcels.popleft())

    async def _later(self, url: str, parcel: _Parcel) -> None:
        await asyncio.sleep(parcel.faults[0].delay_s)
        await self._deliver(url, parcel)

    def _lost(self, url: str, parcel: _Parcel) -> None:
        record = self._begin(url, parcel.body, parcel.note, 1)
        record.fault = "lost"
        self._journal.end(record, "lost")

    async def _deliver(self, url: str, parcel: _Parcel) -> None:
        fault = parcel.faults[0].kind if parcel.faults else ""
        for attempt, wait_s in self._attempts():
            if wait_s:
                await asyncio.sleep(wait_s)
            async with self._slots:
                if await self._attempt(url, parcel.body, parcel.note, attempt, fault):
                    return

    def _attempts(self) -> Iterator[tuple[int, float]]:
        return enumerate((0.0, *self._behaviour().webhooks.retry_after_s), start=1)

    async def _attempt(self, url: str, body: bytes, note: str, attempt: int, fault: str = "") -> bool:
        switches = self._behaviour().webhooks
        headers = {"content-type": "application/json"}
        if switches.signed:
            headers[SIGNATURE] = hmac.new(SIGNATURE_KEY, body, hashlib.sha256).hexdigest()
        record = self._begin(url, body, note, attempt)
        record.fault = fault
        outcome = "given up"
        try:
            async with asyncio.timeout(switches.deadline_s):
                response = await self._http().post(url, content=body, headers=headers)
            record.status = response.status_code
            outcome = "answered"
        except TimeoutError:
            outcome = "too slow"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            outcome = type(error).__name__
        finally:
            self._journal.end(record, outcome)
        return record.status == HTTPStatus.OK

    def _http(self) -> httpx.AsyncClient:
        """
        Return the client, made when it is first needed: that costs more than all else at the start.
        """
        if self._client is None:
            limits = httpx.Limits(max_connections=AT_ONCE, keepalive_expiry=KEEP_ALIVE_S)
            # No timeout of httpx's: the deadline is ours, over the whole attempt.
            self._client = httpx.AsyncClient(timeout=None, limits=limits, trust_env=False)  # noqa: S113
        return self._client

    def _begin(self, url: str, body: bytes, note: str, attempt: int) -> Record:
        record = self._journal.begin("webhook", "POST", url, self._clock.monotonic_s())
        record.body_bytes, record.note, record.attempt = len(body), note, attempt
        return record


def envelope(chat: Chat, message: Message, now_s: float) -> dict[str, Any]:
    """
    Return a version 3 webhook in the field order of the real dumps (samples 02, 03).
    """
    return {
        "id": str(uuid.uuid4()),
        "version": "v3.0.0",
        "timestamp": int(now_s),
        "payload": {
            "type": "message",
            "value": {
                "id": message.id,
                "chat_id": chat.id,
                "user_id": chat.user_id,
                "author_id": message.author_id,
                "created": message.created_s,
                "type": message.type,
                "chat_type": chat.type,
                "content": message.content,
                "item_id": chat.item_id,
                "published_at": rfc3339(message.created_s),
            },
        },
    }
