"""
Many messages in one request.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Final

from litestar import post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body
from litestar.status_codes import HTTP_202_ACCEPTED

from common.log import logger
from common.queue.intake import NewCommand
from common.settings import Account
from ingress import accepting, answers, drafts
from ingress.asking import Ask
from ingress.bodies import BulkMessage, SendBulk
from ingress.callbacks import check_callback
from ingress.commands import SEND_PROBLEMS, TAGS
from ingress.decoding import JsonBody
from ingress.drafts import Draft, request_mark
from ingress.problems import documented
from ingress.services import Services
from ingress.storing import store_all

BODY_BYTES: Final = 24 * 1024 * 1024

_WITHOUT_OPTIONS: Final = frozenset({"chat_id", "text", "idempotency_key"})
_NOT_WAITING: Final = ("command_failed", "command_expired", "command_cancelled")
_log = logger(__name__)


@post(
    "/messages/send/bulk",
    dto=JsonBody[SendBulk],
    return_dto=None,
    status_code=HTTP_202_ACCEPTED,
    request_max_body_size=BODY_BYTES,
    responses=documented(*(code for code in SEND_PROBLEMS if code not in _NOT_WAITING)),
    tags=TAGS,
    summary="Send many texts",
    operation_id="sendBulk",
)
async def send_bulk(
    data: Annotated[
        SendBulk,
        Body(
            examples=[
                Example(
                    value={
                        "messages": [
                            {"chat_id": "u2i-AbCdEfGhIjKlMnOpQrStUg", "text": "Your order is ready."},
                            {"chat_id": "u2i-BbCdEfGhIjKlMnOpQrStUg", "text": "Your order is on its way."},
                        ]
                    }
                )
            ]
        ),
    ],
    account: NamedDependency[Account],
    services: NamedDependency[Services],
    ask: NamedDependency[Ask],
) -> answers.Answer[answers.AcceptedBulk]:
    """
    Queue up to 10 000 texts. All are checked first; one that is not valid is named by its index, and none is stored.

    Their priority is `bulk` unless they say otherwise. Repeated with its Idempotency-Key, a request completes what an
    outage cut off. This address does not wait for the end.
    """
    started_s = time.monotonic()
    _check_callbacks(data, account, services)
    key = ask.key_with(data) or str(uuid.uuid4())
    pairs = await store_all(services, account, _commands(data, account, key), key, total=len(data.messages))
    stored = [one for _, one in pairs]
    batch_id = drafts.batch_of(account.user_id, key)
    _log.info(
        "bulk.accepted",
        account=account.user_id,
        batch_id=batch_id,
        messages=len(stored),
        duration_ms=round((time.monotonic() - started_s) * 1000),
    )
    answer = answers.AcceptedBulk(
        total=len(stored),
        accepted=len(stored),
        batch_id=batch_id,
        message="Stored. Bulk messages use what interactive ones leave of the limit.",
        eta_seconds=accepting.eta_of(services, *pairs[-1], accepting.unix_ms()),
        commands=accepting.listed(pairs),
    )
    response = answers.Answer(answer, status_code=HTTP_202_ACCEPTED)
    return accepting.with_headers(response, stored, replace(ask, wait_s=0.0))


def _check_callbacks(data: SendBulk, account: Account, services: Services) -> None:
    check_callback(data.callback_url, "callback_url", account, services.settings)
    for index, message in enumerate(data.messages):
        check_callback(message.callback_url, f"messages[{index}].callback_url", account, services.settings)


def _commands(data: SendBulk, account: Account, key: str) -> Iterator[NewCommand]:
    """
    Give the commands one by one: they are made while Redis stores those before them.
    """
    now_ms = accepting.unix_ms()
    batch_id = drafts.batch_of(account.user_id, key)
    whole = request_mark("bulk", data)
    defaults = data.model_copy(update={"priority": data.priority or "bulk"})
    for index, message in enumerate(data.messages):
        own_key = message.idempotency_key
        yield drafts.command(
            Draft("text", message.chat_id, {"text": message.text}),
            defaults if message.model_fields_set <= _WITHOUT_OPTIONS else _merged(message, defaults),
            now_ms=now_ms,
            key=own_key or drafts.nth_key(key, index),
            mark=request_mark("text", message) if own_key else whole,
            batch_id=batch_id,
        )


def _merged(message: BulkMessage, defaults: SendBulk) -> BulkMessage:
    """
    Fill in what the message leaves open from the request.
    """
    return message.model_copy(
        update={
            "priority": message.priority or defaults.priority,
            "send_at": defaults.send_at if message.send_at is None else message.send_at,
            "expires_in": defaults.expires_in if message.expires_in is None else message.expires_in,
            "callback_url": message.callback_url or defaults.callback_url,
        }
    )


HANDLERS: Final = [send_bulk]
