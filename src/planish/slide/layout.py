"""Which pages of a TIFF file are planes, which are levels: one function per way of storing a z-stack."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from planish.errors import SlideError, UnsupportedSlide
from planish.model import Missing, SlideMetadata
from planish.slide.page import as_pages, read_page

Pages = list[tifffile.TiffPage]
ASSOCIATED = ("label", "macro", "thumbnail")
"""Images beside the slide, by the names that files give them."""

_REDUCED, _MASK = 1, 4
"""Bits of the tag NewSubfileType."""
_ASSOCIATED = re.compile(rf"\b({'|'.join(ASSOCIATED)})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """A TIFF file sorted into planes and levels.

    Attributes
    ----------
    planes : list
        For each plane in file order: its levels, largest first, each a list with one page per channel.
    z_um : list of float or None
        z of each plane in file order, µm.
    metadata : SlideMetadata
        Of the slide.
    channels : tuple of str or None
        Names, where the file gives them.
    associated : dict
        Loaders of label, macro, thumbnail.
    scenes : tuple of str
        Names of the images of the file, of which this is one.
    times : int
        Its time points, of which this is one.
    part : callable or None
        (scene, time) -> the layout of another, where there are several.
    """

    planes: list[list[Pages]]
    z_um: list[float | None]
    metadata: SlideMetadata
    channels: tuple[str, ...] | None = None
    associated: dict[str, Callable[[], NDArray[Any]]] = field(default_factory=dict)
    scenes: tuple[str, ...] = ("",)
    times: int = 1
    part: Callable[[int, int], Layout] | None = None


def by_width(pages: Pages) -> list[Pages]:
    """Sort the pages of one plane into levels of one page each, largest first."""
    return [[page] for page in sorted(pages, key=lambda page: -int(page.imagewidth))]


def number(value: object) -> float | None:
    """Return a finite number, None where a file states none."""
    if not isinstance(value, (str, int, float, np.number)):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def positive(value: object) -> float | None:
    """Return a finite number above zero, None where a file states none."""
    found = number(value)
    return found if found and found > 0 else None


def resolution_mpp(page: tifffile.TiffPage, unit_um: float | None = None) -> tuple[float | None, float | None]:
    """µm per pixel from the resolution tags; None for the dpi that ordinary software writes without meaning it.

    `unit_um` is the unit of length in µm, where the description names one instead of the tag.
    """
    unit = unit_um or {2: 25_400.0, 3: 10_000.0}.get(page.tags.valueof("ResolutionUnit", 2))
    values: list[float | None] = []
    for name in ("XResolution", "YResolution"):
        numerator, denominator = page.tags.valueof(name) or (0, 1)
        mpp = unit * denominator / numerator if unit and numerator else 0.0
        values.append(mpp if 0.01 < mpp < 50 else None)
    return values[0], values[1]


def icc_profile(page: tifffile.TiffPage) -> bytes | None:
    """Return the ICC profile of a page, if any."""
    value = page.tags.valueof(34675)
    return value if isinstance(value, bytes) else None


def svs_layout(tif: tifffile.TiffFile) -> Layout:
    """Aperio: tiled pages are levels, ``OffsetZ`` (µm) in their description tells the plane."""
    pages = as_pages(tif.pages)
    by_z: dict[float | None, Pages] = {}
    associated: dict[str, Callable[[], NDArray[Any]]] = {}
    for index, page in enumerate(pages):
        if page.is_tiled:
            by_z.setdefault(_number(page.description, "OffsetZ"), []).append(page)
        else:
            associated[_beside(page, index)] = partial(read_page, page)
    if None in by_z and len(by_z) > 1:
        # Aperio leaves the offset out where it is zero.
        by_z.setdefault(0.0, []).extend(by_z.pop(None))
    mpp = positive(_number(pages[0].description, "MPP"))
    metadata = SlideMetadata(
        format="SVS",
        mpp_x=mpp,
        mpp_y=mpp,
        objective_power=positive(_number(pages[0].description, "AppMag")),
        icc_profile=icc_profile(pages[0]),
        vendor="aperio",
    )
    return Layout([by_width(pages) for pages in by_z.values()], list(by_z), metadata, associated=associated)


def _beside(page: tifffile.TiffPage, index: int) -> str:
    """Return what an image beside the slide is: a label, which shows names, must not pass for a thumbnail."""
    # What follows the first bar is the scanner's, file names included.
    said = _ASSOCIATED.search(page.description.partition("|")[0])
    by_type = {1: "label", 9: "macro"}.get(int(page.subfiletype))
    return said[0].lower() if said else by_type or ("thumbnail" if index == 1 else "label")


def _number(description: str, key: str) -> float | None:
    match = re.search(rf"\|\s*{key}\s*=\s*([-+.\deE]+)", description)
    return number(match[1]) if match else None


def ndpi_layout(tif: tifffile.TiffFile) -> Layout:
    """Hamamatsu: one IFD chain per plane, z in tag 65424 (nm); magnification -1 is the macro, -2 the map."""
    by_z: dict[float, Pages] = {}
    associated: dict[str, Callable[[], NDArray[Any]]] = {}
    pages = as_pages(tif.pages)
    for page in pages:
        magnification = page.tags.valueof(65421, 0)
        if magnification > 0:
            z_um = number(page.tags.valueof(65424, 0) / 1000)
            if z_um is None:
                raise SlideError(f"{tif.filename}: page {page.index} lies at no number as z; export it again")
            by_z.setdefault(z_um, []).append(page)
        elif magnification == -1:
            associated["macro"] = partial(read_page, page)
    if not by_z:
        raise UnsupportedSlide(f"{tif.filename}: an NDPI without any image of the slide; export it again")
    mpp_x, mpp_y = resolution_mpp(pages[0])
    metadata = SlideMetadata(
        format="NDPI",
        mpp_x=mpp_x,
        mpp_y=mpp_y,
        objective_power=positive(pages[0].tags.valueof(65421)),
        icc_profile=icc_profile(pages[0]),
        vendor="hamamatsu",
    )
    return Layout([by_width(pages) for pages in by_z.values()], [*by_z], metadata, associated=associated)


def plain_layout(tif: tifffile.TiffFile) -> Layout:
    """Any other TIFF: full-size pages are planes, smaller ones of the same shape levels of the plane before them.

    Raises
    ------
    SlideError
        Where a page is neither, and not marked as reduced, as a mask, or as label, macro or thumbnail.
    """
    first, *others = as_pages(tif.pages)
    planes, left_out = [[first, *_reduced(first)]], 0
    associated: dict[str, Callable[[], NDArray[Any]]] = {}
    for page in others:
        if _kind(page) == _kind(first) and not page.subfiletype & _REDUCED:
            planes.append([page, *_reduced(page)])
        elif _is_level(page, first):
            # The dual layout lists its levels in the page chain and as SubIFDs: take each once.
            if page.offset not in {known.offset for known in planes[-1]}:
                planes[-1].append(page)
        elif name := _ASSOCIATED.search(page.description):
            associated[name[0].lower()] = partial(read_page, page)
        elif page.subfiletype & (_REDUCED | _MASK):
            left_out += 1
        else:
            raise SlideError(
                f"{tif.filename}: page {page.index} is {_text(page)}, but page {first.index} is {_text(first)}; all "
                "planes must be alike: take the odd page out of the file"
            )
    mpp_x, mpp_y = resolution_mpp(first)
    notes = (Missing(f"{left_out} further images of other shape were left out"),) if left_out else ()
    metadata = SlideMetadata("TIFF", mpp_x, mpp_y, icc_profile=icc_profile(first), notes=notes)
    z_um: list[float | None] = [None] * len(planes)
    return Layout([by_width(pages) for pages in planes], z_um, metadata, associated=associated)


def _kind(page: tifffile.TiffPage) -> tuple[object, ...]:
    return page.imagewidth, page.imagelength, page.samplesperpixel, page.dtype


def _text(page: tifffile.TiffPage) -> str:
    return "{} × {} px ({} × {})".format(*_kind(page))


def _reduced(page: tifffile.TiffPage) -> Pages:
    subpages = as_pages(page.pages or []) if page.subifds else []
    return [subpage for subpage in subpages if _is_level(subpage, page)]


def _is_level(page: tifffile.TiffPage, full: tifffile.TiffPage) -> bool:
    """Whether a page is a smaller image of the same thing: same kind of pixel, same aspect to within a pixel."""
    if (page.samplesperpixel, page.dtype) != (full.samplesperpixel, full.dtype) or page.imagewidth >= full.imagewidth:
        return False
    expected = full.imagelength * page.imagewidth / full.imagewidth
    return bool(abs(page.imagelength - expected) <= 1 + full.imagelength / full.imagewidth)
