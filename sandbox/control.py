"""
The control API, under `/control` on a port of its own: faults, state and reports for other processes.
"""

from __future__ import annotations

import base64
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from litestar import Litestar, Request, Response, delete, get, patch, post
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from pydantic import ValidationError

from sandbox.avito_http import on_bug
from sandbox.behaviour import Behaviour
from sandbox.control_bodies import Authorization, Inbound, NewAccount, NewChat, Shift, Subscription
from sandbox.faults import FAULT
from sandbox.n8n import Reply

if TYPE_CHECKING:
    from sandbox.chats import Chat
    from sandbox.front import App, Receive, Send
    from sandbox.server import Sandbox

SANDBOX = "sandbox"
Asked = Request[Any, Any, State]
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
JOURNAL_PAGE = 1000


def _sandbox(request: Asked) -> Sandbox:
    sandbox: Sandbox = cast("dict[str, Any]", request.scope)[SANDBOX]
    return sandbox


def _chat_dict(chat: Chat) -> dict[str, Any]:
    return {**asdict(chat), "type": chat.type, "unread": chat.unread}


def _known_chat(request: Asked, chat_id: str) -> Chat:
    chats = _sandbox(request).avito.chats
    if chat_id not in chats:
        raise NotFoundException(f"There is no chat {chat_id}. Create it with POST /control/chats.")
    return chats[chat_id]


@get("/control")
async def overview(request: Asked) -> dict[str, Any]:
    """
    Addresses, paths and counts.
    """
    sandbox = _sandbox(request)
    return {
        **{name: value for name, value in sandbox.addresses().items() if name != "client_secret"},
        "paths": sorted({route.path for route in request.app.routes}),
        "sent": len(sandbox.avito.sent()),
        "received": len(sandbox.n8n.received),
        "open_now": sandbox.journal.open_now,
        "open_max": sandbox.journal.open_max,
        "faults": len(sandbox.faults.on()),
        "shift_s": sandbox.clock.shift_s,
    }


@get("/control/faults")
async def list_faults(request: Asked) -> list[dict[str, Any]]:
    """
    The faults that are on, oldest first.
    """
    return [
        {"id": on.id, "matched": on.matched, "hits": on.hits, **on.fault.model_dump()}
        for on in _sandbox(request).faults.on()
    ]


@post("/control/faults")
async def add_fault(request: Asked) -> dict[str, int]:
    """
    Switch a fault on: an AvitoFault, N8nFault or WebhookFault, told apart by `face`.
    """
    fault = FAULT.validate_json(await request.body())
    return {"id": _sandbox(request).faults.add(fault)}


@delete("/control/faults")
async def clear_faults(request: Asked) -> None:
    """
    Switch all faults off.
    """
    _sandbox(request).faults.clear()


@delete("/control/faults/{fault_id:int}")
async def remove_fault(request: Asked, fault_id: FromPath[int]) -> None:
    """
    Switch one fault off.
    """
    _sandbox(request).faults.remove(fault_id)


@get("/control/behaviour")
async def show_behaviour(request: Asked) -> dict[str, Any]:
    """
    How Avito behaves when no fault is on.
    """
    return _sandbox(request).avito.behaviour.model_dump()


@patch("/control/behaviour")
async def change_behaviour(request: Asked, data: JSONBody[dict[str, Any]]) -> dict[str, Any]:
    """
    Change the switches named in the body; the others stay.
    """
    avito = _sandbox(request).avito
    avito.behaviour = Behaviour.model_validate(avito.behaviour.model_dump() | data)
    return avito.behaviour.model_dump()


@get("/control/journal")
async def show_journal(
    request: Asked,
    kind: FromQuery[Literal["avito", "n8n", "webhook"] | None] = None,
    path: FromQuery[str | None] = None,
    after: FromQuery[int] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=50_000)] = JOURNAL_PAGE,
) -> list[dict[str, Any]]:
    """
    Requests with arrival time, open count and outcome, oldest first, from number `after` on.
    """
    return [record.as_dict() for record in _sandbox(request).journal.list(kind, after, path)[:limit]]


@delete("/control/journal")
async def clear_journal(request: Asked) -> None:
    """
    Forget the journal and the arrivals; start the highest open counts anew.
    """
    _sandbox(request).journal.clear()


@get("/control/rate")
async def rate(
    request: Asked, window_s: Annotated[float, QueryParameter(gt=0)] = 60.0, user_id: FromQuery[int | None] = None
) -> dict[str, Any]:
    """
    The greatest number of arrivals at Avito in any window of that length, and the most requests open at once.
    """
    journal = _sandbox(request).journal
    return {
        "window_s": window_s,
        "worst": journal.worst(window_s, user_id),
        "open_max": journal.open_max["avito"],
    }


@get("/control/chats")
async def list_chats(request: Asked) -> list[dict[str, Any]]:
    """
    All chats with their messages.
    """
    return [_chat_dict(chat) for chat in _sandbox(request).avito.chats]


@post("/control/chats")
async def create_chat(request: Asked, data: JSONBody[NewChat]) -> dict[str, Any]:
    """
    Create a chat.
    """
    avito = _sandbox(request).avito
    if data.user_id is not None and data.user_id not in avito.chats.accounts:
        raise NotFoundException(f"There is no account {data.user_id}. Register it with POST /control/accounts.")
    return _chat_dict(avito.create_chat(**data.model_dump()))


@get("/control/chats/{chat_id:str}")
async def show_chat(request: Asked, chat_id: FromPath[str]) -> dict[str, Any]:
    """
    One chat with its messages.
    """
    return _chat_dict(_known_chat(request, chat_id))


@get("/control/messages")
async def sent_messages(request: Asked, chat_id: FromQuery[str | None] = None) -> list[dict[str, Any]]:
    """
    What was sent through the API, in the order taken.
    """
    return [asdict(message) for message in _sandbox(request).avito.sent(chat_id)]


@post("/control/messages")
async def inbound_message(request: Asked, data: JSONBody[Inbound]) -> dict[str, Any]:
    """
    Let a message arrive, with its webhook.
    """
    _known_chat(request, data.chat_id)
    return asdict(_sandbox(request).avito.receive(**data.model_dump()))


@post("/control/webhooks")
async def raw_webhook(
    request: Asked, data: JSONBody[dict[str, Any]], user_id: FromQuery[int | None] = None
) -> dict[str, bool]:
    """
    Deliver this body as a webhook, as it is.
    """
    avito = _sandbox(request).avito
    avito.webhooks.post(user_id or avito.default_user_id, data)
    return {"ok": True}


@post("/control/subscriptions")
async def subscribe(request: Asked, data: JSONBody[Subscription]) -> dict[str, bool]:
    """
    Subscribe a webhook URL.
    """
    avito = _sandbox(request).avito
    avito.webhooks.subscribe(data.user_id or avito.default_user_id, data.url)
    return {"ok": True}


@post("/control/accounts")
async def register_account(request: Asked, data: JSONBody[NewAccount]) -> dict[str, int]:
    """
    Register an account.
    """
    _sandbox(request).avito.register(data.account())
    return {"user_id": data.user_id}


@post("/control/codes")
async def authorize(request: Asked, data: JSONBody[Authorization]) -> dict[str, str]:
    """
    Get an authorization code.
    """
    avito = _sandbox(request).avito
    user_id = data.user_id or avito.default_user_id
    if user_id not in avito.chats.accounts:
        raise NotFoundException(f"There is no account {user_id}. Register it with POST /control/accounts.")
    return {"code": avito.tokens.authorize(user_id, data.scope)}


@post("/control/tokens/expire", status_code=200)
async def expire_tokens(request: Asked, user_id: FromQuery[int | None] = None) -> dict[str, int]:
    """
    Let all access tokens, or an account's, expire now.
    """
    return {"expired": _sandbox(request).avito.tokens.expire(user_id)}


@get("/control/n8n/received")
async def received(request: Asked, after: FromQuery[int] = 0) -> list[dict[str, Any]]:
    """
    What reached n8n, oldest first.
    """
    return [call.as_dict() for call in _sandbox(request).n8n.received if call.seq > after]


@delete("/control/n8n/received")
async def clear_received(request: Asked) -> None:
    """
    Forget what reached n8n.
    """
    _sandbox(request).n8n.clear()


@post("/control/{stand_in:str}/{switch:str}", status_code=200)
async def switch_stand_in(request: Asked, stand_in: FromPath[str], switch: FromPath[str]) -> dict[str, bool]:
    """
    Let `avito` or `n8n` go `down` (connections are refused) or `up` again.
    """
    if stand_in not in ("avito", "n8n") or switch not in ("up", "down"):
        raise NotFoundException("Known are /control/avito and /control/n8n with /up or /down.")
    await getattr(_sandbox(request), f"{stand_in}_{switch}")()
    return {"ok": True}


@post("/control/n8n/reply")
async def start_reply(request: Asked, data: JSONBody[Reply]) -> dict[str, bool]:
    """
    Let n8n answer each text from now on.
    """
    _sandbox(request).n8n.reply = data
    return {"ok": True}


@delete("/control/n8n/reply")
async def stop_reply(request: Asked) -> None:
    """
    Let n8n answer no more.
    """
    _sandbox(request).n8n.reply = None


@post("/control/clock", status_code=200)
async def shift_clock(request: Asked, data: JSONBody[Shift]) -> dict[str, float]:
    """
    Shift the wall clock: the Date header, `created`, token lives, the delete window.
    """
    clock = _sandbox(request).clock
    clock.shift_s = data.shift_s
    return {"shift_s": clock.shift_s, "now_s": clock.now_s()}


@post("/control/reset", status_code=200)
async def reset(request: Asked) -> dict[str, bool]:
    """
    Start over.
    """
    _sandbox(request).reset()
    return {"ok": True}


@get("/files/{name:path}")
async def file(name: FromPath[str]) -> Response[bytes]:
    """
    What image and voice links lead to: a picture of one pixel, an empty recording.
    """
    if name.endswith(".mp4"):
        return Response(b"", media_type="video/mp4")
    return Response(PIXEL, media_type="image/png")


def _on_invalid(_: Asked, error: ValidationError) -> Response[dict[str, Any]]:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return Response({"status_code": 400, "detail": "The body does not fit.", "extra": details}, status_code=400)


def face(sandbox: Sandbox) -> App:
    """
    Return the ASGI application that controls a sandbox.
    """

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        scope[SANDBOX] = sandbox
        await cast("App", _routes())(scope, receive, send)

    return app


@cache
def _routes() -> Litestar:
    """
    Return the routes, built once for all sandboxes of a process.
    """
    return Litestar(
        route_handlers=[
            overview,
            list_faults,
            add_fault,
            clear_faults,
            remove_fault,
            show_behaviour,
            change_behaviour,
            show_journal,
            clear_journal,
            rate,
            list_chats,
            create_chat,
            show_chat,
            sent_messages,
            inbound_message,
            raw_webhook,
            subscribe,
            register_account,
            authorize,
            expire_tokens,
            received,
            clear_received,
            start_reply,
            stop_reply,
            switch_stand_in,
            shift_clock,
            reset,
            file,
        ],
        exception_handlers={ValidationError: _on_invalid, 500: on_bug},
        openapi_config=None,
        logging_config=None,
    )
