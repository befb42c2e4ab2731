"""Blocks of a KLB file: where they stand in the volume, compressed and decompressed."""

from __future__ import annotations

import bz2
import math
import zlib
from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from planish.lightsheet.klbheader import KlbHeader

_BZIP2_STEP = 100_000
"""Bytes per level of bzip2: a level beyond the block's size takes memory and gains nothing."""


class BlockError(ValueError):
    """A block does not decompress to what the header says; the message lacks the file's name."""


def encode(pixels: bytes, header: KlbHeader) -> bytes:
    """Compress one block, at the reference implementation's levels."""
    if header.codec == "bzip2":
        return bz2.compress(pixels, min(9, -(-math.prod(header.block) * header.dtype.itemsize // _BZIP2_STEP)))
    return zlib.compress(pixels) if header.codec == "zlib" else pixels


def decode(stored: bytes | memoryview, size: int, codec: str) -> bytes | memoryview:
    """Decompress one block of `size` bytes; never more than that is unpacked.

    Raises
    ------
    BlockError
        Where it holds more, less, or nothing that can be decompressed.
    """
    try:
        # One byte more than expected is asked for, so that too much is noticed.
        if codec == "bzip2":
            pixels: bytes | memoryview = bz2.BZ2Decompressor().decompress(stored, size + 1)
        elif codec == "zlib":
            pixels = zlib.decompressobj().decompress(stored, size + 1)
        else:
            pixels = stored
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise BlockError(f"does not decompress ({error})") from error
    if len(pixels) != size:
        raise BlockError(f"holds {'more' if len(pixels) > size else len(pixels)} than the {size} bytes it should")
    return pixels


def rows_in(header: KlbHeader, box: tuple[slice, ...]) -> Iterator[tuple[int, ...]]:
    """Yield (t, c, z, y) of each row of blocks that a box of five slices (steps of 1, not empty) touches."""
    spans = (
        range(part.start // block, -(-part.stop // block))
        for part, block in zip(box[:4], header.block[:4], strict=True)
    )
    return product(*spans)


def row_box(header: KlbHeader, row: tuple[int, ...]) -> tuple[slice, ...]:
    """Return where a row of blocks stands in the volume: five slices, all of x."""
    spans = zip(row, header.block[:4], header.size[:4], strict=True)
    return (*(slice(at * block, min(size, (at + 1) * block)) for at, block, size in spans), slice(0, header.size[4]))


def first_block(header: KlbHeader, row: tuple[int, ...]) -> int:
    """Return the number of the first block of a row; the others follow it."""
    return int(np.ravel_multi_index((*row, 0), header.grid))


def encode_row(pixels: NDArray[np.generic], header: KlbHeader) -> list[bytes]:
    """Compress a row of blocks, (t, c, z, y, x) px with all of x."""
    step = header.block[4]
    return [encode(pixels[..., x : x + step].tobytes(), header) for x in range(0, header.size[4], step)]


def decode_row(
    stored: memoryview, ends: NDArray[np.uint64], header: KlbHeader, row: tuple[int, ...], columns: range
) -> NDArray[np.generic]:
    """Decompress neighbouring blocks of a row.

    Parameters
    ----------
    stored : memoryview
        Their bytes.
    ends : ndarray of uint64
        Where in `stored` each of them ends.
    header : KlbHeader
        Of the file.
    row : tuple of int
        (t, c, z, y) of the row of blocks.
    columns : range
        Numbers along x of the blocks.

    Returns
    -------
    ndarray, (t, c, z, y, x)
        Of the header's type; x starts with the first of the blocks.
    """
    shape = [part.stop - part.start for part in row_box(header, row)[:4]]
    step, width = header.block[4], header.size[4]
    pixels = np.empty((*shape, min(width, columns.stop * step) - columns.start * step), header.dtype)
    start = 0
    for index, column in enumerate(columns):
        part = pixels[..., index * step : (index + 1) * step]
        end = int(ends[index])
        try:
            block = decode(stored[start:end], math.prod(part.shape) * header.dtype.itemsize, header.codec)
        except BlockError as error:
            raise BlockError(f"block {first_block(header, row) + column} {error}") from error
        part[...] = np.frombuffer(block, header.dtype).reshape(part.shape)
        start = end
    return pixels
