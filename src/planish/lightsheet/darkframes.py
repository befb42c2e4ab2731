"""Dark frames: what each camera sees without light, as `Background_*.tif` beside the raw files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from planish.errors import SlideError


def find_backgrounds(folder: Path) -> tuple[Path, ...]:
    """Return the files of dark frames in a folder, by name: one per camera, in the order of the cameras."""
    return tuple(sorted(path for path in folder.glob("Background_*.tif*") if path.is_file()))


def read_backgrounds(folder: Path) -> tuple[NDArray[Any], ...]:
    """Return the dark frames in a folder, (Y, X) each and as stored; none where there are no files.

    Of several frames in one file it is the median.

    Raises
    ------
    SlideError
        Where a file cannot be read, or holds no frame.
    """
    return tuple(_read(path) for path in find_backgrounds(folder))


def _read(path: Path) -> NDArray[Any]:
    try:
        frame = np.asarray(tifffile.imread(path)).squeeze()
    except Exception as error:  # foreign code, which damaged files throw off in any way
        raise SlideError(f"{path}: not a readable dark frame ({error}); take it again, or remove it") from error
    if frame.ndim == 3 and frame.size:
        frame = np.median(frame, axis=0).astype(frame.dtype)
    if frame.ndim != 2 or not frame.size:
        raise SlideError(f"{path}: holds {frame.shape}, and a dark frame is (Y, X); take it again, or remove it")
    return frame
