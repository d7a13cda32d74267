"""
The first page: the gates as they are now, the queues, why something waits, and the last hour.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_200_OK
from litestar_htmx import HTMXRequest

from common.errors import GatewayError
from common.log import logger
from common.queue.hold import Direction
from common.queue.keys import SIDES
from common.queue.look import Depths
from common.queue.usage import Usage
from common.settings import Account
from ingress.console.chart import Chart, chart
from ingress.console.page import Page, account_of
from ingress.console.picture import Picture, picture
from ingress.console.waits import Reason, reasons
from ingress.deadline import in_time
from ingress.problems import invalid
from ingress.services import Services

WHO: Final = "console"

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Side:
    """
    One direction of an account as it is now. `picture` is the gate's, where it has a rate.
    """

    direction: Direction
    usage: Usage
    picture: Picture | None
    depths: Sequence[Depths]
    reasons: Sequence[Reason]

    @property
    def dead(self) -> int:
        """
        The dead letters; both command streams share them.
        """
        return self.depths[0].dead


async def sides(services: Services, account: Account) -> list[Side]:
    """
    Read both directions of an account.
    """
    gate, user_id = services.avito.gate(account), account.user_id
    (seen,), back_ms, stalled = await in_time(
        asyncio.gather(services.records.look([user_id]), gate.coming_back(), services.records.stalled(user_id))
    )
    drawn = picture(gate.limits.requests or 1, gate.limits.window_s * 1000, back_ms)
    by_direction: dict[Direction, tuple[Usage, Picture | None, list[Depths]]] = {
        "commands": (seen.avito, drawn, seen.queues[:2]),
        "events": (seen.n8n, None, seen.queues[2:]),
    }
    return [
        Side(
            direction,
            usage,
            shown,
            listed,
            reasons(
                direction,
                depths=listed,
                usage=usage,
                next_ms=shown.next_ms if shown else None,
                reserve=gate.limits.reserve,
                is_stalled=any(depth.stream in stalled for depth in listed),
            ),
        )
        for direction, (usage, shown, listed) in by_direction.items()
    ]


async def state(services: Services, page: Page) -> dict[str, object]:
    """
    Return what `overview_state.html` shows; while Redis is away that is all it says, and goes on asking.
    """
    try:
        return {"sides": await sides(services, account_of(page)), "window_s": services.settings.rate_limit_window}
    except GatewayError as error:
        _log.debug("console.state_unknown", error=str(error))
        return {"sides": None}


async def hour(services: Services, page: Page) -> dict[str, object]:
    """
    Return what `overview_hour.html` shows.
    """
    charts: dict[Direction, Chart] | None = None
    try:
        minutes = await in_time(services.history.last_hour(account_of(page).user_id))
        charts = {
            "commands": chart([(minute.minute, minute.commands) for minute in minutes]),
            "events": chart([(minute.minute, minute.events) for minute in minutes]),
        }
    except GatewayError as error:
        _log.debug("console.hour_unknown", error=str(error))
    return {"charts": charts}


@get("/")
async def show(page: NamedDependency[Page], services: NamedDependency[Services]) -> Response[Any]:
    """
    Show the overview.
    """
    found, drawn = await asyncio.gather(state(services, page), hour(services, page))
    return page.render("overview.html", found | drawn | {"directions": SIDES})


@get("/state")
async def show_state(page: NamedDependency[Page], services: NamedDependency[Services]) -> Response[Any]:
    """
    Show what changes every second.
    """
    return page.render("overview_state.html", await state(services, page))


@get("/hour")
async def show_hour(page: NamedDependency[Page], services: NamedDependency[Services]) -> Response[Any]:
    """
    Show the last hour.
    """
    return page.render("overview_hour.html", await hour(services, page))


@post("/hold", status_code=HTTP_200_OK)
async def hold(request: HTMXRequest, page: NamedDependency[Page], services: NamedDependency[Services]) -> Response[Any]:
    """
    Hold a direction, or let it go on.
    """
    form = await request.form()
    user_id = account_of(page).user_id
    direction = next((one for one in SIDES if one == form.get("direction")), None)
    if direction is None:
        raise invalid("direction", "This must be commands or events.")
    if form.get("to") == "resume":
        await in_time(services.holds.resume(user_id, direction))
        _log.info("console.resumed", account=user_id, direction=direction)
    else:
        await in_time(services.holds.hold(user_id, direction, by=WHO, why=str(form.get("why", "")).strip()))
        _log.info("console.held", account=user_id, direction=direction)
    return page.render("overview_state.html", await state(services, page))


HANDLERS: Final = [show, show_state, show_hour, hold]
