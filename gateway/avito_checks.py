"""
The doctor's questions to Avito, through the same client and the same limit as everything else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from common.avito import calls
from common.avito.answers import Meaning, Ok
from common.avito.client import Avito
from common.errors import GatewayError, NoPermit, TokenRefused
from common.settings import Account
from gateway.findings import Finding

WAIT_S: Final = 10.0
SKEW_S: Final = 30.0
WEBHOOK_PATH: Final = "/webhook/avito"

Tell = Callable[[Sequence[Finding]], None]


async def check(avito: Avito, account: Account, tell: Tell) -> None:
    """
    Fetch a token, then ask who we are and where webhooks go; tell each as it is known.
    """
    subject = f"avito {account.user_id}"
    try:
        token = await avito.refresh_token(account, wait_s=WAIT_S)
        tell([Finding("OK", subject, f"gives an access token, {token.masked}")])
        identity = await _ask(avito, account, calls.me())
        tell(judge_identity(account, identity, time.time()))
        tell([judge_subscriptions(account, await _ask(avito, account, calls.subscriptions()))])
    except GatewayError as error:
        tell([judge_failure(subject, error)])


async def _ask(avito: Avito, account: Account, call: calls.Call) -> Meaning:
    async with await avito.gate(account).acquire(wait_s=WAIT_S) as permit:
        return await avito.call(account, permit, call)


def judge_failure(subject: str, error: GatewayError) -> Finding:
    """
    Say what an exception of the client means for the operator.
    """
    match error:
        case TokenRefused():
            return Finding("FAIL", subject, str(error), "Copy both values again from Avito's cabinet, section API.")
        case NoPermit(reason=reason):
            return Finding(
                "WARN",
                subject,
                f"not asked: {error}",
                "Wait and ask again." if reason == "rate" else "See GET /info for the pause.",
            )
        case _:
            return Finding("FAIL", subject, str(error), "Look at AVITO_BASE_URL and at the way to the internet.")


def judge_identity(account: Account, found: Meaning, now_s: float) -> list[Finding]:
    """
    Compare the account that the token belongs to, and Avito's clock with ours.
    """
    subject = f"account {account.user_id}"
    if not isinstance(found, Ok) or not isinstance(found.body, Mapping):
        return [Finding("FAIL", subject, f"Avito does not say whose token this is: {told(found)}", "Try again later.")]
    own_id = str(found.body.get("id", "?"))
    if own_id != account.user_id:
        findings = [
            Finding("FAIL", subject, f"the credentials belong to account {own_id}", f"Set AVITO_USER_ID={own_id}.")
        ]
    else:
        findings = [Finding("OK", subject, "is the account of these credentials")]
    if found.server_ms is not None:
        findings.append(judge_clock(now_s - found.server_ms / 1000))
    return findings


def judge_clock(ahead_s: float) -> Finding:
    """
    Say whether this machine's clock agrees with Avito's, whose Date header has whole seconds.
    """
    text = f"this machine's clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} Avito's"
    if abs(ahead_s) > SKEW_S:
        return Finding("WARN", "clock", text, "Run a time service (NTP): send_at and timestamps depend on it.")
    return Finding("OK", "clock", "agrees with Avito's")


def judge_subscriptions(account: Account, found: Meaning) -> Finding:
    """
    Say whether Avito calls this gateway; addresses are shown without their paths, which hold the secret.
    """
    subject = "webhook"
    advice = 'Register it: POST /api/webhook/subscribe with {"url": "https://<your host>/webhook/avito"}.'
    if not isinstance(found, Ok):
        return Finding("WARN", subject, f"subscriptions cannot be listed: {told(found)}", "Try again later.")
    listed = found.body.get("subscriptions") if isinstance(found.body, Mapping) else None
    entries = listed if isinstance(listed, list) else []
    urls = [str(entry["url"]) for entry in entries if isinstance(entry, Mapping) and "url" in entry]
    hosts = ", ".join(sorted({urlsplit(url).netloc for url in urls}))
    if not urls:
        return Finding("WARN", subject, "none is registered: nothing comes in", advice)
    secret = account.webhook_secret
    path = f"{WEBHOOK_PATH}/{secret.get_secret_value()}" if secret is not None else WEBHOOK_PATH
    if any(urlsplit(url).path.rstrip("/").endswith(path) for url in urls):
        return Finding("OK", subject, f"registered at {hosts}")
    if any(WEBHOOK_PATH in url for url in urls):
        return Finding("WARN", subject, f"registered at {hosts}, but not with today's WEBHOOK_SECRET", advice)
    return Finding("WARN", subject, f"registered at {hosts}, which does not look like this gateway", advice)


def told(found: Meaning) -> str:
    """
    Return what Avito said, in a few words.
    """
    status = getattr(found, "status", None)
    text = getattr(found, "message", None) or getattr(found, "error", None) or type(found).__name__.lower()
    return f"{status} {text}" if status is not None else str(text)
