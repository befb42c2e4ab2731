"""`Codec`: how a container's pixels are compressed, and what its directories say of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.jpeg import read_header, split
from planish.model import Encoding
from planish.phantom.options import ContainerOptions
from planish.write.assembler import Tag, Value, short, undefined
from planish.write.jpeg import encode, standard_encoding

_MINISBLACK, _RGB, _YCBCR = 1, 2, 6

_LOSSLESS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "lzw": (5, lambda data: bytes(imagecodecs.lzw_encode(data))),
    "deflate": (8, lambda data: bytes(imagecodecs.zlib_encode(data))),
    "none": (1, lambda data: data),
}


@dataclass(frozen=True)
class Codec:
    """Compresses the tiles or strips of an image.

    Attributes
    ----------
    encode : callable
        From (height, width, channels) pixels to bytes.
    tags : dict of int to Value
        What a directory says of compression and colour.
    """

    encode: Callable[[NDArray[Any]], bytes]
    tags: dict[int, Value]


def choose_codec(options: ContainerOptions, dtype: np.dtype[Any], channels: int) -> Codec:
    """Return the codec that the options name, for pixels of this kind.

    Raises
    ------
    OptionError
        Where the codec cannot hold the pixels.
    """
    if channels not in (1, 3):
        raise OptionError(f"containers hold one or three channels, not {channels}")
    if options.codec == "jpeg":
        if dtype != np.uint8:
            raise OptionError(f"JPEG holds 8 bits, not {dtype}; choose deflate, lzw, none or jpeg2000")
        color = options.color if channels == 3 else "gray"
        return jpeg_codec(standard_encoding(options.quality, color, options.chroma))
    if options.codec == "jpeg2000":
        # Aperio's number for JPEG 2000 in RGB; elsewhere the registered one.
        return _plain_codec(33005 if options.kind == "svs" else 34712, channels, _jpeg2000(options.quality))
    number, compress = _LOSSLESS[options.codec]
    return _plain_codec(number, channels, lambda pixels: compress(pixels.tobytes()))


def lzw_codec() -> Codec:
    """Return the codec of label images, 8-bit RGB."""
    number, compress = _LOSSLESS["lzw"]
    return _plain_codec(number, 3, lambda pixels: compress(pixels.tobytes()))


def jpeg_codec(encoding: Encoding) -> Codec:
    """Return a codec whose JPEGs leave their tables to the directory."""
    channels = 1 if encoding.color == "gray" else 3
    tables, _ = split(encode(np.zeros((16, 16, channels), np.uint8), encoding))
    photometric = {"gray": _MINISBLACK, "rgb": _RGB, "ycbcr": _YCBCR}[encoding.color]
    tags = {
        Tag.COMPRESSION: short(7),
        Tag.PHOTOMETRIC: short(photometric),
        Tag.JPEG_TABLES: undefined(tables),
    }
    # With 4:4:4 the tag is left out: Bio-Formats shows wrong colours where it is there.
    if encoding.subsampling != (1, 1):
        tags[Tag.YCBCR_SUBSAMPLING] = short(encoding.subsampling)

    def compress(pixels: NDArray[Any]) -> bytes:
        _, tile = split(encode(pixels, encoding))
        return _nameless(tile, tables) if encoding.color == "rgb" else tile

    return Codec(compress, tags)


def _plain_codec(number: int, channels: int, compress: Callable[[NDArray[Any]], bytes]) -> Codec:
    photometric = _RGB if channels == 3 else _MINISBLACK
    return Codec(compress, {Tag.COMPRESSION: short(number), Tag.PHOTOMETRIC: short(photometric)})


def _jpeg2000(quality: int) -> Callable[[NDArray[Any]], bytes]:
    def compress(pixels: NDArray[Any]) -> bytes:
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        return bytes(imagecodecs.jpeg2k_encode(np.ascontiguousarray(pixels), 20 + quality // 4, codecformat="j2k"))

    return compress


def _nameless(tile: bytes, tables: bytes) -> bytes:
    """Rename an RGB tile's components to 0, 1, 2 as Aperio does, so that only the directory tells the colours."""
    data, scan = bytearray(tile), read_header(tile, tables).scan
    for number in range(3):
        # The frame header stands first, behind SOI; the scan header ends with three bytes that name no component.
        data[12 + 3 * number] = data[scan - 9 + 2 * number] = number
    return bytes(data)
