"""
The Avito stand-in's HTTP face: paths, tokens and shapes of answers (facts, sections 2 to 5).
"""

from __future__ import annotations

import logging
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs

from litestar import Litestar, Response, get, post
from litestar.datastructures import UploadFile
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.params import FromPath

from sandbox.calls import (
    AVITO,
    Answer,
    Asked,
    answered,
    avito_of,
    body_of,
    entitled,
    note,
    number,
    query_of,
    several,
    whole,
)
from sandbox.chats import chat_body, message_body
from sandbox.images import MAX_BYTES
from sandbox.refusals import NO_ROUTE, TOO_LARGE, Refused, component, invalid, refused

if TYPE_CHECKING:
    from sandbox.avito import Avito
    from sandbox.chats import Message
    from sandbox.front import App, Receive, Send

log = logging.getLogger(__name__)
CHAT_TYPES = ("u2i", "u2u", "a2u")
MULTIPART_MARGIN = 64 * 1024


def _sent(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "author_id": message.author_id,
        "created": message.created_s,
        "content": message.content,
        "type": message.type,
        "direction": "out",
    }


@post("/token", status_code=200)
async def token(request: Asked) -> Answer:
    """
    Give out a token; form-encoded only.
    """
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        body = {"error": "invalid_request", "error_description": "The body must be form-encoded"}
        raise Refused(400, body)
    form = {name: values[-1] for name, values in parse_qs((await request.body()).decode("utf-8", "replace")).items()}
    note(request, f"grant {form.get('grant_type', 'missing')[:40]}")
    avito = avito_of(request)
    return answered(avito.tokens.exchange(form, avito.behaviour))


@get("/core/v1/accounts/self")
async def own_account(request: Asked) -> Answer:
    """
    Tell whose token it is.
    """
    return answered(avito_of(request).chats.accounts[entitled(request, "user:read")].profile())


@post("/messenger/v1/accounts/{user_id:int}/chats/{chat_id:str}/messages", status_code=200)
async def send_text(request: Asked, user_id: FromPath[int], chat_id: FromPath[str]) -> Answer:
    """
    Send a text.
    """
    entitled(request, "messenger:write", user_id)
    message = avito_of(request).send_text(user_id, chat_id, await body_of(request))
    note(request, f"message {message.id}")
    return answered(_sent(message))


@post("/messenger/v1/accounts/{user_id:int}/chats/{chat_id:str}/messages/image", status_code=200)
async def send_image(request: Asked, user_id: FromPath[int], chat_id: FromPath[str]) -> Answer:
    """
    Send an uploaded image.
    """
    entitled(request, "messenger:write", user_id)
    message = avito_of(request).send_image(user_id, chat_id, await body_of(request))
    note(request, f"message {message.id}")
    return answered(_sent(message))


@post("/messenger/v1/accounts/{user_id:int}/chats/{chat_id:str}/messages/{message_id:str}", status_code=200)
async def delete(request: Asked, user_id: FromPath[int], chat_id: FromPath[str], message_id: FromPath[str]) -> Answer:
    """
    Delete a message.
    """
    entitled(request, "messenger:write", user_id)
    avito_of(request).delete(user_id, chat_id, message_id)
    note(request, f"deleted {message_id}")
    return answered({})


@post("/messenger/v1/accounts/{user_id:int}/chats/{chat_id:str}/read", status_code=200)
async def read(request: Asked, user_id: FromPath[int], chat_id: FromPath[str]) -> Answer:
    """
    Mark a chat as read.
    """
    entitled(request, "messenger:read", user_id)
    avito_of(request).read(user_id, chat_id)
    return answered({"ok": True})


@get("/messenger/v1/accounts/{user_id:int}/getVoiceFiles")
async def voice_files(request: Asked, user_id: FromPath[int]) -> Answer:
    """
    Give links to voice messages.
    """
    entitled(request, "messenger:read", user_id)
    voice_ids = several(query_of(request), "voice_ids")
    if not voice_ids:
        raise invalid(voice_ids="required")
    images = avito_of(request).images
    return answered({"voices_urls": {voice_id: images.voice_url(voice_id) for voice_id in voice_ids}})


@post(
    "/messenger/v1/accounts/{user_id:int}/uploadImages",
    status_code=200,
    request_max_body_size=MAX_BYTES + MULTIPART_MARGIN,
)
async def upload_images(request: Asked, user_id: FromPath[int]) -> Answer:
    """
    Take one picture.
    """
    entitled(request, "messenger:write", user_id)
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise refused(400)
    form = await request.form()
    files = form.getall("uploadfile[]", [])
    if len(files) != 1 or not isinstance(files[0], UploadFile):
        raise invalid(**{"uploadfile[]": "exactly one file is required"})
    file = files[0]
    avito = avito_of(request)
    image = avito.upload(user_id, file.filename, file.content_type, await file.read())
    note(request, f"image {image.id}")
    return answered({image.id: avito.images.sizes(image.id)})


@post("/messenger/v1/subscriptions", status_code=200)
async def subscriptions(request: Asked) -> Answer:
    """
    List the webhook URLs.
    """
    urls = avito_of(request).webhooks.subscriptions(entitled(request, "messenger:read"))
    return answered({"subscriptions": [{"url": url, "version": "3"} for url in urls]})


@post("/messenger/v3/webhook", status_code=200)
async def subscribe(request: Asked) -> Answer:
    """
    Subscribe a URL.
    """
    user_id = entitled(request, "messenger:read")
    avito_of(request).webhooks.subscribe(user_id, _url(await body_of(request)))
    return answered({"ok": True})


@post("/messenger/v1/webhook/unsubscribe", status_code=200)
async def unsubscribe(request: Asked) -> Answer:
    """
    Unsubscribe a URL.
    """
    user_id = entitled(request, "messenger:read")
    avito_of(request).webhooks.unsubscribe(user_id, _url(await body_of(request)))
    return answered({"ok": True})


@post("/messenger/v2/accounts/{user_id:int}/blacklist", status_code=200)
async def blacklist(request: Asked, user_id: FromPath[int]) -> Answer:
    """
    Block users; the answer is empty.
    """
    entitled(request, "messenger:write", user_id)
    body = await body_of(request)
    users = body.get("users") if isinstance(body, dict) else None
    if not isinstance(users, list) or not users or not all(_blockable(user) for user in users):
        raise invalid(users="must be a list of users, each with user_id and context{item_id, reason_id 1 to 4}")
    avito_of(request).blacklist.extend(users)
    return Response(b"", status_code=200)


@get("/messenger/v2/accounts/{user_id:int}/chats")
async def chats(request: Asked, user_id: FromPath[int]) -> Answer:
    """
    List chats, the latest updated first.
    """
    entitled(request, "messenger:read", user_id)
    query = query_of(request)
    limit, offset = number(query, "limit", 100, 1, 100), number(query, "offset", 0, 0, 1000)
    item_ids = several(query, "item_ids")
    if None in [whole(item) for item in item_ids]:
        raise invalid(item_ids="must be numbers")
    types = several(query, "chat_types") or ["u2i"]
    if not set(types) <= set(CHAT_TYPES):
        raise invalid(chat_types="must be of u2i, u2u, a2u")
    unread_only = query.get("unread_only", ["false"])[-1].lower()
    if unread_only not in ("true", "false", "1", "0"):
        raise invalid(unread_only="must be true or false")
    avito = avito_of(request)
    found = avito.chats.latest_first(
        user_id, types=types, item_ids=map(int, item_ids), unread_only=unread_only in ("true", "1")
    )
    account = avito.chats.accounts[user_id]
    shown = [chat_body(chat, account) for chat in found[offset : offset + limit]]
    return _listed(avito, "chats", shown, has_more=len(found) > offset + limit)


@get("/messenger/v2/accounts/{user_id:int}/chats/{chat_id:str}")
async def chat(request: Asked, user_id: FromPath[int], chat_id: FromPath[str]) -> Answer:
    """
    Show one chat.
    """
    entitled(request, "messenger:read", user_id)
    avito = avito_of(request)
    return answered(chat_body(avito.chat(user_id, chat_id), avito.chats.accounts[user_id]))


@get("/messenger/v3/accounts/{user_id:int}/chats/{chat_id:str}/messages")
async def messages(request: Asked, user_id: FromPath[int], chat_id: FromPath[str]) -> Answer:
    """
    List the messages of a chat, newest first, without marking them as read.
    """
    entitled(request, "messenger:read", user_id)
    query = query_of(request)
    limit, offset = number(query, "limit", 100, 1, 100), number(query, "offset", 0, 0, 1000)
    avito = avito_of(request)
    all_messages = avito.chat(user_id, chat_id).messages
    end = len(all_messages) - offset
    page = reversed(all_messages[max(end - limit, 0) : max(end, 0)])
    shown = [message_body(message, user_id, avito.behaviour) for message in page]
    return _listed(avito, "messages", shown, has_more=end > limit)


def _listed(avito: Avito, name: str, shown: list[dict[str, Any]], *, has_more: bool) -> Answer:
    if avito.behaviour.lists == "array" and name == "messages":
        return answered(shown)
    return answered({name: shown, "meta": {"has_more": has_more}})


def _url(body: Any) -> str:
    url = body.get("url") if isinstance(body, dict) else None
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise invalid(url="must be an http or https address")
    return url


def _blockable(user: Any) -> bool:
    context = user.get("context") if isinstance(user, dict) else None
    return (
        isinstance(context, dict)
        and isinstance(user.get("user_id"), int)
        and isinstance(context.get("item_id"), int)
        and context.get("reason_id") in (1, 2, 3, 4)
    )


def _on_refused(_: Asked, error: Refused) -> Answer:
    return answered(error.body, error.status, error.headers)


def _on_no_route(_: Asked, __: Exception) -> Answer:
    return answered(NO_ROUTE, 404)


def _on_http_error(_: Asked, error: HTTPException) -> Answer:
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return answered(TOO_LARGE, error.status_code)
    return answered(component(400), 400)


def on_bug(request: Asked, error: Exception) -> Answer:
    """
    Answer 500, and say in the log that the sandbox itself is at fault.
    """
    error.add_note(f"while it answered {request.method} {request.url.path}")
    log.error("sandbox.failed", exc_info=error)
    return answered(component(500), 500)


def face(avito: Avito) -> App:
    """
    Return the ASGI application of an Avito.
    """

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        scope[AVITO] = avito
        await cast("App", _routes())(scope, receive, send)

    return app


@cache
def _routes() -> Litestar:
    """
    Return the routes, built once for all sandboxes of a process: tests start one each.
    """
    return Litestar(
        route_handlers=[
            token,
            own_account,
            send_text,
            send_image,
            delete,
            read,
            voice_files,
            upload_images,
            subscriptions,
            subscribe,
            unsubscribe,
            blacklist,
            chats,
            chat,
            messages,
        ],
        exception_handlers={
            Refused: _on_refused,
            NotFoundException: _on_no_route,
            MethodNotAllowedException: _on_no_route,
            HTTPException: _on_http_error,
            500: on_bug,
        },
        openapi_config=None,
        logging_config=None,
    )
