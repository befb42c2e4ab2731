"""Tile encoders: pixels of one tile in, compressed bytes and the TIFF tags that describe them out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from planish.encoding import Encoding
from planish.errors import OptionError, WriteError
from planish.jpeg import join, split
from planish.slide.base import Slide
from planish.write.assembler import Tag, Value, short, undefined
from planish.write.jpeg import encode, standard_encoding

_NONE_QUALITY = 90
"""IJG quality, without chroma subsampling, for a source that has no JPEG encoding of its own."""


class TileEncoder(ABC):
    """Compresses full-size tiles; safe to call from several threads.

    Attributes
    ----------
    encoding : Encoding
        What it writes.
    tables : bytes
        JPEG tables that its tiles lack.
    """

    encoding: Encoding
    tables: bytes = b""

    @abstractmethod
    def encode(self, tile: NDArray[Any], page_tables: bytes) -> bytes:
        """Return the bytes of a tile, (tile height, tile width, channels), for a page with these JPEG tables."""

    @abstractmethod
    def tags(self, page_tables: bytes) -> Mapping[int, Value]:
        """Return the tags that a directory of such tiles needs: compression, photometric and the like."""


class JpegTiles(TileEncoder):
    """JPEG tiles that share their tables through tag 347, or carry them where the page has others."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        channels = 1 if encoding.color == "gray" else 3
        self.tables, _ = split(encode(np.zeros((16, 16, channels), np.uint8), encoding))

    def encode(self, tile: NDArray[Any], page_tables: bytes) -> bytes:
        """Return a JPEG, abbreviated where the page has its tables."""
        abbreviated = split(encode(tile, self.encoding))[1]
        return abbreviated if page_tables == self.tables else join(abbreviated, self.tables, self.encoding.color)

    def tags(self, page_tables: bytes) -> Mapping[int, Value]:
        """Return the tags; 4:4:4 goes without tag 530, whose presence turns colours wrong in Bio-Formats."""
        photometric = {"rgb": 2, "ycbcr": 6, "gray": 1}[self.encoding.color]
        tags = {Tag.COMPRESSION: short(7), Tag.PHOTOMETRIC: short(photometric)}
        tags[Tag.JPEG_TABLES] = undefined(page_tables)
        if photometric == 6 and self.encoding.subsampling != (1, 1):
            tags[Tag.YCBCR_SUBSAMPLING] = short(self.encoding.subsampling)
        return tags


class DeflateTiles(TileEncoder):
    """Deflate with the horizontal predictor where pixels are integers: lossless, and every reader knows it."""

    encoding = Encoding("deflate", "rgb")

    def __init__(self, dtype: np.dtype[Any], channels: int) -> None:
        self._dtype, self._channels = dtype, channels
        self._predict = dtype.kind in "ui"

    def encode(self, tile: NDArray[Any], page_tables: bytes = b"") -> bytes:
        """Return the zlib stream."""
        tile = np.ascontiguousarray(tile, self._dtype.newbyteorder("<"))
        if self._predict:
            tile = imagecodecs.delta_encode(tile, axis=-2)
        return bytes(imagecodecs.zlib_encode(tile.tobytes(), level=6))

    def tags(self, page_tables: bytes = b"") -> Mapping[int, Value]:
        """Return the tags."""
        tags = {
            Tag.COMPRESSION: short(8),
            Tag.PHOTOMETRIC: short(2 if self._channels == 3 else 1),
            Tag.SAMPLE_FORMAT: short([{"u": 1, "i": 2, "f": 3}[self._dtype.kind]] * self._channels),
        }
        if self._predict:
            tags[Tag.PREDICTOR] = short(2)
        if self._channels not in (1, 3):
            tags[Tag.EXTRA_SAMPLES] = short([0] * (self._channels - 1))
        return tags


def choose_encoder(slide: Slide, quality: int | None) -> TileEncoder:
    """Return the encoder for a slide's composed tiles.

    Parameters
    ----------
    slide : Slide
        Its own JPEG encoding is used where it has one that can be written, tables and subsampling included; otherwise
        8-bit grey and RGB become JPEG of quality 90 without chroma subsampling, everything else deflate.
    quality : int or None
        IJG quality 1 to 100 instead of the source's tables; the subsampling stays.

    Raises
    ------
    OptionError
        Where a quality is asked for pixels that JPEG cannot hold.
    """
    channels = len(slide.channels)
    if slide.dtype != np.uint8 or not (channels == 1 or slide.channels == ("R", "G", "B")):
        if quality is not None:
            raise OptionError(
                f"{slide.name}: {slide.dtype} pixels with {channels} channels are kept lossless; leave out --quality"
            )
        return DeflateTiles(slide.dtype, channels)
    source = slide.encoding(0, 0)
    plain = standard_encoding(quality or _NONE_QUALITY, "gray" if channels == 1 else "ycbcr", (1, 1))
    if source is None or source.codec != "jpeg" or (source.color == "gray") != (channels == 1):
        return JpegTiles(plain)
    try:
        return JpegTiles(standard_encoding(quality, source.color, source.subsampling) if quality else source)
    except (WriteError, OptionError):
        # No encoder at hand writes 4:1:1 and the like.
        return JpegTiles(plain)
