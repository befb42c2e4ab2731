"""Reading an output back before it gets its name: levels, sizes, and a sample of tiles against what was meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from planish.errors import SlideError, WriteError
from planish.model import Level
from planish.slide.base import Slide
from planish.slide.tiff import TiffSlide

SAMPLE = 16
"""Tiles per level that are decoded."""
_LOSSY_BOUND = 24.0
"""Root mean square in 1/255 that a JPEG tile may differ from its pixels; another tile of the slide differs by more."""


def read_back(path: Path, meant: Slide, levels: tuple[Level, ...], *, lossless: bool) -> int:
    """Check a file that was just written.

    Parameters
    ----------
    path : Path
        The file, still under its temporary name.
    meant : Slide
        What level 0 is compared with.
    levels : tuple of Level
        The levels it must have.
    lossless : bool
        Whether pixels must be equal, or may differ as lossy compression makes them.

    Returns
    -------
    int
        Number of tiles decoded.

    Raises
    ------
    WriteError
        Where anything differs, naming it.
    """
    checked = 0
    try:
        with TiffSlide(path) as slide:
            if slide.levels != levels:
                raise WriteError(
                    f"{path}: reads back with levels {slide.levels}, meant were {levels}; is the disk sound?"
                )
            generator = np.random.default_rng(0)
            for index, level in enumerate(levels):
                count = level.columns * level.rows
                for place in generator.permutation(count)[:SAMPLE]:
                    row, column = divmod(int(place), level.columns)
                    pixels = slide.read_tile(index, 0, column, row)
                    checked += 1
                    if index == 0:
                        wanted = meant.read_region(0, 0, *level.tile_box(column, row))
                        _compare(path, (column, row), pixels, wanted, lossless)
    except SlideError as error:
        raise WriteError(f"{path}: does not read back ({error}); is the disk sound?") from error
    return checked


def _compare(path: Path, tile: tuple[int, int], found: np.ndarray, wanted: np.ndarray, lossless: bool) -> None:
    if lossless:
        same = bool(np.array_equal(found, wanted, equal_nan=found.dtype.kind == "f"))
    else:
        same = float(np.sqrt(np.mean((found.astype(np.float32) - wanted) ** 2))) <= _LOSSY_BOUND
    if not same:
        raise WriteError(f"{path}: tile {tile} reads back different from what was written; is the disk sound?")
