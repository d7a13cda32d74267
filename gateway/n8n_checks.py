"""
Whether n8n can be reached.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import httpx

from common.settings import Account
from gateway.findings import Finding

TIMEOUT_S: Final = 5.0


async def check(account: Account) -> Finding:
    """
    Knock at n8n's door: any answer will do, and no workflow is started.
    """
    subject = f"n8n {account.user_id}"
    if account.n8n_webhook_url is None:
        return Finding(
            "WARN",
            subject,
            "N8N_WEBHOOK_URL is not set: messages are kept, and not delivered",
            "Set it to n8n's webhook.",
        )
    origin = origin_of(account.n8n_webhook_url)
    try:
        # As the forwarder does: proxies of the environment are not asked.
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            response = await client.head(origin)
    except httpx.HTTPError as error:
        text = f"{origin} does not answer: {str(error) or type(error).__name__}"
        return Finding("FAIL", subject, text, "Start n8n, and look at N8N_WEBHOOK_URL.")
    return Finding("OK", subject, f"{origin} answers ({response.status_code})")


def origin_of(url: str) -> str:
    """
    Return scheme, host and port of an address; its path is a secret of n8n's.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}/"
