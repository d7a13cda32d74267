"""
The addresses that read from Avito at once, within the limit.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from common.avito import calls, reads
from common.avito.messages import chats_of, has_more, messages_of
from common.settings import Account
from ingress import unread
from ingress.identifiers import ChatId, checked
from ingress.problems import API_PROBLEMS, AVITO_PROBLEMS, documented, invalid
from ingress.services import Services

READ_WAIT_S: Final = 10.0
"""
How long a read waits for a free request to Avito: n8n gives up on a call after about 20 s.
"""

_RESPONSES: Final = documented(*API_PROBLEMS, *AVITO_PROBLEMS, "validation_failed")
_TYPES: Final = ("u2i", "u2u", "a2u")

ItemId = Annotated[int, QueryParameter(ge=1, le=2**63 - 1, description="Id of the ad.")]
Limit = Annotated[int, QueryParameter(ge=1, le=calls.PAGE)]
Offset = Annotated[int, QueryParameter(ge=0, le=calls.MAX_OFFSET)]
UnreadLimit = Annotated[int, QueryParameter(ge=1, le=unread.MAX_CHATS, description="Chats whose messages are read.")]


@get(
    "/chats",
    responses=_RESPONSES,
    tags=["Chats"],
    summary="List chats",
    operation_id="listChats",
)
async def list_chats(
    account: NamedDependency[Account],
    services: NamedDependency[Services],
    *,
    item_ids: Annotated[
        list[str] | None, QueryParameter(description="Ids of ads, repeated or separated by commas.")
    ] = None,
    unread_only: Annotated[bool, QueryParameter(description="Only chats with unread messages.")] = False,
    chat_types: Annotated[
        list[str] | None,
        QueryParameter(description="u2i (by ad, Avito's default), u2u (by profile), a2u; repeated or with commas."),
    ] = None,
    limit: Limit = calls.PAGE,
    offset: Offset = 0,
) -> dict[str, Any]:
    """
    Return one page of chats as Avito gives them. Avito lists 1100 chats at most for one combination of filters.
    """
    call = calls.chats(
        account.user_id,
        item_ids=_item_ids(item_ids),
        unread_only=unread_only,
        chat_types=_chat_types(chat_types),
        limit=limit,
        offset=offset,
    )
    body = await reads.read(services.avito, account, call, wait_s=READ_WAIT_S)
    chats = chats_of(body)
    return {"success": True, "count": len(chats), "has_more": has_more(body, limit=limit), "chats": chats}


@get(
    "/chats/search",
    responses=_RESPONSES,
    tags=["Chats"],
    summary="Find the chats about an ad",
    operation_id="searchChats",
)
async def search_chats(
    item_id: ItemId, account: NamedDependency[Account], services: NamedDependency[Services]
) -> dict[str, Any]:
    """
    Return all chats about one ad. Each 100 chats cost one request to Avito; `truncated` says that there are more.
    """
    chats, truncated = await unread.all_chats(services.avito, account, wait_s=READ_WAIT_S, item_ids=[item_id])
    return {"success": True, "item_id": item_id, "count": len(chats), "chats": chats, "truncated": truncated}


@get(
    "/chats/unread/count",
    responses=_RESPONSES,
    tags=["Chats"],
    summary="Count what is unread",
    operation_id="countUnread",
)
async def count_unread(account: NamedDependency[Account], services: NamedDependency[Services]) -> dict[str, Any]:
    """
    Count unread chats and their unread messages.

    Avito has no counter: the messages of the first 10 unread chats are read and counted, each at the price of one
    request; every further chat counts as one message. `exact` says whether both numbers are right.
    """
    found = await unread.look(services.avito, account, wait_s=READ_WAIT_S, chats_read=unread.COUNTED_CHATS)
    return {
        "success": True,
        "unread_chats": found.chats,
        "total_unread": sum(len(one.messages) for one in found.read) + found.chats - len(found.read),
        "exact": not found.truncated,
    }


@get(
    "/messages/unread/all",
    responses=_RESPONSES,
    tags=["Messages"],
    summary="Read what is unread",
    operation_id="readUnread",
)
async def all_unread(
    account: NamedDependency[Account], services: NamedDependency[Services], limit: UnreadLimit = unread.COUNTED_CHATS
) -> dict[str, Any]:
    """
    Return unread chats with their unread messages, newest first, without marking them as read.

    The messages of `limit` chats are read, each at the price of one request; `truncated` says that something is
    missing: more chats, or more than 100 messages of one.
    """
    found = await unread.look(services.avito, account, wait_s=READ_WAIT_S, chats_read=limit)
    return {
        "success": True,
        "chats_with_unread": found.chats,
        "data": [{"chat": one.chat, "messages": one.messages} for one in found.read],
        "truncated": found.truncated,
    }


@get(
    "/chats/{chat_id:str}",
    responses=_RESPONSES,
    tags=["Chats"],
    summary="Get a chat",
    operation_id="getChat",
)
async def get_chat(
    chat_id: ChatId, account: NamedDependency[Account], services: NamedDependency[Services]
) -> dict[str, Any]:
    """
    Return one chat with its last message, as Avito gives it.
    """
    call = calls.chat(account.user_id, checked("chat_id", chat_id))
    return {"success": True, "chat": await reads.read(services.avito, account, call, wait_s=READ_WAIT_S)}


@get(
    "/chats/{chat_id:str}/messages",
    responses=_RESPONSES,
    tags=["Chats"],
    summary="List a chat's messages",
    operation_id="listMessages",
)
async def list_messages(
    chat_id: ChatId,
    account: NamedDependency[Account],
    services: NamedDependency[Services],
    limit: Limit = calls.PAGE,
    offset: Offset = 0,
) -> dict[str, Any]:
    """
    Return one page of messages, newest first, without marking them as read.
    """
    call = calls.messages(account.user_id, checked("chat_id", chat_id), limit, offset)
    body = await reads.read(services.avito, account, call, wait_s=READ_WAIT_S)
    messages = messages_of(body)
    return {"success": True, "messages": messages, "count": len(messages), "has_more": has_more(body, limit=limit)}


def _listed(values: list[str] | None) -> list[str]:
    return [part.strip() for value in values or [] for part in value.split(",") if part.strip()]


def _item_ids(values: list[str] | None) -> list[int]:
    parts = _listed(values)
    if not all(part.isascii() and part.isdecimal() and len(part) <= len(str(2**63)) for part in parts):
        raise invalid("item_ids", "These must be ids of ads: whole numbers, separated by commas.")
    return [int(part) for part in parts]


def _chat_types(values: list[str] | None) -> list[str]:
    parts = _listed(values)
    if not set(parts) <= set(_TYPES):
        raise invalid("chat_types", "These must be u2i, u2u or a2u, separated by commas.")
    return parts


HANDLERS: Final = [list_chats, search_chats, count_unread, all_unread, get_chat, list_messages]
