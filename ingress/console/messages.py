"""
Messages: looking for one, and what became of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar_htmx import ClientRedirect, HTMXRequest

from common.errors import GatewayError
from common.log import logger
from common.queue import waiting
from common.queue.keys import AccountKeys, Side
from common.queue.search import STATES, Found, Search, Wanted
from common.queue.texts import laid_out
from common.settings import Account
from ingress.catalogue import CATALOGUE
from ingress.console import navigation
from ingress.console.asking import side_of, stream_id
from ingress.console.login import see_other
from ingress.console.page import Page, account_of
from ingress.deadline import in_time
from ingress.identifiers import checked
from ingress.problems import ProblemError
from ingress.services import Services

PATH: Final = f"{navigation.ROOT}/messages"
ROWS: Final = 30
STOP_POLLING: Final = 286
"""
What htmx takes as the end of a part that asks again and again.
"""

_LOOKS: Final[Mapping[str, str]] = {
    "sent": "good",
    "delivered": "good",
    "queued": "wait",
    "scheduled": "wait",
    "sending": "wait",
    "retrying": "wait",
    "unknown": "bad",
    "failed": "bad",
    "expired": "bad",
}

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What the form asks for; `id` goes before all else.
    """

    wanted: Wanted
    id: str
    older: str | None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Asked:
        """
        Read it from an address; what is odd does not matter.
        """
        state = query.get("state", "")
        wanted = Wanted(
            side=side_of(query.get("side")),
            chat_id=query.get("chat", "").strip(),
            text=query.get("text", "").strip(),
            state=state if state in STATES else "",
        )
        return cls(wanted, query.get("id", "").strip(), stream_id(query.get("older")))

    @property
    def query(self) -> dict[str, object]:
        """
        The same as a query, without the place where to go on.
        """
        wanted = self.wanted
        return {
            "side": wanted.side,
            "chat": wanted.chat_id,
            "text": wanted.text,
            "state": wanted.state,
            "id": self.id,
        }


@dataclass(frozen=True, slots=True)
class Step:
    """
    One line of the timeline; `event` is `accepted`, `attempt` or the state in which it ended.
    """

    at_ms: float | None
    event: str
    told: str = ""
    error: str = ""


def steps(timeline: Sequence[Mapping[str, object]]) -> list[Step]:
    """
    Return a record's timeline as lines to read.
    """
    return [_step(line) for line in timeline]


def _step(line: Mapping[str, object]) -> Step:
    status, took_ms = line.get("status"), line.get("ms")
    told = [
        line.get("step"),
        line.get("outcome"),
        f"HTTP {status}" if status is not None else None,
        f"{took_ms} ms" if took_ms is not None else None,
        f"look-up: {line['look_up']}" if "look_up" in line else None,
    ]
    try:
        at_ms = datetime.fromisoformat(str(line.get("at"))).timestamp() * 1000
    except ValueError:
        at_ms = None
    return Step(
        at_ms, str(line.get("event")), " · ".join(str(part) for part in told if part), str(line.get("error") or "")
    )


@get("/messages")
async def show_list(
    page: NamedDependency[Page], services: NamedDependency[Services], request: HTMXRequest
) -> Response[Any]:
    """
    Show the form and what was found, newest first.
    """
    user_id, asked = account_of(page).user_id, Asked.of(request.query_params)
    search = Search(services.connections, services.settings, services.records)
    context: dict[str, object] = {"asked": asked, "states": STATES, "path": PATH, "look_of": look_of}
    if asked.id:
        context |= {"found": await in_time(search.named(user_id, asked.id)), "results": None}
    else:
        results = await in_time(search.find(user_id, asked.wanted, older=asked.older, rows=ROWS))
        context |= {"found": results.found, "results": results}
    return page.render("messages.html", context)


@get("/messages/{side:str}/{own_id:str}")
async def show(
    page: NamedDependency[Page],
    services: NamedDependency[Services],
    request: HTMXRequest,
    side: FromPath[str],
    own_id: FromPath[str],
) -> Response[Any]:
    """
    Show one message: what it says, where it stands, and what happened to it. The part about now asks again by itself,
    through an outage of Redis too, until the message has ended or somebody has to decide.
    """
    whole = _whole(services, account_of(page), _side(side), checked("message_id", own_id))
    if not request.htmx:
        return page.render("message.html", await in_time(whole))
    try:
        context = await in_time(whole)
    except GatewayError as error:
        _log.info("console.message_unknown", error=str(error))
        return page.render("outage.html")
    return page.render("message_now.html", context, status=200 if context["is_live"] else STOP_POLLING)


@post("/messages/{side:str}/{own_id:str}/cancel")
async def cancel(
    page: NamedDependency[Page],
    services: NamedDependency[Services],
    request: HTMXRequest,
    side: FromPath[str],
    own_id: FromPath[str],
) -> Response[Any]:
    """
    Take a command back.
    """
    account, command_id = account_of(page), _command_id(side, own_id)
    reply = await services.records.cancel(account.user_id, command_id)
    if reply != "cancelled":
        raise _refused(reply)
    _log.info("command.cancelled", account=account.user_id, command_id=command_id)
    return _back(page, request, command_id)


@post("/messages/{side:str}/{own_id:str}/resolve")
async def resolve(
    page: NamedDependency[Page],
    services: NamedDependency[Services],
    request: HTMXRequest,
    side: FromPath[str],
    own_id: FromPath[str],
) -> Response[Any]:
    """
    Say what became of a send of unknown outcome.
    """
    account, command_id = account_of(page), _command_id(side, own_id)
    form = await request.form()
    outcome = "sent" if form.get("outcome") == "sent" else "not_sent"
    message_id = str(form.get("message_id", "")).strip() or None
    if message_id is not None:
        checked("message_id", message_id)
    reply = await services.records.resolve(
        account.user_id, command_id, "sent" if outcome == "sent" else "not_sent", message_id
    )
    if reply != "ok":
        raise _refused(reply)
    _log.info("command.resolved", account=account.user_id, command_id=command_id, outcome=outcome)
    return _back(page, request, command_id)


def look_of(state: str) -> str:
    """
    Return the colour of a state; its word says the same.
    """
    return _LOOKS.get(state, "dim")


async def _whole(services: Services, account: Account, side: Side, own_id: str) -> dict[str, object]:
    (record,) = await services.records.current(account.user_id, [(side, own_id)])
    if record is None:
        code = "unknown_command" if side == "commands" else "unknown_event"
        raise ProblemError(code, CATALOGUE[code].meaning)
    found = Found.of(side, own_id, record)
    context: dict[str, object] = {
        "found": found,
        "steps": steps(record.timeline),
        "path": PATH,
        "look_of": look_of,
        "is_live": not record.ended and record.status != "unknown",
        "response": laid_out(record.fields.get("response", "")),
        "waiting": None,
        "usage": None,
    }
    if record.standing is not None:
        keys = AccountKeys(services.settings.key_prefix, account.user_id)
        context["waiting"] = await waiting.why(services.connections.commands, keys, record.standing)
        (look,) = await services.records.look([account.user_id])
        context["usage"] = look.avito if side == "commands" else look.n8n
    return context


def _side(text: str) -> Side:
    found = side_of(text)
    if found is None:
        raise ProblemError("not_found", CATALOGUE["not_found"].meaning)
    return found


def _command_id(side: str, own_id: str) -> str:
    if side != "commands":
        raise ProblemError("not_found", CATALOGUE["not_found"].meaning)
    return checked("command_id", own_id)


def _refused(reply: str) -> ProblemError:
    codes = {
        "sending": "command_sending",
        "ended": "command_ended",
        "certain": "command_not_unknown",
        "unknown": "unknown_command",
    }
    return ProblemError(codes[reply], CATALOGUE[codes[reply]].meaning)


def _back(page: Page, request: HTMXRequest, command_id: str) -> Response[Any]:
    address = page.address(navigation.segments(PATH, "commands", command_id))
    return ClientRedirect(address) if request.htmx else see_other(address)


HANDLERS: Final = [show_list, show, cancel, resolve]
