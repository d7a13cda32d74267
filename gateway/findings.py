"""
What a check found: a level, what it is about, what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["OK", "WARN", "FAIL"]


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One line of the doctor. `advice` says what to do; it is empty when all is well.
    """

    level: Level
    subject: str
    text: str
    advice: str = ""

    def lines(self) -> list[str]:
        """
        Return it as the terminal shows it.
        """
        first = f"{self.level:<5} {self.subject:<18} {self.text}"
        return [first, f"{'':<24} -> {self.advice}"] if self.advice else [first]


def failed(findings: Iterable[Finding]) -> bool:
    """
    Say whether one of them is a FAIL.
    """
    return any(finding.level == "FAIL" for finding in findings)
