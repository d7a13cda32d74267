"""
Choosing dead letters: the filters of the command line and of the console.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from common.queue.dead import DeadLetter
from common.queue.texts import message_text


@dataclass(frozen=True, slots=True)
class Filter:
    """
    `FIELD=VALUE`: a field is just that; `FIELD~PART`: it contains that, in any case of letters.

    The field `text` is what a person would read in the message.
    """

    field: str
    is_part: bool
    value: str

    @classmethod
    def parse(cls, text: str) -> Filter:
        """
        Read one.

        Raises:

            ValueError: there is neither `=` nor `~` behind a name.

        """
        found = re.fullmatch(r"(\w+)([=~])(.*)", text, re.DOTALL)
        if found is None:
            raise ValueError(
                f"{text!r} is neither FIELD=VALUE nor FIELD~PART, such as reason=rejected or detail~timeout"
            )
        return cls(found[1], found[2] == "~", found[3])

    def takes(self, letter: DeadLetter) -> bool:
        """
        Say whether it fits a letter.
        """
        value = message_text(letter.fields) if self.field == "text" else letter.fields.get(self.field, "")
        return self.value.casefold() in value.casefold() if self.is_part else self.value == value


@dataclass(frozen=True, slots=True)
class Choice:
    """
    The letters that fit every filter and died at `since_ms` (unix ms) or later; `dead_id` is that of a single one.
    """

    filters: tuple[Filter, ...] = ()
    since_ms: int = 0
    dead_id: str = ""

    def takes(self, letter: DeadLetter) -> bool:
        """
        Say whether it is one of them.
        """
        if self.dead_id not in ("", letter.dead_id):
            return False
        return letter.died_ms >= self.since_ms and all(one.takes(letter) for one in self.filters)
