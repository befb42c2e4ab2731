"""OME-TIFF: the XML says which page is which plane and channel, SubIFDs hold the pyramid."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile
from numpy.typing import NDArray

from planish.errors import SlideError
from planish.model import SlideMetadata
from planish.slide.layout import Layout, icc_profile, number, positive, resolution_mpp
from planish.slide.page import as_pages, read_page
from planish.slide.series import UM_PER_UNIT, series_planes

_ASSOCIATED = ("label", "macro", "thumbnail")


def ome_layout(tif: tifffile.TiffFile) -> Layout:
    """Sort an OME-TIFF by its XML.

    Raises
    ------
    SlideError
        Where the XML does not fit the images, or files of the set are missing.
    UnsupportedSlide
        Where it has several time points, which a flat slide cannot show.
    """
    main, *others = tif.series
    text = tif.ome_metadata or ""
    images = _images(text)
    if images and (main.kind == "generic" or None in main.pages):
        _refuse_missing_files(tif, images[0])
    if not images or main.kind == "generic":
        raise SlideError(
            f"{tif.filename}: its OME-XML does not describe its images, or stands in another file; export it again"
        )
    xml = images[0]
    planes = series_planes(tif)
    associated: dict[str, Callable[[], NDArray[Any]]] = {}
    further = 0
    for image, series in zip_longest(images[1:], others):
        if series is None:
            break
        name = (image.get("Name") or "").lower() if image is not None else ""
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
        objective_power=_objective(text),
        icc_profile=icc_profile(first),
        notes=(f"{further} further images were left out",) if further else (),
    )
    return Layout(planes, _z_um(xml, len(planes)), metadata, _channels(xml), associated)


def _refuse_missing_files(tif: tifffile.TiffFile, image: ElementTree.Element) -> None:
    """Raise SlideError where a file of the set is not beside the first one."""
    names = dict.fromkeys(uuid.get("FileName") for uuid in image.iterfind("Pixels/TiffData/UUID"))
    folder = Path(tif.filehandle.path).parent
    missing = [name for name in names if name and not (folder / name).is_file()]
    if missing:
        named = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        raise SlideError(
            f"{tif.filename}: its planes lie in {len(names)} files, but not beside it: {named}; "
            "copy all files of the set into one folder"
        )


def _images(text: str) -> list[ElementTree.Element]:
    if not text:
        return []
    root = ElementTree.fromstring(text)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root.findall("Image")


def _length(image: ElementTree.Element, name: str) -> float | None:
    """Return a length that the image's pixels state, in µm."""
    pixels = image.find("Pixels")
    value = positive(pixels.get(name)) if pixels is not None else None
    scale = UM_PER_UNIT.get(pixels.get(f"{name}Unit", "µm")) if pixels is not None else None
    return value * scale if value and scale else None


def _z_um(image: ElementTree.Element, count: int) -> list[float | None]:
    """Z of each plane in the order of TheZ: its position where all have one, else the spacing times its index.

    Positions without a length as unit (``reference frame``, ``pixel``) only order the planes; one and the same for all
    planes is the stage's.
    """
    places: dict[int, tuple[float, float | None]] = {}
    for plane in image.iter("Plane"):
        value = number(plane.get("PositionZ"))
        if value is not None:
            unit = plane.get("PositionZUnit", "µm")
            places.setdefault(int(plane.get("TheZ", 0)), (value, UM_PER_UNIT.get(unit)))
    if count > 1 and len(set(places.values())) == 1:
        places = {}
    if not places:
        order = list(range(count))
    elif set(range(count)) <= set(places):
        scaled = [value * scale for value, scale in (places[index] for index in range(count)) if scale]
        if len(scaled) == count:
            return [*scaled]
        order = sorted(range(count), key=lambda index: places[index][0])
    else:
        return [None] * count
    step = _length(image, "PhysicalSizeZ")
    return [None if step is None else order.index(index) * step for index in range(count)]


def _channels(image: ElementTree.Element) -> tuple[str, ...] | None:
    found = image.findall("Pixels/Channel")
    names = tuple(channel.get("Name") or str(index) for index, channel in enumerate(found))
    return names or None


def _objective(text: str) -> float | None:
    found = ElementTree.fromstring(text).find(".//{*}Objective") if text else None
    return positive(found.get("NominalMagnification")) if found is not None else None
