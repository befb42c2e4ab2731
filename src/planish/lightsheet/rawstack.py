"""Raw `.stack` files: little-endian uint16 planes one after the other, without a header."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError, SlideError, SlideNotFound

DTYPE = np.dtype("<u2")


def depth(path: Path, width: int, height: int) -> int:
    """Return how many planes of width × height px a file holds; its size says so, for the XML's number may be stale.

    Raises
    ------
    SlideNotFound
        Where there is no such file.
    SlideError
        Where its size fits no whole number of planes.
    """
    if width < 1 or height < 1:
        raise OptionError(f"{path}: planes of {width} × {height} px cannot be; give width and height above 0")
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise SlideNotFound(f"{path}: no such file; check the name") from error
    plane = width * height * DTYPE.itemsize
    if not size or size % plane:
        raise SlideError(
            f"{path}: {size} bytes are {size / plane:.3f} planes of {width} × {height} uint16 px; the file is cut "
            "short, or width and height are others: copy it again, or give the right ones"
        )
    return size // plane


def map_stack(path: Path, width: int, height: int) -> NDArray[np.uint16]:
    """Return the planes of a file, (Z, Y, X), mapped into memory and read only; see `depth` for errors."""
    return np.memmap(path, DTYPE, "r", shape=(depth(path, width, height), height, width))
