"""Stacks whose description names their axes: OME-TIFF, ImageJ, tifffile, older microscopes' TIFFs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tifffile

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


def series_planes(tif: tifffile.TiffFile) -> list[list[Pages]]:
    """Return [plane][level] -> pages of the file's first series, one page per channel that lies in pages of its own.

    Raises
    ------
    UnsupportedSlide
        Where there are time points or axes that are neither plane nor channel, or images without a directory.
    SlideError
        Where images that the description lists are missing.
    """
    main = tif.series[0]
    if main.is_truncated:
        raise UnsupportedSlide(
            f"{tif.filename}: holds several images ({_text(main)}) behind one page directory, as ImageJ writes beyond "
            "4 GB; save it as OME-TIFF or BigTIFF, one page per image"
        )
    sizes = _page_axes(tif, main)
    plane_axis = next((axis for axis in sizes if axis in _PLANE_AXES), None)
    planes: list[list[Pages]] = [[] for _ in range(sizes.get(plane_axis, 1) if plane_axis else 1)]
    for level in main.levels:
        pages = _pages(tif, level)
        grid = dict(sizes)
        if math.prod(grid.values()) > len(pages) == len(planes):
            grid.pop("C", None)  # channels of one page, planar or contiguous, are no pages of their own
        if math.prod(grid.values()) != len(pages):
            raise SlideError(
                f"{tif.filename}: its description claims {_text(main)}, but {len(pages)} images are there; "
                "export it again"
            )
        indices = np.arange(len(pages)).reshape([*grid.values()])
        if plane_axis:
            indices = np.moveaxis(indices, list(grid).index(plane_axis), 0)
        for plane, row in zip(planes, indices.reshape(len(planes), -1), strict=True):
            plane.append([pages[index] for index in row])
    return planes


def _page_axes(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> dict[str, int]:
    """Return the axes beside those of a page, outermost first: at most one of planes and one of channels."""
    axes = zip(series.get_axes(squeeze=False), series.get_shape(squeeze=False), strict=True)
    found = [(axis, size) for axis, size in axes if axis not in "YXS" and size > 1]
    sizes = dict(found)
    if "T" in sizes:
        raise UnsupportedSlide(f"{tif.filename}: holds {sizes['T']} time points; split it into one file each")
    if len(sizes) < len(found) or sum(axis != "C" for axis in sizes) > 1 or not set(sizes) <= {*_PLANE_AXES, "C"}:
        raise UnsupportedSlide(
            f"{tif.filename}: its axes are {_text(series)}, in which planish cannot tell the planes; "
            "save it as OME-TIFF with planes as Z and channels as C"
        )
    return sizes


def _text(series: tifffile.TiffPageSeries) -> str:
    """Return axes and sizes, like ``Z 5, Y 300, X 420``."""
    axes = zip(series.get_axes(squeeze=False), series.get_shape(squeeze=False), strict=True)
    return ", ".join(f"{axis} {size}" for axis, size in axes if size > 1)


def _pages(tif: tifffile.TiffFile, level: tifffile.TiffPageSeries) -> Pages:
    try:
        pages: list[Any] = list(level.pages)
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


def stack_layout(tif: tifffile.TiffFile) -> Layout:
    """Sort ImageJ's hyperstacks and the like: slices are planes, ImageJ's ``spacing`` is their distance."""
    planes = series_planes(tif)
    first, about = planes[0][0][0], tif.imagej_metadata or {}
    um = UM_PER_UNIT.get(str(about.get("unit", "")).lower())
    spacing = positive(about.get("spacing"))
    step = spacing * um if spacing and um else None
    mpp_x, mpp_y = resolution_mpp(first, um)
    metadata = SlideMetadata("ImageJ TIFF" if about else "TIFF", mpp_x, mpp_y, icc_profile=icc_profile(first))
    return Layout(planes, [None if step is None else index * step for index in range(len(planes))], metadata)


def shaped_layout(tif: tifffile.TiffFile) -> Layout:
    """Sort what tifffile wrote with the array's shape: by its axes where it names channels, else page by page."""
    main = tif.series[0]
    sizes = _page_axes(tif, main)
    return stack_layout(tif) if main.is_truncated or "C" in sizes else plain_layout(tif)
