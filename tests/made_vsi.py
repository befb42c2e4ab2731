"""ETS files, the pixels of a VSI: read by a few lines of our own as an oracle, and written for what no sample shows.

A VSI's metadata is a large tree that only its maker writes, so the real one is kept and other pixels put beside it.
"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

_HEAD, _ENTRY = struct.Struct("<4sIIIqIIqII"), struct.Struct("<I6iqII")
_TILING = struct.Struct("<4s9I")
_JPEG2000, _UINT16 = 3, 4
REAL = "slides/olympus/vsi-ets-test-jpg2k.vsi"
REAL_ETS = "slides/olympus/_vsi-ets-test-jpg2k_/stack1/frame_t_0.ets"
SIZE = (1682, 1645)
"""Height and width that the real VSI tells."""
PLANES, CHANNELS = 11, 2

Stack = dict[tuple[int, int], NDArray[Any]]
"""(plane, channel) -> (height, width), planes by their number in the file."""


def read_ets(path: Path) -> Stack:
    """Read a file with one JPEG-2000 tile per plane and channel, by its index."""
    data = path.read_bytes()
    magic, *_, tiling, _, _, index, count, _ = _HEAD.unpack_from(data)
    assert magic == b"SIS\0"
    magic, _, kind, _, _, codec, *_ = _TILING.unpack_from(data, tiling)
    assert (magic, kind, codec) == (b"ETS\0", _UINT16, _JPEG2000)
    found = {}
    for place in range(count):
        _, column, row, _, plane, channel, level, offset, size, _ = _ENTRY.unpack_from(
            data, index + place * _ENTRY.size
        )
        assert (column, row, level) == (0, 0, 0)
        found[plane, channel] = imagecodecs.jpeg2k_decode(data[offset : offset + size])
    return found


def write_vsi(
    real: Path, folder: Path, levels: list[Stack], tile: int, left_out: tuple[int, int] | None = None
) -> Path:
    """Write a VSI of other pixels, lossless JPEG 2000.

    Parameters
    ----------
    real : Path
        The real VSI, whose sizes `levels` must have: 11 planes, 2 channels.
    folder : Path
        Where to write.
    levels : list of Stack
        Full size first, each half of the one before, rounded up.
    tile : int
        Edge of the tiles.
    left_out : (int, int), optional
        Column and row of a tile of level 0 that is not written.
    """
    path = folder / "made.vsi"
    shutil.copyfile(real, path)
    stack = folder / "_made_" / "stack1"
    stack.mkdir(parents=True)
    body = bytearray(_HEAD.size + 228)
    index: list[tuple[int, ...]] = []
    for level, images in enumerate(levels):
        for (plane, channel), image in images.items():
            for row in range(-(-image.shape[0] // tile)):
                for column in range(-(-image.shape[1] // tile)):
                    if level == 0 and (column, row) == left_out:
                        continue
                    data = _encoded(image[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile], tile)
                    index.append((6, column, row, 0, plane, channel, level, len(body), len(data), len(index)))
                    body += data
    _HEAD.pack_into(body, 0, b"SIS\0", 64, 3, 6, 64, 228, 0, len(body), len(index), 0)
    _TILING.pack_into(body, 64, b"ETS\0", 196614, _UINT16, 1, 1, _JPEG2000, 100, tile, tile, 1)
    (stack / "frame_t_0.ets").write_bytes(body + b"".join(_ENTRY.pack(*entry) for entry in index))
    return path


def _encoded(pixels: NDArray[Any], tile: int) -> bytes:
    whole = np.zeros((tile, tile), pixels.dtype)
    whole[: pixels.shape[0], : pixels.shape[1]] = pixels
    return bytes(imagecodecs.jpeg2k_encode(whole, level=0, codecformat="j2k", reversible=True))
