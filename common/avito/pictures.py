"""
What Avito takes as an image: JPEG, HEIC, GIF, BMP and PNG up to 24 MB (facts, 4.6).
"""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_BYTES: Final = 24 * 1024 * 1024
_HEIC_BRANDS: Final = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
LOGO_BYTES: Final = 12
"""
How many first bytes tell the kind.
"""


class Picture(NamedTuple):
    """
    A kind of image file.
    """

    content_type: str
    extension: str


_BY_START: Final = (
    (b"\xff\xd8\xff", Picture("image/jpeg", "jpg")),
    (b"\x89PNG\r\n\x1a\n", Picture("image/png", "png")),
    (b"GIF87a", Picture("image/gif", "gif")),
    (b"GIF89a", Picture("image/gif", "gif")),
    (b"BM", Picture("image/bmp", "bmp")),
)


def sniff(content: bytes) -> Picture | None:
    """
    Tell the kind of an image by its first bytes; None for what Avito does not take. Names and headers lie.
    """
    for start, picture in _BY_START:
        if content.startswith(start):
            return picture
    if content[4:8] == b"ftyp" and content[8:LOGO_BYTES] in _HEIC_BRANDS:
        return Picture("image/heic", "heic")
    return None
