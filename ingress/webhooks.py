"""
Avito's webhook. It is answered with 200 only after the event is in its stream; Avito repeats everything else.

This is the hot path, so these routes are plain ASGI: Litestar's requests, signatures and responses cost more than the
event itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from litestar import asgi
from litestar.exceptions import ClientException, MethodNotAllowedException, NotFoundException
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

from common import metrics
from common.errors import GatewayError
from common.log import logger
from common.queue.intake import Accepted, Duplicate, NewEvent
from common.settings import Account
from ingress.catalogue import CATALOGUE
from ingress.envelopes import MESSAGE, Envelope, NotJsonError, Probe, read
from ingress.problems import ProblemError
from ingress.services import Services
from ingress.webhook_secrets import WebhookSecrets

PATH: Final = "/webhook/avito"
BODY_BYTES: Final = 1024 * 1024
UNKNOWN_ACCOUNT: Final = "unknown_account"

_OK: Final = b'{"ok":true}'
_OK_START: Final[Any] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(_OK)).encode())],
}
_OK_BODY: Final[Any] = {"type": "http.response.body", "body": _OK, "more_body": False}
_MAX_LOGGED: Final = 100

_log = logger(__name__)


class Webhook:
    """
    Takes what Avito sends, for all accounts.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._settings = services.settings
        self._accounts = {account.user_id: account for account in services.settings.accounts}
        self._secrets = WebhookSecrets(services.settings)
        self._logged: set[str] = set()

    async def __call__(self, secret: str | None, receive: Receive) -> None:
        """
        Store one event; when this returns the answer is 200.

        Raises:

            NotFoundException: the secret is not that of the event's account.

            ProblemError: the body is too large or not JSON.

            GatewayError: Redis did not confirm.

        """
        if not self._secrets.known(secret):
            raise NotFoundException
        try:
            envelope = read(await read_body(receive))
        except NotJsonError as error:
            metrics.WEBHOOKS["bad"].inc()
            raise ProblemError("bad_json", f"The body is {error}.") from None
        if isinstance(envelope, Probe):
            metrics.WEBHOOKS["probe"].inc()
            return
        account, known = self._account(envelope, secret)
        if not self._secrets.opens(account, secret):
            raise NotFoundException
        if envelope.kind != MESSAGE:
            metrics.WEBHOOKS["ignored"].inc()
            self._warn_once(envelope.kind[:64], account)
            return
        if not known:
            metrics.WEBHOOKS[UNKNOWN_ACCOUNT].inc()
            _log.warning("webhook.unknown_account", account=envelope.user_id[:64], message_id=envelope.message_id)
        reply = await self._store(account, envelope, known=known)
        metrics.WEBHOOKS["duplicate" if isinstance(reply, Duplicate) else "accepted"].inc()

    async def _store(self, account: Account, envelope: Envelope, *, known: bool) -> Accepted | Duplicate:
        event = NewEvent(
            id=envelope.message_id,
            kind=MESSAGE if known else UNKNOWN_ACCOUNT,
            chat_id=envelope.chat_id,
            body=envelope.body,
            own=envelope.own and known,
            fingerprint=envelope.mark,
            created_ms=envelope.created_ms,
        )
        try:
            return await self._services.intake.event(account.user_id, event)
        except GatewayError:
            metrics.WEBHOOKS["refused"].inc()
            raise

    def _account(self, envelope: Envelope, secret: str | None) -> tuple[Account, bool]:
        """
        Return whose event it is, and whether it is known: what names an account nobody configured goes to the default
        account, where it is dead-lettered, not dropped.
        """
        if envelope.user_id:
            account = self._accounts.get(envelope.user_id)
        else:
            account = self._secrets.owner(secret, self._settings)
        if account is not None:
            return account, True
        default = self._settings.account()
        if default is None:
            raise ProblemError("not_configured", CATALOGUE["not_configured"].meaning, retry_after_s=60.0)
        # One that names no account at all is the default account's.
        return default, not envelope.user_id

    def _warn_once(self, kind: str, account: Account) -> None:
        """
        Log each kind of webhook once; a stranger cannot fill memory with kinds.
        """
        if kind not in self._logged and len(self._logged) < _MAX_LOGGED:
            self._logged.add(kind)
            _log.warning("webhook.unknown_type", account=account.user_id, kind=kind or "(none)")


async def read_body(receive: Receive) -> bytes:
    """
    Return the body of a request, which usually comes in one piece.

    Raises:

        ProblemError: `body_too_large`, as soon as that is known.

        ClientException: the caller went away.

    """
    pieces: list[bytes] = []
    size = 0
    more = True
    while more:
        event: Mapping[str, Any] = await receive()
        if event["type"] == "http.disconnect":
            raise ClientException("The caller went away.")
        piece = event.get("body", b"")
        size += len(piece)
        if size > BODY_BYTES:
            raise ProblemError("body_too_large", CATALOGUE["body_too_large"].meaning)
        pieces.append(piece)
        more = event.get("more_body", False)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def secret_of(rest: str) -> str | None:
    """
    Return the secret in what follows the webhook's path; None when nothing does.

    Raises:

        NotFoundException: it is not one segment: another address, which only begins alike.

    """
    if rest in ("", "/"):
        return None
    secret = rest.removeprefix("/").removesuffix("/")
    if not rest.startswith("/") or not secret or "/" in secret:
        raise NotFoundException
    return secret


def routes(services: Services) -> list[ASGIRouteHandler]:
    """
    Return the webhook's route, with the secret in the path and without.
    """
    webhook = Webhook(services)

    # A mount: Litestar's plain ASGI routes cannot have a parameter in their path.
    @asgi(PATH, is_mount=True, copy_scope=False)
    async def avito(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":  # type: ignore[typeddict-item]  # an ASGI route may be a websocket's, too
            raise MethodNotAllowedException(headers={"Allow": "POST"})
        await webhook(secret_of(scope["path"]), receive)
        await send(_OK_START)
        await send(_OK_BODY)

    return [avito]
