"""
Attempts as spans: a handler in another that tells of it, while tracing is on.
"""

from __future__ import annotations

import asyncio

from common.errors import NoPermit, Outage
from common.queue.consumer import Handler
from common.queue.entry import Entry
from common.queue.gate import Permit
from common.queue.outcomes import Dead, Done, Outcome, Release, Retry
from common.tracing import Attribute, Tracer, tracer


class Traced:
    """
    Handles an entry inside of a span, which goes on from the entry's `traceparent`: every attempt of every worker does.
    """

    def __init__(self, handler: Handler, tracer: Tracer, role: str, account: str) -> None:
        self._handler = handler
        self._tracer = tracer
        self._account = account
        self._id = "command_id" if role == "dispatcher" else "message_id"

    async def __call__(self, entry: Entry, permit: Permit) -> Outcome:
        """
        Handle one entry.
        """
        stream = entry.stream.rpartition(":")[2]
        parent = entry.fields.get("traceparent", "")
        with self._tracer.attempt(f"process {stream}", parent, stream=stream, waited_ms=waited_ms(entry)) as span:
            about = {self._id: entry.id, "account": self._account, "chat_id": entry.chat_id, "kind": entry.kind}
            span.note(**about, attempt=entry.tries.attempts + 1, crashes=entry.tries.crashes or None)
            try:
                outcome = await self._handler(entry, permit)
            except (NoPermit, Outage):
                # Given back without an attempt.
                span.note(outcome="released")
                raise
            except asyncio.CancelledError:
                span.note(outcome="stopped")
                raise
            span.note(**told(outcome))
            if isinstance(outcome, Dead):
                span.fail(outcome.reason)
            return outcome


def handler_with_traces(handler: Handler, role: str, account: str) -> Handler:
    """
    Return the handler itself while tracing is off.
    """
    found = tracer()
    return handler if found is None else Traced(handler, found, role, account)


def waited_ms(entry: Entry) -> int | None:
    """
    Return how long an entry waited for its first attempt, all of it by Redis' clock; None when this is a later one.
    """
    born = entry.entry_id.partition("-")[0]
    if entry.tries.first_at is not None or not born.isdecimal():
        return None
    return max(0, entry.taken_ms - int(born))


def told(outcome: Outcome) -> dict[str, Attribute]:
    """
    Return what a span says of an outcome: never what the other side said, which may quote a message.
    """
    match outcome:
        case Done(status=status):
            return {"outcome": status}
        case Retry(after_s=after_s, unknown=unknown):
            return {"outcome": "retry", "after_s": round(after_s, 3), "outcome_unknown": unknown or None}
        case Dead(reason=reason):
            return {"outcome": "dead", "reason": reason}
        case Release():
            return {"outcome": "released"}
