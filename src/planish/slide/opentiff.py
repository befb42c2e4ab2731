"""`open_tiff`: a TIFF file through tifffile, told by what it holds."""

from __future__ import annotations

import struct
from pathlib import Path

import tifffile

from planish.errors import SlideError
from planish.slide.foreign import reason

_VENDORS = ("bif", "philips", "ventana")
"""TIFFs whose structure OpenSlide knows better."""


def open_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF file with tifffile, its errors turned into ours."""
    tif = None
    try:
        # tifffile goes by the suffix; an NDPI under another name would be misread as a plain TIFF.
        tif = tifffile.TiffFile(path, is_ndpi=_is_ndpi(path))
        empty = not tif.pages
    except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
        if tif:
            tif.close()
        raise SlideError(
            f"{path}: not a readable TIFF ({reason(error)}); it may be truncated: export it again"
        ) from error
    if empty:
        tif.close()
        raise SlideError(f"{path}: its page directory is missing, so the file is truncated; copy or export it again")
    return tif


def is_vendors(path: Path) -> bool:
    """Whether a TIFF file is of a vendor whose structure is left to OpenSlide."""
    with open_tiff(path) as tif:
        try:
            return any(getattr(tif, f"is_{flag}", False) for flag in _VENDORS)
        except Exception as error:  # as in open_tiff
            raise SlideError(f"{path}: its TIFF structure is damaged ({reason(error)}); export it again") from error


def _is_ndpi(path: Path) -> bool:
    """Whether the first IFD holds Hamamatsu's tag 65420, which tells NDPI's 64-bit offsets from plain TIFF."""
    with path.open("rb") as file:
        head = file.read(8)
        if head[:4] != b"II*\0":
            return False
        file.seek(struct.unpack("<I", head[4:])[0])
        count = file.read(2)
        tags = file.read(12 * struct.unpack("<H", count)[0]) if len(count) == 2 else b""
    return any(tags[place : place + 2] == b"\x8c\xff" for place in range(0, len(tags), 12))
