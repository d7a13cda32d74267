"""
Reading chats and answering by hand.

What is shown is asked of Avito when the page is opened, each list and each conversation at the price of a request or
two. What is sent goes the way of the REST API.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.status_codes import HTTP_200_OK
from litestar_htmx import HTMXRequest

from common.avito import calls, reads
from common.avito.calls import TEXT_CHARS
from common.avito.messages import chats_of, has_more, mapping, messages_of
from common.settings import Account
from ingress import accepting
from ingress.asking import Ask
from ingress.bodies import SendText
from ingress.catalogue import CATALOGUE
from ingress.console.conversation import chat, line, unread_first
from ingress.console.page import Page, account_of
from ingress.deadline import in_time
from ingress.decoding import check
from ingress.drafts import Draft
from ingress.identifiers import ChatId, CommandId, checked
from ingress.problems import ProblemError
from ingress.reads import READ_WAIT_S
from ingress.services import Services

PAGE: Final = 50

Offset = Annotated[int, QueryParameter(ge=0, le=calls.MAX_OFFSET)]
Unread = Annotated[bool, QueryParameter()]


@get("/chats")
async def show_chats(
    page: NamedDependency[Page], services: NamedDependency[Services], *, unread: Unread = False, offset: Offset = 0
) -> Response[Any]:
    """
    List a page of chats, what is unread first.
    """
    account = account_of(page)
    call = calls.chats(account.user_id, unread_only=unread, limit=PAGE, offset=offset)
    body = await reads.read(services.avito, account, call, wait_s=READ_WAIT_S)
    shown = unread_first([chat(one, account.user_id) for one in chats_of(body)])
    further = offset + PAGE if has_more(body, limit=PAGE) and offset + PAGE <= calls.MAX_OFFSET else None
    return page.render("chats.html", {"chats": shown, "unread": unread, "offset": offset, "further": further})


@get("/chats/{chat_id:str}")
async def show_chat(
    chat_id: ChatId, page: NamedDependency[Page], services: NamedDependency[Services], *, offset: Offset = 0
) -> Response[Any]:
    """
    Show a conversation, the newest messages at the end.
    """
    account = account_of(page)
    about = await reads.read(
        services.avito, account, calls.chat(account.user_id, checked("chat_id", chat_id)), wait_s=READ_WAIT_S
    )
    call = calls.messages(account.user_id, chat_id, PAGE, offset)
    body = await reads.read(services.avito, account, call, wait_s=READ_WAIT_S)
    lines = [line(message, account.user_id) for message in reversed(messages_of(body))]
    context = {
        "chat": chat(mapping(about), account.user_id),
        "chat_id": chat_id,
        "lines": lines,
        "offset": offset,
        "earlier": offset + PAGE if has_more(body, limit=PAGE) and offset + PAGE <= calls.MAX_OFFSET else None,
        "key": str(uuid.uuid4()),
        "most": TEXT_CHARS,
    }
    return page.render("chat.html", context)


@post("/chats/{chat_id:str}/send", status_code=HTTP_200_OK)
async def send(
    request: HTMXRequest, chat_id: ChatId, page: NamedDependency[Page], services: NamedDependency[Services]
) -> Response[Any]:
    """
    Queue an answer. The key of the form makes a form that is sent twice one message.
    """
    account, form = account_of(page), await request.form()
    # Browsers send line breaks of forms as CR LF.
    text = str(form.get("text", "")).replace("\r\n", "\n").strip()
    key = str(form.get("key", "")) or str(uuid.uuid4())
    data = check(SendText, {"chat_id": chat_id, "text": text, "idempotency_key": key})
    draft = Draft("text", data.chat_id, {"text": data.text})
    answer = await accepting.accept(
        services, account, draft, data, Ask(key, 0.0, request.receive), wanted=("text", data)
    )
    context = await _status(services, account, answer.content.command_id)
    return page.render("chat_sent.html", {**context, "text": data.text, "key": str(uuid.uuid4())})


@post("/chats/{chat_id:str}/read", status_code=HTTP_200_OK)
async def mark_read(
    request: HTMXRequest, chat_id: ChatId, page: NamedDependency[Page], services: NamedDependency[Services]
) -> Response[Any]:
    """
    Queue that the chat is marked as read.
    """
    account = account_of(page)
    draft = Draft("read", checked("chat_id", chat_id), {})
    wanted = (draft.kind, draft.chat_id, dict(draft.body))
    answer = await accepting.accept(services, account, draft, None, Ask(None, 0.0, request.receive), wanted=wanted)
    return page.render("command_status.html", await _status(services, account, answer.content.command_id))


@get("/commands/{command_id:str}/status")
async def show_status(
    command_id: CommandId, page: NamedDependency[Page], services: NamedDependency[Services]
) -> Response[Any]:
    """
    Say where a command stands; the answer asks again until it has ended.
    """
    context = await _status(services, account_of(page), checked("command_id", command_id))
    return page.render("command_status.html", context)


async def _status(services: Services, account: Account, command_id: str) -> Mapping[str, object]:
    record = await in_time(services.records.command(account.user_id, command_id))
    if record is None:
        raise ProblemError("unknown_command", CATALOGUE["unknown_command"].meaning)
    detail = str(record.fields.get("detail") or record.fields.get("reason") or "") if record.status == "failed" else ""
    return {"command_id": command_id, "status": record.status, "ended": record.ended, "detail": detail}


HANDLERS: Final = [show_chats, show_chat, send, mark_read, show_status]
