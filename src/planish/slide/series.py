"""Stacks whose description names their axes: OME-TIFF, ImageJ, tifffile, older microscopes' TIFFs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from planish.errors import SlideError, UnsupportedSlide
from planish.model import SlideMetadata
from planish.slide.layout import Layout, Pages, icc_profile, plain_layout, positive, resolution_mpp
from planish.slide.page import as_pages

_PLANE_AXES = "ZQI"
"""Z, or an axis without a name."""
UM_PER_UNIT = {
    "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "\\u00b5m": 1.0,
    "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6,
}  # fmt: skip
"""The micro sign and the Greek mu are both in use; ImageJ also writes the former's escape."""


def series_planes(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, time: int = 0) -> list[list[Pages]]:
    """Return [plane][level] -> pages of a series at a time point, one page per channel that lies in pages of its own.

    Raises
    ------
    UnsupportedSlide
        Where there are axes that are neither plane, channel nor time, or images without a directory.
    SlideError
        Where images that the description lists are missing.
    """
    if series.is_truncated:
        raise UnsupportedSlide(
            f"{tif.filename}: holds several images ({_text(series)}) behind one page directory, as ImageJ writes "
            "beyond 4 GB; save it as OME-TIFF or BigTIFF, one page per image"
        )
    sizes = _page_axes(tif, series)
    plane_axis = next((axis for axis in sizes if axis in _PLANE_AXES), None)
    count = sizes.get(plane_axis, 1) if plane_axis else 1
    planes: list[list[Pages]] = [[] for _ in range(count)]
    for level in series.levels:
        grid = dict(sizes)
        if math.prod(grid.values()) > len(level) == count * sizes.get("T", 1):
            grid.pop("C", None)  # channels of one page, planar or contiguous, are no pages of their own
        if math.prod(grid.values()) != len(level):
            raise SlideError(
                f"{tif.filename}: its description claims {_text(series)}, but {len(level)} images are there; "
                "export it again"
            )
        indices: NDArray[np.int64] = np.arange(len(level)).reshape([*grid.values()])
        if "T" in grid:
            indices = np.asarray(indices.take(time, axis=list(grid).index("T")))
            del grid["T"]
        if plane_axis:
            indices = np.moveaxis(indices, list(grid).index(plane_axis), 0)
        pages = iter(_pages(tif, level, indices.ravel().tolist()))
        for plane in planes:
            plane.append([next(pages) for _ in range(indices.size // count)])
    return planes


def series_times(series: tifffile.TiffPageSeries) -> int:
    """Return the time points of a series."""
    axes = zip(series.get_axes(squeeze=False), series.get_shape(squeeze=False), strict=True)
    return int(dict(axes).get("T", 1))


def _page_axes(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> dict[str, int]:
    """Return the axes beside those of a page, outermost first: at most one each of planes, channels and time."""
    axes = zip(series.get_axes(squeeze=False), series.get_shape(squeeze=False), strict=True)
    found = [(axis, size) for axis, size in axes if axis not in "YXS" and size > 1]
    sizes = dict(found)
    unclear = len(sizes) < len(found) or not set(sizes) <= {*_PLANE_AXES, "C", "T"}
    if unclear or sum(axis in _PLANE_AXES for axis in sizes) > 1:
        raise UnsupportedSlide(
            f"{tif.filename}: its axes are {_text(series)}, in which planish cannot tell the planes; "
            "save it as OME-TIFF with planes as Z and channels as C"
        )
    return sizes


def _text(series: tifffile.TiffPageSeries) -> str:
    """Return axes and sizes, like ``Z 5, Y 300, X 420``."""
    axes = zip(series.get_axes(squeeze=False), series.get_shape(squeeze=False), strict=True)
    return ", ".join(f"{axis} {size}" for axis, size in axes if size > 1)


def _pages(tif: tifffile.TiffFile, level: tifffile.TiffPageSeries, indices: list[int]) -> Pages:
    try:
        pages: list[Any] = [level[index] for index in indices]
    except IndexError as error:
        raise SlideError(
            f"{tif.filename}: its description claims {_text(level)}, but {len(tif.pages)} images are there; "
            "export it again"
        ) from error
    absent = sum(page is None for page in pages)
    if absent:
        raise SlideError(
            f"{tif.filename}: {absent} of the {len(pages)} images that its description lists are missing; "
            "copy all files of the set into one folder, or export it again"
        )
    return as_pages(pages)


def stack_layout(tif: tifffile.TiffFile, time: int = 0) -> Layout:
    """Sort ImageJ's hyperstacks and the like: slices are planes, ImageJ's ``spacing`` is their distance."""
    planes = series_planes(tif, tif.series[0], time)
    first, about = planes[0][0][0], tif.imagej_metadata or {}
    um = UM_PER_UNIT.get(str(about.get("unit", "")).lower())
    spacing = positive(about.get("spacing"))
    step = spacing * um if spacing and um else None
    mpp_x, mpp_y = resolution_mpp(first, um)
    metadata = SlideMetadata("ImageJ TIFF" if about else "TIFF", mpp_x, mpp_y, icc_profile=icc_profile(first))
    return Layout(
        planes,
        [None if step is None else index * step for index in range(len(planes))],
        metadata,
        times=series_times(tif.series[0]),
        part=lambda scene, time: stack_layout(tif, time),
    )


def shaped_layout(tif: tifffile.TiffFile) -> Layout:
    """Sort what tifffile wrote with the array's shape: by its axes where they name channels or time, else by page."""
    main = tif.series[0]
    sizes = _page_axes(tif, main)
    return stack_layout(tif) if main.is_truncated or {"C", "T"} & set(sizes) else plain_layout(tif)
