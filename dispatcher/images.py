"""
Fetching an image that n8n names by its address. Not an Avito request: it takes no token.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx

from common.avito.pictures import LOGO_BYTES, MAX_BYTES, sniff
from common.http.guard import SSRFProtectionError, guarded
from common.settings import Settings

MAX_REDIRECTS: Final = 5


@dataclass(frozen=True, slots=True)
class Image:
    """
    A fetched image of a kind that Avito takes.
    """

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class NotFetched:
    """
    Why there is no image; `final` says that trying again would not help.
    """

    error: str
    final: bool


class Images:
    """
    Fetches images from public addresses, and from private ones that the operator allowed.
    """

    def __init__(self, settings: Settings, *, max_bytes: int = MAX_BYTES) -> None:
        self._settings = settings
        self._max_bytes = max_bytes
        self._ssl: ssl.SSLContext | None = None

    async def fetch(self, url: str) -> Image | NotFetched:
        """
        Fetch an image within CONNECTION_TIMEOUT; at most 24 MB, its kind told by its first bytes.
        """
        if not _is_web_address(url):
            return NotFetched("image_url is no address that begins with http:// or https://", final=True)
        timeout_s = self._settings.connection_timeout
        try:
            async with asyncio.timeout(timeout_s), self._client() as client, client.stream("GET", url) as response:
                if not response.is_success:
                    # A 404 may be a file that is still being written, a 403 is not: 4xx but 408 and 429 stay.
                    passing = response.status_code in (408, 429) or response.status_code >= 500
                    return NotFetched(f"image_url answered with {response.status_code}", final=not passing)
                if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
                    # Nobody asked for it: 2 kB, packed twice, unpack to gigabytes before the limit is looked at.
                    return NotFetched("image_url gives packed content (Content-Encoding)", final=True)
                content = await self._read(response)
        except TimeoutError:
            return NotFetched(f"image_url gave no image within {timeout_s:g} s", final=False)
        except SSRFProtectionError:
            return NotFetched("image_url leads to an address that is not public (ALLOW_PRIVATE_HOSTS)", final=True)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects, ValueError) as error:
            return NotFetched(f"image_url cannot be followed: {type(error).__name__}", final=True)
        except httpx.HTTPError as error:
            return NotFetched(f"image_url cannot be reached: {type(error).__name__}", final=False)
        return self._image(content)

    async def _read(self, response: httpx.Response) -> bytes:
        """
        Read until over the limit, whatever Content-Length says, or until it is clear that this is no image.
        """
        parts = bytearray()
        async for part in response.aiter_raw():
            parts += part
            if len(parts) > self._max_bytes or (len(parts) >= LOGO_BYTES and sniff(bytes(parts[:LOGO_BYTES])) is None):
                break
        return bytes(parts)

    def _image(self, content: bytes) -> Image | NotFetched:
        if len(content) > self._max_bytes:
            return NotFetched(f"the image at image_url is larger than {self._max_bytes} bytes", final=True)
        picture = sniff(content)
        if picture is None:
            return NotFetched("image_url gives no JPEG, HEIC, GIF, BMP or PNG", final=True)
        return Image(f"image.{picture.extension}", picture.content_type, content)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        """
        Open a client for one fetch: no cookies or connections pass from one address to another's.
        """
        if self._ssl is None:
            self._ssl = httpx.create_ssl_context()
        client = httpx.AsyncClient(
            verify=self._ssl,
            timeout=None,  # noqa: S113 - one deadline over everything
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
            trust_env=False,
            headers={"user-agent": "avito-gateway", "accept": "image/*", "accept-encoding": "identity"},
        )
        async with guarded(client, self._settings):
            yield client


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # A port beyond 65535, or half an IPv6 address.
        return False
