"""
Uploaded images and the links that Avito gives to files.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from sandbox.refusals import invalid

MAX_BYTES = 24 * 1024 * 1024
UPLOADED_SIZES = ("1280x960", "140x105", "32x32")
SIGNATURES = (
    (0, b"\xff\xd8\xff"),
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"GIF8"),
    (0, b"BM"),
    (4, b"ftyphei"),
    (4, b"ftypmif1"),
)


@dataclass(frozen=True, slots=True)
class Image:
    """
    An uploaded image: what tests compare, not the picture itself.
    """

    id: str
    user_id: int
    filename: str
    content_type: str
    size: int
    sha256: str


class Images:
    """
    The images uploaded so far, by id.
    """

    def __init__(self, files_url: str) -> None:
        self.files_url = files_url
        self.by_id: dict[str, Image] = {}

    def upload(self, user_id: int, filename: str, content_type: str, content: bytes) -> Image:
        """
        Take a picture of up to 24 MB in one of the formats Avito accepts, by its first bytes.
        """
        if len(content) > MAX_BYTES:
            raise invalid(**{"uploadfile[]": "file must not be larger than 24 MB"})
        if not any(content.startswith(signature, at) for at, signature in SIGNATURES):
            raise invalid(**{"uploadfile[]": "file must be a JPEG, HEIC, GIF, BMP or PNG image"})
        image_id = f"{secrets.randbelow(90_000) + 10_000}.{secrets.token_hex(16)}"
        image = Image(image_id, user_id, filename, content_type, len(content), hashlib.sha256(content).hexdigest())
        self.by_id[image.id] = image
        return image

    def sizes(self, image_id: str) -> dict[str, str]:
        """
        Return the links of an image; the control port serves a picture of one pixel under each.
        """
        return {size: f"{self.files_url}/files/chat/{size}/{image_id}.png" for size in UPLOADED_SIZES}

    def voice_url(self, voice_id: str) -> str:
        """
        Return a link to a voice message.
        """
        return f"{self.files_url}/files/voice/{voice_id}.mp4"
