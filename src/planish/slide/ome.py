"""OME-TIFF: the XML says which page is which plane and channel, SubIFDs hold the pyramid."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from planish.errors import UnsupportedSlide
from planish.model import SlideMetadata
from planish.slide.layout import Layout, icc_profile, resolution_mpp
from planish.slide.page import as_pages, read_page

_UNITS = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
"""µm per unit of length; the micro sign and the Greek mu are both in use."""
_ASSOCIATED = ("label", "macro", "thumbnail")


def ome_layout(tif: tifffile.TiffFile) -> Layout:
    """Sort an OME-TIFF by its XML.

    Raises
    ------
    UnsupportedSlide
        Where it has several time points, which a flat slide cannot show.
    """
    main, *others = tif.series
    images = _images(tif.ome_metadata or "")
    xml = images[0] if images else None
    sizes = dict(zip(main.get_axes(squeeze=False), main.get_shape(squeeze=False), strict=True))
    if sizes.get("T", 1) > 1:
        raise UnsupportedSlide(f"{tif.filename}: holds {sizes['T']} time points; split it into one file each")
    plane_axis = next((axis for axis in "ZQI" if sizes.get(axis, 1) > 1), "Z")
    planes = _planes(main, sizes, plane_axis)
    associated: dict[str, Callable[[], NDArray[Any]]] = {}
    further = 0
    for image, series in zip_longest(images[1:], others):
        if series is None:
            break
        name = image.get("Name", "").lower() if image is not None else ""
        if name in _ASSOCIATED:
            associated[name] = partial(read_page, as_pages(series.pages)[0])
        else:
            further += 1
    first = planes[0][0][0]
    mpp_x, mpp_y = (_length(xml, f"PhysicalSize{axis}") for axis in "XY")
    tagged = resolution_mpp(first)
    metadata = SlideMetadata(
        format="OME-TIFF",
        mpp_x=mpp_x or tagged[0],
        mpp_y=mpp_y or tagged[1],
        objective_power=_objective(tif.ome_metadata or ""),
        icc_profile=icc_profile(first),
        notes=(f"{further} further images were left out",) if further else (),
    )
    return Layout(planes, _z_um(xml, len(planes)), metadata, _channels(xml), associated)


def _planes(series: tifffile.TiffPageSeries, sizes: dict[str, int], plane_axis: str) -> list[list[Any]]:
    """Return [plane][level] -> pages, one per channel that lies in pages of its own."""
    page_axes = [axis for axis in sizes if axis in f"{plane_axis}C" and sizes[axis] > 1]
    planes: list[list[Any]] = [[] for _ in range(sizes.get(plane_axis, 1))]
    for level in series.levels:
        pages = as_pages(level.pages)
        # Channels of one page (planar or contiguous samples) are no pages of their own.
        grid = [axis for axis in page_axes if axis == plane_axis or len(pages) > sizes.get(plane_axis, 1)]
        indices = np.arange(len(pages)).reshape([sizes[axis] for axis in grid] or [1])
        if plane_axis not in grid:
            indices = indices[None]
        elif grid[0] != plane_axis:
            indices = np.moveaxis(indices, grid.index(plane_axis), 0)
        for plane, row in zip(planes, indices.reshape(len(planes), -1), strict=True):
            plane.append([pages[index] for index in row])
    return planes


def _images(text: str) -> list[ElementTree.Element]:
    if not text:
        return []
    root = ElementTree.fromstring(text)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root.findall("Image")


def _length(image: ElementTree.Element | None, name: str, element: str = "Pixels") -> float | None:
    found = image.find(element) if image is not None else None
    return _um(found, name) if found is not None else None


def _um(element: ElementTree.Element, name: str) -> float | None:
    value = element.get(name)
    scale = _UNITS.get(element.get(f"{name}Unit", "µm"))
    return float(value) * scale if value and scale else None


def _z_um(image: ElementTree.Element | None, count: int) -> list[float | None]:
    """Z of each plane in the order of TheZ: its position, else the spacing times its index."""
    positions: dict[int, float] = {}
    for plane in image.iter("Plane") if image is not None else ():
        z = _um(plane, "PositionZ")
        if z is not None:
            positions.setdefault(int(plane.get("TheZ", 0)), z)
    if len(set(positions.values())) == count:
        return [positions[index] for index in range(count)]
    step = _length(image, "PhysicalSizeZ")
    return [None if step is None else index * step for index in range(count)]


def _channels(image: ElementTree.Element | None) -> tuple[str, ...] | None:
    found = image.findall("Pixels/Channel") if image is not None else []
    names = tuple(channel.get("Name") or str(index) for index, channel in enumerate(found))
    return names or None


def _objective(text: str) -> float | None:
    found = ElementTree.fromstring(text).find(".//{*}Objective") if text else None
    power = found.get("NominalMagnification") if found is not None else None
    return float(power) if power else None
