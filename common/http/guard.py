"""
Which addresses a URL given by a user may reach: public ones, and those the operator named (`ALLOW_PRIVATE_HOSTS`).
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx
from httpx_secure import SSRFProtectionError, httpx_ssrf_protection

from common.settings import Settings

IPAddress = IPv4Address | IPv6Address
_Client = TypeVar("_Client", bound=httpx.AsyncClient)
_NAT64: Final = IPv6Network("64:ff9b::/96")
# What some versions of `ipaddress` call global, and what no image or callback of a user's lies behind: NAT64 of a local
# prefix (RFC 8215), IPv4-compatible addresses, site-local ones, IETF's 192.0.0.0/24 (metadata at Oracle), Azure's.
_NEVER: Final = tuple(
    map(ip_network, ("64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96", "fec0::/10", "192.0.0.0/24", "168.63.129.16/32"))
)

__all__ = ["SSRFProtectionError", "allowed_addresses", "guarded", "is_public"]


def guarded(client: _Client, settings: Settings) -> _Client:
    """
    Let `client` connect only to allowed addresses; the address that was checked is the one it connects to.

    Redirects are checked, too. A refusal raises `SSRFProtectionError`. The client must not use a proxy.
    """
    return httpx_ssrf_protection(client, check_globally_reachable=False, custom_validator=allowed_addresses(settings))


def allowed_addresses(settings: Settings) -> Callable[[str, IPAddress, int], bool]:
    """
    Return the check of host name and address: public, named in `ALLOW_PRIVATE_HOSTS`, or n8n's own host.
    """
    hosts = {host.lower() for host in settings.allow_private_hosts}
    urls = [settings.n8n_webhook_url, *(account.n8n_webhook_url for account in settings.accounts)]
    hosts |= {name for url in urls if url and (name := urlsplit(url).hostname)}
    networks = settings.private_networks

    def allowed(hostname: str, address: IPAddress, _port: int) -> bool:
        return (
            hostname.lower() in hosts
            or any(address in network for network in networks if network.version == address.version)
            or is_public(address)
        )

    return allowed


def is_public(address: IPAddress) -> bool:
    """
    Say whether an address is public; of an IPv6 address that carries an IPv4 one both must be.
    """
    if address.is_multicast or any(address.version == net.version and address in net for net in _NEVER):
        return False
    if not address.is_global:
        return False
    inner = _carried(address)
    return inner is None or is_public(inner)


def _carried(address: IPAddress) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
