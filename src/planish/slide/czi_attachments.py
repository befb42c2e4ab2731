"""Label, macro and thumbnail of a CZI, which lie in the file as files of their own."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from planish.errors import SlideError
from planish.slide.base import Slide
from planish.slide.bytefile import ByteFile
from planish.slide.foreign import reason

_NAMES = {"Label": "label", "SlidePreview": "macro", "Thumbnail": "thumbnail"}
_POSITION = 104
"""Of the attachments' directory in a file."""
_SEGMENT, _HEAD = 32, 256
"""Bytes before the data of a segment, and of a directory's or attachment's own head."""
_ENTRY = struct.Struct("<2s10xq20x8s80s")
"""Schema, place in the file, kind of file, name."""


@dataclass(frozen=True)
class Attachment:
    """A file within a CZI.

    Attributes
    ----------
    kind : str
        ``"JPG"`` or ``"CZI"``.
    position : int
        Of its segment.
    """

    kind: str
    position: int

    def read(self, file: ByteFile, open_czi: Callable[[Path], Slide]) -> NDArray[Any]:
        """Return its pixels, (height, width, channels) uint8."""
        (size,) = struct.unpack("<i", file.read(self.position + _SEGMENT, 4))
        data = file.read(self.position + _SEGMENT + _HEAD, size)
        if self.kind == "CZI":
            with tempfile.TemporaryDirectory(prefix="planish-") as folder:
                path = Path(folder) / "attachment.czi"
                path.write_bytes(data)
                with open_czi(path) as slide:
                    full = slide.levels[0]
                    return slide.read_region(0, 0, 0, 0, full.width, full.height)
        try:
            pixels = np.asarray(imagecodecs.jpeg8_decode(data))
        except Exception as error:  # the codecs raise errors of many kinds
            raise SlideError(
                f"{file.path}: an image beside the slide cannot be decoded ({reason(error)}); export it again"
            ) from error
        return pixels if pixels.ndim == 3 else pixels[..., None]


def find_attachments(file: ByteFile) -> dict[str, Attachment]:
    """Return the images beside the slide that a CZI lists.

    Raises
    ------
    TileError
        Where the list reaches past the end of the file.
    """
    (place,) = struct.unpack("<q", file.read(_POSITION, 8))
    if not place:
        return {}
    (count,) = struct.unpack("<i", file.read(place + _SEGMENT, 4))
    data = file.read(place + _SEGMENT + _HEAD, count * _ENTRY.size)
    found = {}
    for schema, position, kind, name in _ENTRY.iter_unpack(data):
        known = _NAMES.get(name.partition(b"\0")[0].decode("utf-8", "replace"))
        text = kind.rstrip(b"\0 ").decode("ascii", "replace")
        if schema == b"A1" and known and text in ("JPG", "CZI"):
            found[known] = Attachment(text, position)
    return found
