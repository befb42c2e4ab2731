"""Encoding tiles as a scanner's own JPEG: the same tables, colour space and subsampling."""

from __future__ import annotations

import io
from functools import cache, lru_cache
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from planish.errors import OptionError, WriteError
from planish.jpeg import read_header
from planish.model import Encoding

_PILLOW_SUBSAMPLING = {(1, 1): 0, (2, 1): 1, (2, 2): 2}

# Row-by-row position of each value of a table in zigzag order: along the antidiagonals, turning at each end.
_ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8))


def standard_encoding(quality: int, color: str = "ycbcr", subsampling: tuple[int, int] = (2, 2)) -> Encoding:
    """Return the encoding of an IJG quality, 1 to 100; RGB and gray are never subsampled.

    Raises
    ------
    OptionError
        Where quality, colour or subsampling are none that JPEG knows.
    """
    if not 1 <= quality <= 100:
        raise OptionError(f"a JPEG quality lies between 1 and 100, not at {quality}")
    if color not in ("rgb", "ycbcr", "gray"):
        raise OptionError(f"JPEG colour is rgb, ycbcr or gray, not {color}")
    if subsampling not in _PILLOW_SUBSAMPLING:
        raise OptionError(f"chroma subsampling is (1, 1), (2, 1) or (2, 2), not {subsampling}")
    luma, chroma = _standard_tables()[quality]
    if color == "ycbcr":
        return Encoding("jpeg", color, subsampling, (luma, chroma))
    return Encoding("jpeg", color, (1, 1), (luma,))


@lru_cache(maxsize=64)
def quality_of(encoding: Encoding) -> int | None:
    """Return the IJG quality, 1 to 100, whose standard tables are those of `encoding`, None where there is none."""
    for quality, tables in _standard_tables().items():
        if encoding.tables == tables[: 2 if encoding.color == "ycbcr" else 1]:
            return quality
    return None


def encode(pixels: NDArray[Any], encoding: Encoding) -> bytes:
    """Encode pixels as a whole JPEG with the very tables, colour space and subsampling of `encoding`.

    All JPEGs of one encoding carry equal tables, so that they can share them; see `split`.

    Parameters
    ----------
    pixels : ndarray
        (height, width, channels) uint8; RGB, or one channel for gray.
    encoding : Encoding
        A JPEG encoding.

    Raises
    ------
    WriteError
        Where no encoder at hand writes such a JPEG.
    """
    wanted = 1 if encoding.color == "gray" else 3
    if encoding.codec != "jpeg" or pixels.dtype != np.uint8 or pixels.shape[2] != wanted:
        raise WriteError(f"{pixels.shape[2]} channels of {pixels.dtype} cannot be encoded as {encoding}")
    if encoding.subsampling not in _PILLOW_SUBSAMPLING:
        raise WriteError(f"no encoder for JPEG with chroma subsampling {encoding.subsampling}")
    pixels = np.ascontiguousarray(pixels[..., 0] if wanted == 1 else pixels)
    quality = quality_of(encoding)
    return _encode_other(pixels, encoding) if quality is None else _encode_standard(pixels, encoding, quality)


@cache
def _standard_tables() -> dict[int, tuple[bytes, bytes]]:
    """Return libjpeg's luma and chroma tables of every quality, asked of libjpeg itself."""
    tables = {}
    for quality in range(1, 101):
        jpeg = imagecodecs.jpeg8_encode(np.zeros((8, 8, 3), np.uint8), level=quality, outcolorspace="YCBCR")
        (_, luma), (_, chroma) = read_header(bytes(jpeg)).tables
        tables[quality] = (luma, chroma)
    return tables


def _encode_standard(pixels: NDArray[Any], encoding: Encoding, quality: int) -> bytes:
    if encoding.color == "gray":
        return bytes(imagecodecs.jpeg8_encode(pixels, level=quality))
    stored, subsampling = encoding.color.upper(), encoding.subsampling
    return bytes(imagecodecs.jpeg8_encode(pixels, quality, outcolorspace=stored, subsampling=subsampling))


def _encode_other(pixels: NDArray[Any], encoding: Encoding) -> bytes:
    """Encode with tables that are no standard quality's; only Pillow takes them, row by row instead of zigzag."""
    natural = [[table[_ZIGZAG.index(i)] for i in range(64)] for table in encoding.tables]
    buffer = io.BytesIO()
    subsampling, keep_rgb = _PILLOW_SUBSAMPLING[encoding.subsampling], encoding.color == "rgb"
    try:
        Image.fromarray(pixels).save(buffer, "JPEG", qtables=natural, subsampling=subsampling, keep_rgb=keep_rgb)
    except OSError as error:
        # Subsampled RGB, with which DCMTK fills DICOM files.
        raise WriteError(f"Pillow cannot write a JPEG as {encoding}") from error
    jpeg = buffer.getvalue()
    if read_header(jpeg).encoding() != encoding:
        raise WriteError(f"Pillow wrote a JPEG other than {encoding}")
    return jpeg
