"""
The tally: counting what has come to its end.
"""

from __future__ import annotations

from typing import Final

from common import metrics
from common.queue.entry import Entry
from common.queue.outcomes import Dead, Done, Outcome, Release, Retry

# What is counted by its kind: an entry that was added by hand may name any.
_KINDS: Final = frozenset({"text", "link", "image", "read", "delete", "message", "callback", "unknown_account"})


class Tally:
    """
    Counts for one account and side, `commands` or `events`.
    """

    def __init__(self, user_id: str, side: str) -> None:
        self._user_id = user_id
        self._side = side
        self._finished = metrics.COMMANDS_FINISHED if side == "commands" else metrics.EVENTS_FINISHED

    def settled(self, entry: Entry, outcome: Outcome, now_ms: int, *, has_callback: bool) -> None:
        """
        Count a result that Redis has confirmed at `now_ms`, by its own clock.
        """
        if isinstance(outcome, Release):
            return
        if outcome.attempt is not None:
            self._timed(entry, outcome, now_ms)
        if isinstance(outcome, Dead):
            metrics.DEAD_LETTERS_ADDED[self._user_id, self._side, outcome.reason].inc()
            self.ended(entry.kind, "failed", has_callback=has_callback)
        elif isinstance(outcome, Done):
            self.ended(entry.kind, outcome.status, has_callback=has_callback)

    def lost(self) -> None:
        """
        Count a result that was not written, since the entry is somebody else's by now.
        """
        metrics.RESULTS_LOST[self._user_id, self._side].inc()

    def ended(self, kind: str, end: str, *, has_callback: bool) -> None:
        """
        Count an end: its status; `has_callback`: it became an event for a `callback_url`.
        """
        self._finished[self._user_id, kind if kind in _KINDS else "other", end].inc()
        if has_callback:
            metrics.EVENTS_ACCEPTED[self._user_id, "callback"].inc()

    def _timed(self, entry: Entry, outcome: Done | Retry | Dead, now_ms: int) -> None:
        queue, since_ms = entry.stream.rpartition(":")[2], wanted_ms(entry)
        if entry.tries.first_at is None:
            metrics.WAIT[queue].observe(max(0, entry.taken_ms - since_ms) / 1000)
        if isinstance(outcome, Done):
            metrics.SETTLED[queue].observe(max(0, now_ms - since_ms) / 1000)


def wanted_ms(entry: Entry) -> int:
    """
    Return from when on an entry could be handled, by Redis' clock: its acceptance, or the time it was to wait for.
    """
    not_before = entry.fields.get("not_before", "")
    accepted_ms = int(entry.entry_id.partition("-")[0])
    return max(accepted_ms, int(not_before)) if not_before.isdecimal() else accepted_ms
