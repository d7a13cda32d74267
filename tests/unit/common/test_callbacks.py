"""
Where outcomes may be sent.
"""

from __future__ import annotations

import pytest

from common.callbacks import is_allowed, is_at_n8n
from common.settings import load

SETTINGS = load(
    None,
    avito_client_id="i",
    avito_client_secret="s",
    avito_user_id="1",
    n8n_webhook_url="https://n8n.example/webhook/avito",
    callback_hosts="Hooks.example, other.example:8443",
)


@pytest.mark.parametrize(
    ("url", "at_n8n", "allowed"),
    [
        ("https://n8n.example/webhook-waiting/7", True, True),
        ("https://N8N.example:443/x", True, True),
        ("http://n8n.example/x", False, False),
        ("https://n8n.example:8443/x", False, False),
        ("https://hooks.example/x", False, True),
        ("http://hooks.example:81/x", False, True),
        ("https://other.example:8443/x", False, True),
        ("https://other.example/x", False, False),
        ("https://evil.example/?n8n.example", False, False),
        ("https://n8n.example@evil.example/", False, False),
        ("https://user@n8n.example/", False, False),
        ("https://other.example:80/", False, False),
        ("https://sub.hooks.example/x", False, False),
        ("https://n8n.example.evil.example/", False, False),
        ("ftp://hooks.example/x", False, False),
        ("https://hooks.example:port/x", False, False),
        ("https://[::1/x", False, False),
        ("/relative", False, False),
        ("", False, False),
    ],
)
def test_where_a_callback_may_go(url: str, at_n8n: bool, allowed: bool) -> None:
    """
    Allowed are n8n's own scheme, host and port, and the hosts of CALLBACK_HOSTS.
    """
    account = SETTINGS.accounts[0]

    assert (at_n8n, allowed) == (is_at_n8n(url, account), is_allowed(url, account, SETTINGS))


def test_without_n8n_only_the_named_hosts_remain() -> None:
    """
    An account without N8N_WEBHOOK_URL has no n8n that could be meant.
    """
    account = SETTINGS.accounts[0].model_copy(update={"n8n_webhook_url": None})

    assert [
        is_allowed("https://n8n.example/x", account, SETTINGS),
        is_allowed("https://hooks.example/x", account, SETTINGS),
    ] == [False, True]
