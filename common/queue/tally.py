"""
The tally: counting what has come to its end.
"""

from __future__ import annotations

from typing import Final

from common import metrics
from common.queue.entry import Entry
from common.queue.outcomes import Dead, Done, Outcome

# What is counted by its kind: an entry that was added by hand may name any.
_KINDS: Final = frozenset({"text", "link", "image", "read", "delete", "message", "callback", "unknown_account"})


class Tally:
    """
    Counts for one account and side, `commands` or `events`.
    """

    def __init__(self, user_id: str, side: str) -> None:
        self._user_id = user_id
        self._finished = metrics.COMMANDS_FINISHED if side == "commands" else metrics.EVENTS_FINISHED

    def settled(self, entry: Entry, outcome: Outcome, *, has_callback: bool) -> None:
        """
        Count a result that Redis has confirmed.
        """
        if isinstance(outcome, Done | Dead):
            end = outcome.status if isinstance(outcome, Done) else "failed"
            self.ended(entry.kind, end, has_callback=has_callback)

    def ended(self, kind: str, end: str, *, has_callback: bool) -> None:
        """
        Count an end: its status; `has_callback`: it became an event for a `callback_url`.
        """
        self._finished[self._user_id, kind if kind in _KINDS else "other", end].inc()
        if has_callback:
            metrics.EVENTS_ACCEPTED[self._user_id, "callback"].inc()
