"""
The addresses that queue one message or one deed.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import delete, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import Body
from litestar.status_codes import HTTP_202_ACCEPTED

from common.avito.calls import TEXT_CHARS
from common.settings import Account
from ingress import accepting, answers, parts
from ingress.asking import Ask
from ingress.bodies import SendLink, SendText
from ingress.callbacks import check_callback
from ingress.decoding import JsonBody
from ingress.drafts import Draft, request_mark
from ingress.identifiers import ChatId, MessageId, checked
from ingress.problems import API_PROBLEMS, documented
from ingress.services import Services

SEND_PROBLEMS: Final = (
    *API_PROBLEMS,
    "bad_json",
    "body_too_large",
    "validation_failed",
    "idempotency_conflict",
    "callback_not_allowed",
    "queue_full",
    "command_failed",
    "command_expired",
    "command_cancelled",
)
WAITED: Final = ResponseSpec(answers.Sent, generate_examples=False, description="The request waited; it was sent.")
SEND_RESPONSES: Final = {200: WAITED} | documented(*SEND_PROBLEMS)
DEED_RESPONSES: Final = {200: WAITED} | documented(
    *(code for code in SEND_PROBLEMS if code not in ("bad_json", "callback_not_allowed"))
)
TAGS: Final = ["Messages"]


@post(
    "/messages/send",
    dto=JsonBody[SendText],
    return_dto=None,
    status_code=HTTP_202_ACCEPTED,
    responses=SEND_RESPONSES,
    tags=TAGS,
    summary="Send a text",
    operation_id="sendText",
)
async def send_text(
    data: Annotated[
        SendText, Body(examples=[Example(value={"chat_id": "u2i-AbCdEfGhIjKlMnOpQrStUg", "text": "Hello!"})])
    ],
    account: NamedDependency[Account],
    services: NamedDependency[Services],
    ask: NamedDependency[Ask],
) -> answers.Answer[answers.Accepted]:
    """
    Queue a text message. With `split` a long text becomes several messages, and the answer lists them.

    Then `callback_url` is told `command.sent` when the last one is sent, and of each that fails.
    """
    check_callback(data.callback_url, "callback_url", account, services.settings)
    texts = parts.split(data.text, TEXT_CHARS) if data.split else [data.text]
    drafts = [Draft("text", data.chat_id, {"text": text}) for text in texts]
    if len(drafts) > 1:
        return await accepting.accept_parts(services, account, drafts, data, ask, mark=request_mark("text", data))
    return await accepting.accept(services, account, drafts[0], data, ask, wanted=("text", data))


@post(
    "/messages/send/link",
    dto=JsonBody[SendLink],
    return_dto=None,
    status_code=HTTP_202_ACCEPTED,
    responses=SEND_RESPONSES,
    tags=TAGS,
    summary="Send a link",
    operation_id="sendLink",
)
async def send_link(
    data: Annotated[
        SendLink,
        Body(
            examples=[
                Example(
                    value={
                        "chat_id": "u2i-AbCdEfGhIjKlMnOpQrStUg",
                        "url": "https://example.com/price",
                        "text": "Our prices:",
                    }
                )
            ]
        ),
    ],
    account: NamedDependency[Account],
    services: NamedDependency[Services],
    ask: NamedDependency[Ask],
) -> answers.Answer[answers.Accepted]:
    """
    Queue a text message with a link: Avito has no call for links.
    """
    check_callback(data.callback_url, "callback_url", account, services.settings)
    body = {"url": data.url} | ({} if data.text is None else {"text": data.text})
    draft = Draft("link", data.chat_id, body)
    return await accepting.accept(services, account, draft, data, ask, wanted=("link", data))


@post(
    "/chats/{chat_id:str}/read",
    status_code=HTTP_202_ACCEPTED,
    responses=DEED_RESPONSES,
    tags=["Chats"],
    summary="Mark a chat as read",
    operation_id="markRead",
)
async def mark_read(
    chat_id: ChatId, account: NamedDependency[Account], services: NamedDependency[Services], ask: NamedDependency[Ask]
) -> answers.Answer[answers.Accepted]:
    """
    Queue that the chat is marked as read. A body is not needed and not looked at.
    """
    return await _deed(Draft("read", checked("chat_id", chat_id), {}), account, services, ask)


@delete(
    "/chats/{chat_id:str}/messages/{message_id:str}",
    status_code=HTTP_202_ACCEPTED,
    responses=DEED_RESPONSES,
    tags=["Chats"],
    summary="Delete a message",
    operation_id="deleteMessage",
)
async def delete_message(
    chat_id: ChatId,
    message_id: MessageId,
    account: NamedDependency[Account],
    services: NamedDependency[Services],
    ask: NamedDependency[Ask],
) -> answers.Answer[answers.Accepted]:
    """
    Queue the deletion of an own message. Avito allows it within one hour of sending.
    """
    draft = Draft("delete", checked("chat_id", chat_id), {"message_id": checked("message_id", message_id)})
    return await _deed(draft, account, services, ask)


async def _deed(draft: Draft, account: Account, services: Services, ask: Ask) -> answers.Answer[Any]:
    wanted = (draft.kind, draft.chat_id, dict(draft.body))
    return await accepting.accept(services, account, draft, None, ask, wanted=wanted)


HANDLERS: Final = [send_text, send_link, mark_read, delete_message]
