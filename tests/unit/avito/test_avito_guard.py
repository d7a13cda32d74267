"""
Which addresses a user's URL may reach.
"""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from common.http.guard import allowed_addresses, is_public
from common.settings import Settings


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
    ],
)
def test_public_addresses(address: str, expected: bool) -> None:
    """
    Private addresses are not public, in whatever IPv6 form they come.
    """
    assert expected is is_public(ip_address(address))


@pytest.mark.parametrize(
    ("host", "address", "expected"),
    [
        ("example.org", "8.8.8.8", True),
        ("example.org", "10.1.2.3", False),
        ("files.local", "192.168.1.5", True),
        ("FILES.local", "192.168.1.5", True),
        ("other.local", "172.20.3.4", True),
        ("other.local", "fd00::1", False),
        ("n8n", "172.16.0.2", True),
    ],
)
def test_allowed_addresses(host: str, address: str, expected: bool) -> None:
    """
    Beside public addresses are allowed: named hosts, named networks, and n8n's own host.
    """
    settings = Settings(
        allow_private_hosts=("files.local", "172.20.0.0/16"), n8n_webhook_url="http://n8n:5678/webhook/avito"
    )

    assert expected is allowed_addresses(settings)(host, ip_address(address), 80)
