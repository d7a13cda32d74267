"""
What a call to the Avito stand-in brings along: its token, query and body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs

from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import SerializationException
from litestar.serialization import encode_json

from sandbox.front import RECORD
from sandbox.refusals import invalid, refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.avito import Avito
    from sandbox.journal import Record

Answer = Response[bytes]
Asked = Request[Any, Any, State]
AVITO = "sandbox.avito"
INT64_DIGITS = 19


def avito_of(request: Asked) -> Avito:
    """
    Return the stand-in that is asked.
    """
    avito: Avito = cast("dict[str, Any]", request.scope)[AVITO]
    return avito


def note(request: Asked, text: str) -> None:
    """
    Say in the journal what the call did, without texts and secrets.
    """
    record: Record = cast("dict[str, Any]", request.scope)[RECORD]
    record.note = text


def answered(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """
    Answer in JSON.
    """
    return Response(encode_json(body), status_code=status, media_type="application/json", headers=headers)


def entitled(request: Asked, scope: str, user_id: int | None = None) -> int:
    """
    Return the account that calls, if its token is good, has the scope and is the account of the path.
    """
    avito = avito_of(request)
    scheme, _, access_token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not access_token:
        raise refused(401)
    token = avito.tokens.check(access_token.strip(), avito.behaviour)
    if user_id not in (None, token.user_id) or (token.scopes is not None and scope not in token.scopes):
        raise refused(403)
    return token.user_id


def number(query: Mapping[str, list[str]], name: str, default: int, lowest: int, highest: int) -> int:
    """
    Return a number of the query, or refuse one that is out of its range.
    """
    value = whole(query.get(name, [str(default)])[-1])
    if value is None or not lowest <= value <= highest:
        raise invalid(**{name: f"must be a number from {lowest} to {highest}"})
    return value


def whole(text: str) -> int | None:
    """
    Return a number of up to 64 bits without a sign; None if the text is none.
    """
    if not text.isascii() or not text.isdigit() or len(text) > INT64_DIGITS:
        return None
    return int(text)


def several(query: Mapping[str, list[str]], name: str) -> list[str]:
    """
    Return an array parameter, repeated or joined by commas; both forms are in use.
    """
    return [part for value in query.get(name, ()) for part in value.split(",") if part]


def query_of(request: Asked) -> dict[str, list[str]]:
    """
    Return the query, each name with all its values.
    """
    return parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)


async def body_of(request: Asked) -> Any:
    """
    Return the JSON body, or refuse what is none.
    """
    try:
        return await request.json()
    except SerializationException:
        raise refused(400) from None
