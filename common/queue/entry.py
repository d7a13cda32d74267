"""
An entry as a worker gets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

Verdict = Literal["run", "expired", "crashed"]


class Tries(BaseModel):
    """
    What is remembered of an entry's attempts (`S:tries`); attempts and crashes are two numbers (R32).

    `unknown_since_ms` is when the first attempt began whose outcome is not known, by Redis' clock; `gate_since_ms` is
    the same by the gate's clock, which no step of Redis' moves (R41), and `theirs_since_ms` by the other side's, where
    that is known. `traces` are what such attempts would be known by. `redriven`: it was a dead letter, and has not been
    tried since.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    attempts: int = 0
    crashes: int = 0
    first_at: int | None = None
    last_error: str = ""
    outcome_unknown: bool = False
    unknown_since_ms: int | None = None
    gate_since_ms: int | None = None
    theirs_since_ms: int | None = None
    redriven: bool | None = None
    # None rather than empty: Lua would turn an empty list into an object.
    traces: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One entry given out by `take`: its stream, id, fields, and what was tried before.

    `verdict` other than `run` asks only for the settlement: `expires_at` has passed, or three workers died with it.
    `taken_ms` is Redis' time of the take, `sequence` the entry id.
    """

    stream: str
    entry_id: str
    fields: dict[str, str]
    tries: Tries
    verdict: Verdict
    permit: str
    taken_ms: int

    @property
    def id(self) -> str:
        """
        The message's own id; an entry added by hand without one goes by its entry id.
        """
        return self.fields.get("id") or self.entry_id

    @property
    def kind(self) -> str:
        """
        What is to be done.
        """
        return self.fields.get("kind", "")

    @property
    def chat_id(self) -> str:
        """
        The chat it belongs to, or an empty text.
        """
        return self.fields.get("chat_id", "")


_NONE: Final = Tries()


def parse_tries(raw: str | None) -> Tries:
    """
    Read `S:tries`; what cannot be read counts as one crash with an unknown outcome, never as a first attempt.
    """
    if not raw:
        return _NONE
    try:
        return Tries.model_validate_json(raw)
    except ValidationError:
        return Tries(crashes=1, outcome_unknown=True)
