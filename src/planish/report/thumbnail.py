"""Thumbnails: a slide's plane made small and shown in 8-bit colours, and PNG files of such pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from planish.errors import OptionError
from planish.files import replacing
from planish.slide.base import Slide

STRETCH = (0.5, 99.5)
"""Percentiles shown as black and white where the data's own range says nothing of how bright it is."""


def middle_plane(slide: Slide) -> int:
    """Return the index of the middle plane, the lower of the two middle ones where their number is even."""
    return (len(slide.planes) - 1) // 2


def thumbnail(slide: Slide, plane: int | None = None, longest: int = 1024) -> NDArray[np.uint8]:
    """Return a small picture of one plane.

    Parameters
    ----------
    slide : Slide
        Of any dtype and channels.
    plane : int, optional
        Index into the slide's planes, by default the middle one.
    longest : int, optional
        Longer side in pixels. A smaller slide is not enlarged.

    Returns
    -------
    ndarray of uint8
        (height, width, 3), see `to_rgb`.
    """
    if longest < 1:
        raise OptionError(f"a thumbnail needs at least 1 pixel, got {longest}")
    enough = [index for index, level in enumerate(slide.levels) if max(level.width, level.height) >= longest]
    coarsest = max(enough, default=0)
    return to_rgb(overview(slide, middle_plane(slide) if plane is None else plane, coarsest, longest))


def overview(slide: Slide, plane: int, level: int, longest: int) -> NDArray[Any]:
    """Return one plane of a level made smaller by averaging areas, (height, width, channels) of the slide's dtype.

    Its longer side has `longest` pixels, or those of the level where it has no more. Tile by tile, each adding its
    share to the pixels it covers: memory holds the result and one tile, whatever the size of the level, and the tiles
    leave no seams.
    """
    grid = slide.levels[level]
    scale = min(1.0, longest / max(grid.width, grid.height))
    width, height = max(1, round(grid.width * scale)), max(1, round(grid.height * scale))
    kind = np.result_type(slide.dtype, np.float32)
    picture = np.zeros((height, width, len(slide.channels)), kind)
    across = [_shares(column * grid.tile_width, grid.tile_width, grid.width, width) for column in range(grid.columns)]
    for row in range(grid.rows):
        top, down = _shares(row * grid.tile_height, grid.tile_height, grid.height, height)
        for column, (left, along) in enumerate(across):
            tile = slide.read_tile(level, plane, column, row).astype(kind)
            if slide.dtype.kind == "f":
                tile = np.nan_to_num(tile)
            lines = _weighted(down.astype(kind), tile).swapaxes(0, 1)
            share = _weighted(along.astype(kind), lines).swapaxes(0, 1)
            picture[top : top + share.shape[0], left : left + share.shape[1]] += share
    return (np.rint(picture) if slide.dtype.kind in "iu" else picture).astype(slide.dtype)


def to_rgb(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return (height, width, channels) pixels as (height, width, 3) uint8 colours to look at.

    8-bit colours stay as they are. Other dtypes, signed or not, are stretched between `STRETCH`, all three channels
    alike; any other number of channels is shown as the grey of their mean, stretched too.
    """
    if pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        return pixels
    values = np.nan_to_num(pixels.astype(np.result_type(pixels.dtype, np.float32)))
    if values.shape[2] != 3:
        values = values.mean(axis=2, keepdims=True)
    low, high = np.percentile(values, STRETCH)
    unit = (values - low) / (high - low if high > low else 1)
    grey = np.rint(255 * np.clip(unit, 0, 1)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(grey, (*grey.shape[:2], 3)))


def write_png(pixels: NDArray[np.uint8], path: Path, *, overwrite: bool = False) -> None:
    """Write (height, width) grey or (height, width, 3) RGB pixels as PNG, whole or not at all.

    Raises
    ------
    OptionError
        Where the name does not end in ``.png``.
    WriteError
        Where the file is there already or cannot be written.
    """
    check_png(path)
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(encode_png(pixels))


def check_png(path: Path) -> None:
    """Raise OptionError where a name does not end in ``.png``."""
    if path.suffix.lower() != ".png":
        raise OptionError(f"{path}: planish writes this picture as PNG; give a name that ends in .png")


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return (height, width) grey or (height, width, 3) RGB pixels as PNG."""
    done, data = cv2.imencode(".png", pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    assert done, "OpenCV encodes any 8-bit picture as PNG"
    return data.tobytes()


def _shares(start: int, most: int, length: int, size: int) -> tuple[int, csr_array]:
    """Return how level pixels from `start` on, at most `most`, share in a line of `length` made `size` pixels long.

    That is the first output pixel they touch, and (output pixels, level pixels) weights; over a whole line those of an
    output pixel sum to 1. They are sparse, for a level pixel touches two output pixels at most, and a tile may be as
    wide as the slide.
    """
    edges = np.arange(start, min(start + most, length) + 1) * (size / length)
    output = edges[:-1].astype(int)
    inside = np.minimum(edges[1:], output + 1) - edges[:-1]
    beyond = edges[1:] - edges[:-1] - inside
    rows = np.concatenate([output, np.minimum(output + 1, size - 1)]) - output[0]
    columns = np.tile(np.arange(output.size), 2)
    return int(output[0]), csr_array((np.concatenate([inside, beyond]), (rows, columns)))


def _weighted(weights: csr_array, pixels: NDArray[Any]) -> NDArray[Any]:
    """Sum over the first axis of (level pixels, other, channels)."""
    flat: NDArray[Any] = weights @ pixels.reshape(pixels.shape[0], -1)
    return flat.reshape(-1, *pixels.shape[1:])
