"""
What became of a command or an event, and taking a command back.
"""

from __future__ import annotations

from typing import Any, Final

from litestar import delete, get
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_200_OK

from common.log import logger
from common.queue.records import Record
from common.settings import Account
from ingress import answers
from ingress.catalogue import CATALOGUE
from ingress.deadline import in_time
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
            _log.info("command.cancelled", user_id=account.user_id, command_id=command_id)
            return answers.Cancelled(command_id=command_id, status="cancelled", message="It will not be sent.")
        case "sending":
            raise ProblemError("command_sending", CATALOGUE["command_sending"].meaning)
        case "ended":
            raise ProblemError("command_ended", CATALOGUE["command_ended"].meaning)
        case "unknown":
            raise ProblemError("unknown_command", CATALOGUE["unknown_command"].meaning)


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


HANDLERS: Final = [get_command, cancel_command, get_event]
