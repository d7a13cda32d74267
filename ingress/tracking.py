"""
What became of a command or an event, and taking a command back.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body
from litestar.status_codes import HTTP_200_OK

from common.log import logger
from common.queue.records import Record
from common.settings import Account
from ingress import answers
from ingress.bodies import Resolve
from ingress.catalogue import CATALOGUE
from ingress.deadline import in_time
from ingress.decoding import JsonBody
from ingress.identifiers import CommandId, MessageId, checked
from ingress.problems import API_PROBLEMS, ProblemError, documented
from ingress.services import Services

_log = logger(__name__)


@get(
    "/commands/{command_id:str}",
    responses=documented(*API_PROBLEMS, "unknown_command", "validation_failed"),
    tags=["Commands"],
    summary="Ask for a command",
    operation_id="getCommand",
)
async def get_command(
    command_id: CommandId, account: NamedDependency[Account], services: NamedDependency[Services]
) -> dict[str, Any]:
    """
    Return a command's record: its status now, and a timeline of what happened to it.
    """
    record = await in_time(services.records.command(account.user_id, checked("command_id", command_id)))
    if record is None:
        raise ProblemError("unknown_command", CATALOGUE["unknown_command"].meaning)
    return {"success": True, "command_id": command_id} | _shown(record)


@delete(
    "/commands/{command_id:str}",
    status_code=HTTP_200_OK,
    responses=documented(*API_PROBLEMS, "unknown_command", "command_sending", "command_ended", "validation_failed"),
    tags=["Commands"],
    summary="Cancel a command",
    operation_id="cancelCommand",
)
async def cancel_command(
    command_id: CommandId, account: NamedDependency[Account], services: NamedDependency[Services]
) -> answers.Cancelled:
    """
    Take a command back that is not being sent.
    """
    match await in_time(services.records.cancel(account.user_id, checked("command_id", command_id))):
        case "cancelled":
            _log.info("command.cancelled", account=account.user_id, command_id=command_id)
            return answers.Cancelled(command_id=command_id, status="cancelled", message="Nothing more is sent for it.")
        case "sending":
            raise ProblemError("command_sending", CATALOGUE["command_sending"].meaning)
        case "ended":
            raise ProblemError("command_ended", CATALOGUE["command_ended"].meaning)
        case "unknown":
            raise ProblemError("unknown_command", CATALOGUE["unknown_command"].meaning)


@post(
    "/commands/{command_id:str}/resolve",
    dto=JsonBody[Resolve],
    return_dto=None,
    status_code=HTTP_200_OK,
    responses=documented(
        *API_PROBLEMS,
        "unknown_command",
        "command_sending",
        "command_not_unknown",
        "command_ended",
        "bad_json",
        "body_too_large",
        "validation_failed",
    ),
    tags=["Commands"],
    summary="Say what became of a command",
    operation_id="resolveCommand",
)
async def resolve_command(
    command_id: CommandId,
    data: Annotated[Resolve, Body(examples=[Example(value={"outcome": "not_sent"})])],
    account: NamedDependency[Account],
    services: NamedDependency[Services],
) -> answers.Resolved:
    """
    Settle a command of status `unknown` (`AMBIGUOUS_SENDS=hold`) by hand: it was sent, or it is sent again.
    """
    checked_id = checked("command_id", command_id)
    match await in_time(services.records.resolve(account.user_id, checked_id, data.outcome, data.message_id)):
        case "ok":
            _log.info("command.resolved", account=account.user_id, command_id=command_id, outcome=data.outcome)
        case "sending":
            raise ProblemError("command_sending", "A worker looks at it just now. Ask again in a moment.")
        case "certain":
            raise ProblemError("command_not_unknown", CATALOGUE["command_not_unknown"].meaning)
        case "ended":
            raise ProblemError("command_ended", CATALOGUE["command_ended"].meaning)
        case "unknown":
            raise ProblemError("unknown_command", CATALOGUE["unknown_command"].meaning)
    is_sent = data.outcome == "sent"
    return answers.Resolved(
        command_id=command_id,
        status="sent" if is_sent else "retrying",
        message="It counts as sent." if is_sent else "It is sent again.",
        links=answers.links(command_id),
    )


@get(
    "/events/{message_id:str}",
    responses=documented(*API_PROBLEMS, "unknown_event", "validation_failed"),
    tags=["Events"],
    summary="Ask for an inbound event",
    operation_id="getEvent",
)
async def get_event(
    message_id: MessageId, account: NamedDependency[Account], services: NamedDependency[Services]
) -> dict[str, Any]:
    """
    Return the record of a message that came in: its status now, and a timeline.
    """
    record = await in_time(services.records.event(account.user_id, checked("message_id", message_id)))
    if record is None:
        raise ProblemError("unknown_event", CATALOGUE["unknown_event"].meaning)
    return {"success": True, "message_id": message_id} | _shown(record)


def _shown(record: Record) -> dict[str, object]:
    """
    Return a record without a top-level `error`, which n8n would take for a failure of the request.
    """
    shown = record.to_json()
    if "error" in shown:
        shown["last_error"] = shown.pop("error")
    return shown


HANDLERS: Final = [get_command, cancel_command, resolve_command, get_event]
