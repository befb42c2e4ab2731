"""Label and macro images in an output, copied only when asked for: they can show a patient's name."""

from __future__ import annotations

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.slide.base import Slide
from planish.write.assembler import Ifd, Tag, TiffAssembler, long, short, text

SUBFILE_TYPES = {"label": 1, "macro": 9}
"""Aperio's."""


def associated_ifds(slide: Slide, assembler: TiffAssembler, *, label: bool, macro: bool) -> list[tuple[str, Ifd]]:
    """Append the images that are wanted, as one deflated strip each; return their names and directories.

    Raises
    ------
    OptionError
        Where the slide has no such image.
    """
    wanted = [name for name, asked in (("label", label), ("macro", macro)) if asked]
    missing = [name for name in wanted if name not in slide.associated]
    if missing:
        have = ", ".join(slide.associated) or "none"
        raise OptionError(f"{slide.name}: has no {missing[0]} image (it has {have}); leave out --{missing[0]}")
    return [(name, _strip(name, slide.associated[name], assembler)) for name in wanted]


def _strip(name: str, pixels: NDArray[np.uint8], assembler: TiffAssembler) -> Ifd:
    pixels = np.ascontiguousarray(pixels, np.uint8)
    height, width, channels = pixels.shape
    data = bytes(imagecodecs.zlib_encode(pixels.tobytes(), level=6))
    tags = {
        Tag.SUBFILE_TYPE: long(SUBFILE_TYPES[name]),
        Tag.IMAGE_WIDTH: long(width),
        Tag.IMAGE_LENGTH: long(height),
        Tag.BITS_PER_SAMPLE: short([8] * channels),
        Tag.COMPRESSION: short(8),
        Tag.PHOTOMETRIC: short(2 if channels == 3 else 1),
        Tag.IMAGE_DESCRIPTION: text(f"Aperio Image Library\r\n{name} {width}x{height}"),
        Tag.STRIP_OFFSETS: assembler.offsets([assembler.append(data)]),
        Tag.SAMPLES_PER_PIXEL: short(channels),
        Tag.ROWS_PER_STRIP: long(height),
        Tag.STRIP_BYTE_COUNTS: long([len(data)]),
    }
    return Ifd(tags)
