"""
What the forwarder does with one entry of an account's events.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from common import callbacks, log, metrics
from common.avito.client import Avito
from common.http.pool import ClientPool
from common.queue.connection import Connections
from common.queue.entry import Entry
from common.queue.gate import Gate, Permit
from common.queue.keys import AccountKeys
from common.queue.outcomes import Dead, Done, Outcome, Release
from common.settings import Account, Settings
from common.tracing import current
from forwarder import decide, filters, webhook
from forwarder.chat import Chat
from forwarder.deliver import Guarded, Lender, post
from forwarder.enrich import Chats
from forwarder.headers import Headers, Stamp, webhook_id
from forwarder.normalise import Surroundings, encode, normalise
from forwarder.replies import Answered, Late, Reply, short
from forwarder.voice import VoiceLinks
from forwarder.webhook import Webhook

# How long events wait before it is looked again whether there is an address for them: a restart may bring one.
NO_ADDRESS_PAUSE_S: Final = 60.0


class Forwarder:
    """
    The handler of one account's events: to n8n, and outcomes of commands to their `callback_url`.
    """

    def __init__(
        self,
        account: Account,
        settings: Settings,
        *,
        gate: Gate,
        pool: ClientPool,
        guarded: Guarded,
        avito: Avito,
        connections: Connections,
    ) -> None:
        self._account = account
        self._settings = settings
        self._gate = gate
        self._pool = pool
        self._guarded = guarded
        self._chats = Chats(account, avito, connections, AccountKeys(settings.key_prefix, account.user_id))
        self._voice = VoiceLinks(account, avito)
        self._stamp = Stamp(account.n8n_webhook_secret, account.n8n_auth_header)
        self._patience = decide.Patience.of(settings)
        self._zone = ZoneInfo(settings.timezone)
        self._told_until_s = 0.0
        self._told_no_address = False
        self._log = log.logger(__name__).bind(account=account.user_id)

    async def __call__(self, entry: Entry, permit: Permit) -> Outcome:
        """
        Deliver one event, or say why it will not be.

        Raises `NoPermit` and `Outage`: the entry is given back without an attempt.
        """
        if entry.verdict == "crashed":
            return Dead("crashed", f"{entry.tries.crashes} workers died while they delivered it")
        match entry.kind:
            case "message":
                return await self._message(entry, permit)
            case "callback":
                return await self._callback(entry, permit)
            case "unknown_account":
                return Dead("unknown_account", "no configured account has this user_id: add it to ACCOUNTS_FILE")
            case kind:
                return Dead("malformed", f"kind: {kind!r} is none of message, callback, unknown_account")

    async def aclose(self) -> None:
        """
        End the look-ups that are under way.
        """
        await asyncio.gather(self._chats.aclose(), self._voice.aclose())

    async def _message(self, entry: Entry, permit: Permit) -> Outcome:
        message = webhook.read(entry.fields.get("body", ""))
        if message is None:
            return Dead("malformed", "body: not a JSON object")
        direction = filters.direction(message, self._account.user_id)
        if not filters.is_wanted(direction, self._settings):
            return Done("skipped", record={"skipped": direction})
        if self._is_expired(entry, permit):
            return self._expired()
        url = self._account.n8n_webhook_url
        if url is None:
            return await self._without_address()
        chat, voice_url = await self._look_up(message, entry)
        around = Surroundings(
            user_id=self._account.user_id,
            sequence=entry.entry_id,
            message_id=entry.id,
            chat_id=entry.chat_id,
            received_ms=_received_ms(entry),
            zone=self._zone,
            chat=chat,
            voice_url=voice_url,
            direction=filters.shown(direction, self._settings),
            recovered="recovered" in entry.fields,
        )
        body = encode(normalise(message, around))
        headers = self._headers(entry, body, authorised=True)
        await permit.token()
        reply, attempt = await self._post(self._pool, url, body, headers, permit)
        found = decide.meaning(reply)
        permit.ended(aborted=isinstance(reply, Late), passed=not isinstance(found, decide.Down | decide.Cut))
        self._count(reply, found)
        return await self._judge(entry, permit, found, attempt, at_n8n=True)

    async def _callback(self, entry: Entry, permit: Permit) -> Outcome:
        url = entry.fields.get("callback_url", "")
        body = entry.fields.get("body", "")
        if not body:
            return Dead("malformed", "body: empty")
        if not callbacks.is_allowed(url, self._account, self._settings):
            return Dead("rejected", "callback_url: neither n8n's own address nor one of CALLBACK_HOSTS")
        if self._is_expired(entry, permit):
            return self._expired()
        at_n8n = callbacks.is_at_n8n(url, self._account)
        headers = self._headers(entry, body, authorised=at_n8n)
        await permit.token()
        reply, attempt = await self._post(self._guarded, url, body, headers, permit)
        found = decide.callback_meaning(reply, at_n8n=at_n8n)
        # Another host's answer does not show that n8n is back.
        passed = at_n8n and not isinstance(found, decide.Down | decide.Cut)
        permit.ended(aborted=isinstance(reply, Late), passed=passed)
        if at_n8n:
            self._count(reply, found)
        return await self._judge(entry, permit, found, attempt, at_n8n=at_n8n)

    async def _look_up(self, message: Webhook, entry: Entry) -> tuple[Chat | None, str | None]:
        """
        Ask for names and for the link of a voice message, side by side, for at most `ENRICH_WAIT`.
        """
        wait_s = self._settings.enrich_wait
        chat = self._chats.get(message.chat_id or entry.chat_id, wait_s)
        voice_id = message.voice_id
        if voice_id is None:
            return await chat, None
        return await asyncio.gather(chat, self._voice.get(voice_id, wait_s))

    async def _post(
        self, lender: Lender, url: str, body: str, headers: Headers, permit: Permit
    ) -> tuple[Reply, dict[str, object]]:
        """
        Make one attempt; return the reply and the beginning of its line in the timeline.
        """
        at = datetime.fromtimestamp(permit.redis_ms() / 1000, UTC).isoformat(timespec="milliseconds")
        begun_s = time.monotonic()
        with current().call("deliver") as span:
            if traceparent := span.traceparent:
                headers = headers | {b"traceparent": traceparent.encode()}
            reply = await post(lender, url, body.encode(), headers, self._settings.forward_timeout)
            span.answered(reply.status if isinstance(reply, Answered) else None, type(reply).__name__)
        took_s = time.monotonic() - begun_s
        metrics.DELIVERY_REQUEST[()].observe(took_s)
        return reply, {"at": at, "ms": round(took_s * 1000)}

    def _count(self, reply: Reply, found: decide.Meaning) -> None:
        metrics.N8N_ANSWERS[self._account.user_id, short(reply), type(found).__name__.lower()].inc()

    async def _judge(
        self, entry: Entry, permit: Permit, found: decide.Meaning, attempt: dict[str, object], *, at_n8n: bool
    ) -> Outcome:
        if at_n8n and isinstance(found, decide.Down | decide.Cut):
            await self._pause(found)
        elif at_n8n and self._told_until_s and isinstance(found, decide.Delivered):
            self._told_until_s = 0.0
            self._log.info("n8n.back")
        first_ms = entry.tries.first_at or permit.taken_ms
        return decide.outcome(
            found,
            entry.tries,
            self._patience,
            chance=random.random(),  # noqa: S311 - jitter, not a secret
            waited_s=(permit.redis_ms() - first_ms) / 1000,
            attempt=attempt | decide.told(found),
        )

    async def _pause(self, found: decide.Down | decide.Cut) -> None:
        """
        Stop everybody who delivers to this n8n; what fails together is told once.
        """
        retry_after_s = found.retry_after_s if isinstance(found, decide.Down) else None
        metrics.GATE_PAUSES[self._account.user_id, "n8n", "down"].inc()
        paused_s = await self._gate.pause(retry_after_s, f"n8n: {found.error}")
        now_s = time.monotonic()
        if now_s >= self._told_until_s:
            self._told_until_s = now_s + paused_s
            self._log.warning("n8n.down", error=found.error, paused_s=paused_s)

    async def _without_address(self) -> Outcome:
        if not self._told_no_address:
            self._told_no_address = True
            self._log.warning(
                "setting.missing", setting="N8N_WEBHOOK_URL", meaning="incoming messages are kept, and not delivered"
            )
        metrics.GATE_PAUSES[self._account.user_id, "n8n", "no_address"].inc()
        await self._gate.pause(NO_ADDRESS_PAUSE_S, "N8N_WEBHOOK_URL is not set")
        return Release("N8N_WEBHOOK_URL is not set")

    def _headers(self, entry: Entry, body: str, *, authorised: bool) -> Headers:
        message_id = webhook_id(entry.id, entry.entry_id)
        return self._stamp.headers(message_id, entry.tries.attempts + 1, body, authorised=authorised)

    def _is_expired(self, entry: Entry, permit: Permit) -> bool:
        if entry.verdict == "expired":
            return True
        return decide.is_too_old(_received_ms(entry), permit.redis_ms(), self._settings.event_max_age)

    def _expired(self) -> Outcome:
        return Dead("expired", f"not delivered within EVENT_MAX_AGE ({self._settings.event_max_age:g} s)")


def _received_ms(entry: Entry) -> int:
    """
    Return when the event was accepted; an entry made by hand says so in its id.
    """
    text = entry.fields.get("received_at", "")
    return int(text) if text.isdecimal() and len(text) <= 14 else int(entry.entry_id.partition("-")[0])
