"""`write_depth`: a depth map as a TIFF of one level, without loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from planish._version import __version__
from planish.errors import WriteError
from planish.slide.tiff import TiffSlide

_TILE = 256
_CLASSIC_LIMIT = 2 << 30
"""Bytes of raw depths up to which a classic TIFF is written; tifffile takes compressed ones for small."""


def write_depth(depth: NDArray[Any], path: Path) -> int:
    """Write a depth map under the very name given, read it back, and return its bytes.

    Parameters
    ----------
    depth : ndarray of uint16 or float32, (Y, X)
        Planes, counted from 0.
    path : Path
        A new file; it is for callers to rename it.

    Raises
    ------
    WriteError
        Where it does not read back as it was.
    """
    tifffile.imwrite(
        path,
        depth,
        bigtiff=depth.nbytes > _CLASSIC_LIMIT,
        tile=(_TILE, _TILE),
        compression="zlib",
        predictor=depth.dtype.kind == "f",  # planes in patches compress better without
        photometric="minisblack",
        software=f"planish {__version__}",
        metadata=None,
    )
    with TiffSlide(path) as written:
        level = written.levels[0]
        for row in range(level.rows):
            x, y, width, height = level.tile_box(0, row)._replace(width=level.width)
            found = written.read_region(0, 0, x, y, width, height)[..., 0]
            if found.dtype != depth.dtype or not np.array_equal(found, depth[y : y + height]):
                raise WriteError(f"{path}: does not read back; write it again, on another disk")
    return path.stat().st_size
