"""OME-TIFF: the XML says which page is which plane and channel, SubIFDs hold the pyramid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile
from numpy.typing import NDArray

from planish.errors import OptionError, SlideError
from planish.model import Missing, SlideMetadata
from planish.slide.layout import ASSOCIATED, Layout, icc_profile, number, positive, resolution_mpp
from planish.slide.page import as_pages, read_page
from planish.slide.series import UM_PER_UNIT, series_planes, series_times

_ASSOCIATED = re.compile(rf"({'|'.join(ASSOCIATED)})( image)?", re.IGNORECASE)


@dataclass(frozen=True)
class _Image:
    """An image of the file: what the XML says, and its pages."""

    xml: ElementTree.Element
    series: tifffile.TiffPageSeries

    @property
    def name(self) -> str:
        return self.xml.get("Name") or ""


def ome_layout(tif: tifffile.TiffFile) -> Layout:
    """Sort an OME-TIFF by its XML: the first image is shown, others but label, macro and thumbnail are scenes.

    Raises
    ------
    SlideError
        Where the XML does not fit the images, or files of the set are missing.
    """
    main, *others = tif.series
    xml = _images(tif.ome_metadata or "")
    if xml and (main.kind == "generic" or None in main.pages):
        _refuse_missing_files(tif, xml[0])
    if not xml or main.kind == "generic":
        raise SlideError(
            f"{tif.filename}: its OME-XML does not describe its images, or stands in another file; export it again"
        )
    scenes, associated = [_Image(xml[0], main)], {}
    for image in map(_Image, xml[1:], others):
        if beside := _ASSOCIATED.fullmatch(image.name.strip()):
            associated[beside[1].lower()] = image
        else:
            scenes.append(image)
    return _Parts(tif, scenes, associated, max(0, len(others) + 1 - len(xml))).layout(0, 0)


@dataclass(frozen=True)
class _Parts:
    """An OME-TIFF's images, and how many of its series the XML does not speak of."""

    tif: tifffile.TiffFile
    scenes: list[_Image]
    associated: dict[str, _Image]
    unknown: int

    def layout(self, scene: int, time: int) -> Layout:
        """Return the layout of a scene and time point."""
        xml, series = self.scenes[scene].xml, self.scenes[scene].series
        if time >= series_times(series):
            raise OptionError(f"{self.tif.filename}: scene {scene} has no time point {time}")
        planes = series_planes(self.tif, series, time)
        first = planes[0][0][0]
        mpp_x, mpp_y = (_length(xml, f"PhysicalSize{axis}") for axis in "XY")
        tagged = resolution_mpp(first)
        metadata = SlideMetadata(
            format="OME-TIFF",
            mpp_x=mpp_x or tagged[0],
            mpp_y=mpp_y or tagged[1],
            objective_power=_objective(self.tif.ome_metadata or "", xml),
            icc_profile=icc_profile(first),
            notes=(Missing(f"{self.unknown} further images were left out"),) if self.unknown else (),
        )
        return Layout(
            planes,
            _z_um(xml, len(planes), time),
            metadata,
            _channels(xml),
            {name: partial(_read_whole, image) for name, image in self.associated.items()},
            scenes=tuple(image.name or str(index) for index, image in enumerate(self.scenes)),
            times=max(series_times(image.series) for image in self.scenes),
            part=self.layout,
        )


def _read_whole(image: _Image) -> NDArray[Any]:
    return read_page(as_pages([image.series[0]])[0])


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


def _z_um(image: ElementTree.Element, count: int, time: int) -> list[float | None]:
    """Z of each plane at a time point in the order of TheZ: its position where all have one, else by the spacing.

    Positions without a length as unit (``reference frame``, ``pixel``) only order the planes; one and the same for all
    planes is the stage's.
    """
    places: dict[int, tuple[float, float | None]] = {}
    for plane in image.iter("Plane"):
        value = number(plane.get("PositionZ"))
        if value is not None and int(plane.get("TheT", 0)) == time:
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


def _objective(text: str, image: ElementTree.Element) -> float | None:
    """Return the magnification of the objective that an image refers to, or of the first."""
    settings = image.find("ObjectiveSettings")
    found = ElementTree.fromstring(text).findall(".//{*}Objective")
    named = [each for each in found if settings is not None and each.get("ID") == settings.get("ID")]
    return positive((named or found)[0].get("NominalMagnification")) if found else None
