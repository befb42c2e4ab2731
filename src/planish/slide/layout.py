"""Which pages of a TIFF file are planes, which are levels: one function per way of storing a z-stack."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import tifffile
from numpy.typing import NDArray

from planish.errors import UnsupportedSlide
from planish.model import SlideMetadata
from planish.slide.page import as_pages, read_page

Pages = list[tifffile.TiffPage]


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
    """

    planes: list[list[Pages]]
    z_um: list[float | None]
    metadata: SlideMetadata
    channels: tuple[str, ...] | None = None
    associated: dict[str, Callable[[], NDArray[Any]]] = field(default_factory=dict)


def by_width(pages: Pages) -> list[Pages]:
    """Sort the pages of one plane into levels of one page each, largest first."""
    return [[page] for page in sorted(pages, key=lambda page: -int(page.imagewidth))]


def resolution_mpp(page: tifffile.TiffPage) -> tuple[float | None, float | None]:
    """µm per pixel from the resolution tags; None for the dpi that ordinary software writes without meaning it."""
    unit = {2: 25_400.0, 3: 10_000.0}.get(page.tags.valueof("ResolutionUnit", 2))
    values: list[float | None] = []
    for name in ("XResolution", "YResolution"):
        numerator, denominator = page.tags.valueof(name) or (0, 1)
        mpp = unit * denominator / numerator if unit and numerator else 0.0
        values.append(mpp if 0.01 < mpp < 50 else None)
    return values[0], values[1]


def icc_profile(page: tifffile.TiffPage) -> bytes | None:
    """Return the ICC profile of a page, if any."""
    value = page.tags.valueof(34675)
    return bytes(value) if value is not None else None


def svs_layout(tif: tifffile.TiffFile) -> Layout:
    """Aperio: tiled pages are levels, ``OffsetZ`` (µm) in their description tells the plane."""
    pages = as_pages(tif.pages)
    by_z: dict[float | None, Pages] = {}
    associated: dict[str, Callable[[], NDArray[Any]]] = {}
    for index, page in enumerate(pages):
        if page.is_tiled:
            by_z.setdefault(_number(page.description, "OffsetZ"), []).append(page)
        else:
            name = "thumbnail" if index == 1 else "macro" if page.subfiletype == 9 else "label"
            associated[name] = partial(read_page, page)
    if None in by_z and len(by_z) > 1:
        # Aperio leaves the offset out where it is zero.
        by_z.setdefault(0.0, []).extend(by_z.pop(None))
    mpp = _number(pages[0].description, "MPP")
    metadata = SlideMetadata(
        format="SVS",
        mpp_x=mpp,
        mpp_y=mpp,
        objective_power=_number(pages[0].description, "AppMag"),
        icc_profile=icc_profile(pages[0]),
        vendor="aperio",
    )
    return Layout([by_width(pages) for pages in by_z.values()], list(by_z), metadata, associated=associated)


def _number(description: str, key: str) -> float | None:
    match = re.search(rf"\|\s*{key}\s*=\s*([-+.\deE]+)", description)
    return float(match[1]) if match else None


def ndpi_layout(tif: tifffile.TiffFile) -> Layout:
    """Hamamatsu: one IFD chain per plane, z in tag 65424 (nm); magnification -1 is the macro, -2 the map."""
    by_z: dict[float, Pages] = {}
    associated: dict[str, Callable[[], NDArray[Any]]] = {}
    pages = as_pages(tif.pages)
    for page in pages:
        magnification = page.tags.valueof(65421, 0)
        if magnification > 0:
            by_z.setdefault(page.tags.valueof(65424, 0) / 1000, []).append(page)
        elif magnification == -1:
            associated["macro"] = partial(read_page, page)
    if not by_z:
        raise UnsupportedSlide(f"{tif.filename}: an NDPI without any image of the slide; export it again")
    mpp_x, mpp_y = resolution_mpp(pages[0])
    metadata = SlideMetadata(
        format="NDPI",
        mpp_x=mpp_x,
        mpp_y=mpp_y,
        objective_power=pages[0].tags.valueof(65421),
        icc_profile=icc_profile(pages[0]),
        vendor="hamamatsu",
    )
    z_um: list[float | None] = list(by_z)
    return Layout([by_width(pages) for pages in by_z.values()], z_um, metadata, associated=associated)


def plain_layout(tif: tifffile.TiffFile) -> Layout:
    """Any other TIFF: full-size pages are planes, smaller ones of the same shape levels of the plane before them."""
    first, *others = as_pages(tif.pages)
    planes, left_out = [[first, *_reduced(first)]], 0
    for page in others:
        if page.shape == first.shape and not page.subfiletype & 1:
            planes.append([page, *_reduced(page)])
        elif _is_level(page, first):
            # The dual layout lists its levels in the page chain and as SubIFDs: take each once.
            if page.offset not in {known.offset for known in planes[-1]}:
                planes[-1].append(page)
        else:
            left_out += 1
    mpp_x, mpp_y = resolution_mpp(first)
    notes = (f"{left_out} further images of other shape were left out",) if left_out else ()
    metadata = SlideMetadata("TIFF", mpp_x, mpp_y, icc_profile=icc_profile(first), notes=notes)
    return Layout([by_width(pages) for pages in planes], [None] * len(planes), metadata)


def _reduced(page: tifffile.TiffPage) -> Pages:
    subpages = as_pages(page.pages or []) if page.subifds else []
    return [subpage for subpage in subpages if _is_level(subpage, page)]


def _is_level(page: tifffile.TiffPage, full: tifffile.TiffPage) -> bool:
    """Whether a page is a smaller image of the same thing: same kind of pixel, same aspect to within a pixel."""
    if (page.samplesperpixel, page.dtype) != (full.samplesperpixel, full.dtype) or page.imagewidth >= full.imagewidth:
        return False
    expected = full.imagelength * page.imagewidth / full.imagewidth
    return bool(abs(page.imagelength - expected) <= 1 + full.imagelength / full.imagewidth)
