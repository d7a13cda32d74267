"""
Fault switches: rules that say what goes wrong with which requests, and the decision for one request.
"""

from __future__ import annotations

import fnmatch
import itertools
import random
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator


class Rule(BaseModel):
    """
    When a fault applies.

    The first `skip` matching requests pass; then each is hit with `probability`, `count` times (None: until cleared).
    `path` is a shell pattern over the whole path, so `*/messages` means the sends of all chats.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    skip: int = Field(0, ge=0)
    count: int | None = Field(None, ge=1)
    probability: float = Field(1.0, gt=0, le=1)
    method: str | None = None
    path: str | None = None


class HttpFault(Rule):
    """
    What the two HTTP stand-ins have in common.

    * `status`: answer so, with Retry-After and X-RateLimit headers where asked for
    * `hang`: keep the client waiting, `hold_s` seconds or until it leaves. Not taken: the connection is closed then,
      without an answer. Taken: the real answer is given then.
    * `drop`: close the connection without an answer
    * `latency`: answer properly, later by `delay_s` up to `delay_max_s`; joins any other fault

    `taken` says whether the request does its work before that: the message is in the chat though the client never
    hears of it.
    """

    kind: str
    status: int = Field(500, ge=400, le=599)
    taken: bool = False
    hold_s: float | None = Field(None, ge=0)
    delay_s: float = Field(0.0, ge=0)
    delay_max_s: float | None = Field(None, ge=0)
    retry_after_s: float | None = Field(None, ge=0)
    retry_after_form: Literal["seconds", "date"] = "seconds"
    rate_headers: bool = False

    @model_validator(mode="after")
    def _range_in_order(self) -> HttpFault:
        if self.delay_max_s is not None and self.delay_max_s < self.delay_s:
            raise ValueError("delay_max_s must not be below delay_s")
        return self


class AvitoFault(HttpFault):
    """
    A fault of the Avito stand-in; `expired_token` refuses a good token as expired, in the `form` given.
    """

    face: Literal["avito"] = "avito"
    kind: Literal["status", "hang", "drop", "latency", "expired_token"]
    form: Literal["403", "401", "200"] = "403"


class N8nFault(HttpFault):
    """
    A fault of the n8n stand-in; `not_registered` is n8n's 404 for a workflow that is not active.
    """

    face: Literal["n8n"] = "n8n"
    kind: Literal["status", "hang", "drop", "latency", "not_registered"]


class WebhookFault(Rule):
    """
    A fault of webhook delivery; `path` is matched against the subscriber's URL.

    * `duplicate`: deliver `copies` times more
    * `lost`: never deliver
    * `delay`: deliver later by `delay_s`, without holding up what follows
    * `reorder`: deliver after the next webhook, at the latest after `delay_s`
    """

    face: Literal["webhook"] = "webhook"
    kind: Literal["duplicate", "lost", "delay", "reorder"]
    copies: int = Field(1, ge=1)
    delay_s: float = Field(1.0, ge=0)


Fault = Annotated[AvitoFault | N8nFault | WebhookFault, Field(discriminator="face")]
FAULT: TypeAdapter[AvitoFault | N8nFault | WebhookFault] = TypeAdapter(Fault)
AnyFault = AvitoFault | N8nFault | WebhookFault
F = TypeVar("F", bound=Rule)


@dataclass(slots=True)
class Switched:
    """
    A fault that is on, with how often it was matched and hit.
    """

    id: int
    fault: AnyFault
    matched: int = 0
    hits: int = 0

    def asks_for(self, method: str, path: str) -> bool:
        """
        Tell whether the rule is about such a request.
        """
        fault = self.fault
        if fault.method is not None and fault.method.upper() != method:
            return False
        return fault.path is None or fnmatch.fnmatchcase(path.rstrip("/"), fault.path.rstrip("/"))

    def hit(self, chance: random.Random) -> bool:
        """
        Count a matching request and decide whether it is hit.
        """
        self.matched += 1
        if self.matched <= self.fault.skip:
            return False
        if self.fault.probability < 1 and chance.random() >= self.fault.probability:
            return False
        self.hits += 1
        return True

    @property
    def used_up(self) -> bool:
        """
        Tell whether the rule has hit as often as it should.
        """
        return self.fault.count is not None and self.hits >= self.fault.count


class Faults:
    """
    The faults that are on, oldest first. Chances come from one seeded source, so a run can be repeated.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._chance = random.Random(seed)  # noqa: S311 - for tests, and it must be repeatable
        self._ids = itertools.count(1)
        self._on: dict[int, Switched] = {}

    def add(self, fault: AnyFault) -> int:
        """
        Switch a fault on and return its number.
        """
        number = next(self._ids)
        self._on[number] = Switched(number, fault)
        return number

    def remove(self, number: int) -> bool:
        """
        Switch one fault off; False if it was not on (any more).
        """
        return self._on.pop(number, None) is not None

    def clear(self) -> None:
        """
        Switch all faults off and start the chances anew.
        """
        self._on.clear()
        self._chance.seed(self._seed)

    def on(self) -> list[Switched]:
        """
        Return the faults that are on.
        """
        return list(self._on.values())

    def strike(self, kind: type[F], method: str, path: str) -> list[F]:
        """
        Return the faults of one face that hit this request: every latency, and the first of the others.

        A rule that was not asked, because an earlier one had already hit, keeps its count.
        """
        if not self._on:
            return []
        struck: list[F] = []
        settled = False
        for rule in self.on():
            fault, adds = rule.fault, rule.fault.kind == "latency"
            if not isinstance(fault, kind) or (settled and not adds) or not rule.asks_for(method, path):
                continue
            if rule.hit(self._chance):
                struck.append(fault)
                settled = settled or not adds
            if rule.used_up:
                del self._on[rule.id]
        return struck

    def delay_s(self, fault: HttpFault) -> float:
        """
        Draw the delay of a latency fault.
        """
        return fault.delay_s if fault.delay_max_s is None else self._chance.uniform(fault.delay_s, fault.delay_max_s)
