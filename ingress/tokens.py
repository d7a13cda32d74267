"""
The access token of Avito.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from litestar import get, post
from litestar.di import NamedDependency
from litestar.status_codes import HTTP_200_OK

from common.avito.token import Token
from common.settings import Account
from ingress.problems import API_PROBLEMS, AVITO_PROBLEMS, documented
from ingress.reads import READ_WAIT_S
from ingress.services import Services

_TAGS: Final = ["Token"]


@get("/token", responses=documented(*API_PROBLEMS), tags=_TAGS, summary="Show the token", operation_id="getToken")
async def get_token(account: NamedDependency[Account], services: NamedDependency[Services]) -> dict[str, Any]:
    """
    Return the access token, masked, and when it ends. Nothing is asked of Avito: before the first call there is none.
    """
    return _shown(await services.avito.token(account))


@post(
    "/token/refresh",
    status_code=HTTP_200_OK,
    responses=documented(*API_PROBLEMS, *AVITO_PROBLEMS),
    tags=_TAGS,
    summary="Renew the token",
    operation_id="refreshToken",
)
async def refresh_token(account: NamedDependency[Account], services: NamedDependency[Services]) -> dict[str, Any]:
    """
    Renew the access token now, for all processes.
    """
    return _shown(await services.avito.refresh_token(account, wait_s=READ_WAIT_S))


def _shown(token: Token | None) -> dict[str, Any]:
    if token is None:
        return {"success": True, "token": None, "expires_at": None, "message": "There is none yet."}
    expires_at = datetime.fromtimestamp(token.expires_at, UTC).isoformat(timespec="seconds")
    return {"success": True, "token": token.masked, "expires_at": expires_at}


HANDLERS: Final = [get_token, refresh_token]
