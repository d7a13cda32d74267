"""
Where Avito sends its webhooks.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body
from litestar.status_codes import HTTP_200_OK

from common.avito import calls, reads
from common.avito.messages import mapping
from common.log import logger
from common.settings import Account, Settings
from ingress.bodies import Subscribe, Unsubscribe
from ingress.decoding import JsonBody
from ingress.problems import API_PROBLEMS, AVITO_PROBLEMS, documented
from ingress.reads import READ_WAIT_S
from ingress.services import Services

VERSION: Final = "3"

_RESPONSES: Final = documented(*API_PROBLEMS, *AVITO_PROBLEMS, "bad_json", "body_too_large", "validation_failed")
_TAGS: Final = ["Subscriptions"]
_log = logger(__name__)


@post(
    "/webhook/subscribe",
    dto=JsonBody[Subscribe],
    return_dto=None,
    status_code=HTTP_200_OK,
    responses=_RESPONSES,
    tags=_TAGS,
    summary="Subscribe",
    operation_id="subscribe",
)
async def subscribe(
    data: Annotated[Subscribe, Body(examples=[Example(value={"url": "https://gateway.example.com/webhook/avito"})])],
    account: NamedDependency[Account],
    services: NamedDependency[Services],
) -> dict[str, Any]:
    """
    Register an address with Avito; the webhook's secret, where one is set, is put at its end.
    """
    url = with_secret(data.url, account, services.settings)
    await reads.read(services.avito, account, calls.subscribe(url), wait_s=READ_WAIT_S)
    _log.info("webhook.subscribed", account=account.user_id)
    answer: dict[str, Any] = {"success": True, "url": url, "version": VERSION, "message": "Avito sends webhooks there."}
    if data.version is not None and str(data.version).lower().removeprefix("v").split(".")[0] != VERSION:
        answer["note"] = f"Avito knows only version {VERSION} now; version {data.version} was asked for."
    return answer


@post(
    "/webhook/unsubscribe",
    dto=JsonBody[Unsubscribe],
    return_dto=None,
    status_code=HTTP_200_OK,
    responses=_RESPONSES,
    tags=_TAGS,
    summary="Unsubscribe",
    operation_id="unsubscribe",
)
async def unsubscribe(
    account: NamedDependency[Account],
    services: NamedDependency[Services],
    data: Annotated[
        Unsubscribe | None, Body(examples=[Example(value={"url": "https://gateway.example.com/webhook/avito"})])
    ] = None,
) -> dict[str, Any]:
    """
    Remove an address, with or without the secret at its end; without `url` remove all.
    """
    listed = [str(one["url"]) for one in await _subscriptions(account, services) if "url" in one]
    if data is None or data.url is None:
        urls = listed
    else:
        asked = (data.url, with_secret(data.url, account, services.settings))
        # What is not in the list may still be known to Avito, from an older version of its API.
        urls = [url for url in listed if url in asked] or [data.url]
    for url in urls:
        await reads.read(services.avito, account, calls.unsubscribe(url), wait_s=READ_WAIT_S)
    _log.info("webhook.unsubscribed", account=account.user_id, addresses=len(urls))
    return {"success": True, "urls": urls, "count": len(urls), "message": f"{len(urls)} address(es) removed."}


@get(
    "/webhook/subscriptions",
    responses=_RESPONSES,
    tags=_TAGS,
    summary="List subscriptions",
    operation_id="listSubscriptions",
)
async def list_subscriptions(account: NamedDependency[Account], services: NamedDependency[Services]) -> dict[str, Any]:
    """
    Return the addresses to which Avito sends webhooks of the account.
    """
    subscriptions = await _subscriptions(account, services)
    return {"success": True, "count": len(subscriptions), "subscriptions": subscriptions}


async def _subscriptions(account: Account, services: Services) -> list[dict[str, Any]]:
    body = await reads.read(services.avito, account, calls.subscriptions(), wait_s=READ_WAIT_S)
    listed = mapping(body).get("subscriptions")
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def with_secret(url: str, account: Account, settings: Settings) -> str:
    """
    Put the account's webhook secret at the end of an address, unless it is there.
    """
    secret = account.webhook_secret or settings.webhook_secret
    if secret is None:
        return url
    ending = f"/{secret.get_secret_value()}"
    return url if url.endswith(ending) else url.rstrip("/") + ending


HANDLERS: Final = [subscribe, unsubscribe, list_subscriptions]
