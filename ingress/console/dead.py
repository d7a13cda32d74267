"""
Dead letters: why they died, putting them back, and dropping them for good.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_200_OK
from litestar_htmx import HTMXRequest

from common.log import logger
from common.queue.choice import Choice, Filter
from common.queue.clearing import Batch, Clearing
from common.queue.dead import DeadLetter, DeadLetters
from common.queue.keys import Side
from common.queue.texts import laid_out, message_text
from ingress.console import navigation
from ingress.console.asking import moment_ms, number, side_of, stream_id
from ingress.console.page import Page, account_of
from ingress.deadline import in_time
from ingress.problems import ProblemError
from ingress.services import Services

PATH: Final = f"{navigation.ROOT}/dead"
ROWS: Final = 25
LOOKS: Final = 2000
BATCH: Final = 300
"""
How many letters one request looks at when a set is put back: the browser asks for the next ones.
"""
RATES: Final = (0, 10, 30, 60, 300)
"""
How many a minute can be put back; 0 is all at once.
"""
REASONS: Final = ("rejected", "expired", "crashed", "unknown", "malformed", "unknown_account")

Deed = Literal["redrive", "drop"]

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """
    Which letters are meant, as the form says it; `one` is the id of a single one.
    """

    side: Side
    reason: str = ""
    chat: str = ""
    text: str = ""
    since: str = ""
    one: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Asked:
        """
        Read it from an address or a form.
        """
        said = {name: str(query.get(name, "")).strip() for name in ("reason", "chat", "text", "since")}
        return cls(side_of(query.get("side")) or "commands", one=stream_id(query.get("one")) or "", **said)

    @property
    def query(self) -> dict[str, str]:
        """
        The same as a query.
        """
        given = {"side": self.side, "reason": self.reason, "chat": self.chat, "text": self.text, "since": self.since}
        return {name: value for name, value in (given | {"one": self.one}).items() if value}

    @property
    def is_all(self) -> bool:
        """
        Whether no filter is set.
        """
        return self.query.keys() == {"side"}

    def choice(self, timezone: str) -> Choice:
        """
        Return the filters.
        """
        exact = {"reason": self.reason, "chat_id": self.chat}
        filters = [Filter(field, False, value) for field, value in exact.items() if value]
        filters += [Filter("text", True, self.text)] if self.text else []
        return Choice(tuple(filters), moment_ms(self.since, timezone), self.one)


@get("/dead")
async def show(page: NamedDependency[Page], services: NamedDependency[Services], request: HTMXRequest) -> Response[Any]:
    """
    Show the letters that fit, newest first.
    """
    user_id, asked = account_of(page).user_id, Asked.of(request.query_params)
    letters = DeadLetters(services.connections, services.settings)
    choice = asked.choice(services.settings.timezone)
    rows, older = await in_time(
        _newest(letters, user_id, asked.side, choice, stream_id(request.query_params.get("older")))
    )
    return page.render("dead.html", _context(asked) | {"letters": [shown(one) for one in rows], "older": older})


@get("/dead/confirm")
async def confirm(
    page: NamedDependency[Page], services: NamedDependency[Services], request: HTMXRequest
) -> Response[Any]:
    """
    Say how many letters are meant, and which, before anything is done.
    """
    asked = Asked.of(request.query_params)
    choice = asked.choice(services.settings.timezone)
    clearing = _clearing(page, services, asked)
    counted = await in_time(clearing.count(choice))
    letters = DeadLetters(services.connections, services.settings)
    user_id = account_of(page).user_id
    some, _ = await in_time(_newest(letters, user_id, asked.side, choice, None, rows=3))
    context = _context(asked) | {
        "deed": _deed(request.query_params.get("do")),
        "counted": counted,
        "some": [shown(one) for one in some],
        "ticket": secrets.token_urlsafe(12),
        "rates": RATES,
    }
    return page.render("dead_confirm.html", context)


@post("/dead/clear", status_code=HTTP_200_OK)
async def clear(
    page: NamedDependency[Page], services: NamedDependency[Services], request: HTMXRequest
) -> Response[Any]:
    """
    Put back or drop the letters that were confirmed: a batch of them, and the page asks for the next one.
    """
    form = {name: str(value) for name, value in (await request.form()).items()}
    asked, deed = Asked.of(form), _deed(form.get("do"))
    newest, after = stream_id(form.get("newest")), stream_id(form.get("after"))
    if newest is None:
        raise ProblemError("validation_failed", "newest: the confirmation names none")
    clearing, choice = _clearing(page, services, asked), asked.choice(services.settings.timezone)
    rate = number(form.get("rate"), most=100_000)
    context = _context(asked) | {"deed": deed, "newest": newest, "rate": rate, "ticket": form.get("ticket", "")}
    if not await clearing.begin(f"{form.get('ticket', '')[:40]}:{after or ''}"):
        return _worked(page, request, context | {"batch": None, "done": 0})
    if deed == "drop":
        batch = await clearing.drop(choice, newest=newest, after=after)
    else:
        next_ms = number(form.get("next_ms"), most=10**15)
        batch = await clearing.put_back(
            choice, newest=newest, after=after, per_min=rate or None, next_ms=next_ms, looks=BATCH
        )
    _tell(page, asked, deed, batch)
    done = number(form.get("done"), most=10**15) + batch.done
    return _worked(page, request, context | {"batch": batch, "done": done})


@dataclass(frozen=True, slots=True)
class Shown:
    """
    What a letter's card shows.
    """

    dead_id: str
    own_id: str
    fields: Mapping[str, str]
    died_ms: int
    text: str
    body: str


def shown(letter: DeadLetter) -> Shown:
    """
    Return what a person is to see of a letter.
    """
    fields = letter.fields
    own_id = fields.get("id") or fields.get("source_id", letter.dead_id)
    body = laid_out(fields.get("body", ""))
    return Shown(letter.dead_id, own_id, fields, letter.died_ms, message_text(fields), body)


async def _newest(
    letters: DeadLetters, user_id: str, side: Side, choice: Choice, older: str | None, *, rows: int = ROWS
) -> tuple[Sequence[DeadLetter], str | None]:
    """
    Return the newest letters that fit and where to go on, after a look at no more than `LOOKS`.
    """
    if choice.dead_id:
        one = await letters.show(user_id, side, choice.dead_id)
        return [one] if one is not None else [], None
    found: list[DeadLetter] = []
    for _ in range(0, LOOKS, 100):
        page = await letters.list(user_id, side, count=100, before=older or "+")
        for letter in page:
            if letter.died_ms < choice.since_ms:
                return found, None
            if choice.takes(letter):
                found.append(letter)
                if len(found) == rows:
                    return found, letter.dead_id
        if len(page) < 100:
            return found, None
        older = page[-1].dead_id
    return found, older


def _clearing(page: Page, services: Services, asked: Asked) -> Clearing:
    return Clearing(services.connections, services.settings, account_of(page).user_id, asked.side)


def _context(asked: Asked) -> dict[str, Any]:
    return {"asked": asked, "path": PATH, "reasons": REASONS}


def _deed(text: str | None) -> Deed:
    return "drop" if text == "drop" else "redrive"


def _worked(page: Page, request: HTMXRequest, context: Mapping[str, object]) -> Response[Any]:
    return page.render("dead_work.html" if request.htmx else "dead_worked.html", context)


def _tell(page: Page, asked: Asked, deed: Deed, batch: Batch) -> None:
    if not batch.done:
        return
    account = account_of(page).user_id
    if deed == "drop":
        _log.info("console.dropped", account=account, direction=asked.side, messages=batch.done)
    else:
        _log.info("console.redriven", account=account, direction=asked.side, messages=batch.done)


HANDLERS: Final = [show, confirm, clear]
