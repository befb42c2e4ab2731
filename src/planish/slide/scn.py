"""Leica SCN: the XML of the first page says which page shows which scanned area, plane, channel and level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any
from xml.etree import ElementTree

import tifffile
from numpy.typing import NDArray

from planish.errors import SlideError
from planish.model import SlideMetadata
from planish.slide.layout import Layout, Pages, icc_profile, number, positive, resolution_mpp
from planish.slide.page import as_pages, read_page

_NM_PER_UM = 1000.0


@dataclass(frozen=True)
class _Area:
    """A scanned area: an ``<image>`` of the XML."""

    xml: ElementTree.Element

    def number(self, path: str, name: str) -> float | None:
        """Return a number that an element below states."""
        element = self.xml.find(path)
        return number(element.get(name)) if element is not None else None

    @cached_property
    def pages(self) -> dict[tuple[int, int, int], int]:
        """Number of the page of each (plane, level, channel)."""
        keys = [
            [int(each.get(name, 0)) for name in ("z", "r", "c", "ifd")] for each in self.xml.iterfind("*/dimension")
        ]
        return {(z, level, channel): page for z, level, channel, page in keys}

    @property
    def count(self) -> int:
        """Planes that the XML claims; scanners differ in where."""
        stated = (self.xml.get("sizeZ"), self.number("pixels", "sizeZ"))
        return max(1, *(int(number(value) or 1) for value in stated))

    @property
    def spacing_um(self) -> float | None:
        """Distance of planes."""
        nm = self.number("view", "spacingZ") or self.number("pixels", "spacingZ")
        return nm / _NM_PER_UM if nm and nm > 0 else None

    def mpp(self, axis: str) -> float | None:
        """Return µm per pixel."""
        nm, pixels = self.number("view", f"size{axis}"), self.number("pixels", f"size{axis}")
        return positive(nm / pixels / _NM_PER_UM) if nm and pixels else None

    def fills(self, collection: ElementTree.Element) -> bool:
        """Whether the area is the whole glass, which the macro shows."""
        same = all(self.number("view", f"size{axis}") == number(collection.get(f"size{axis}")) for axis in "XY")
        return same and not any(self.number("view", f"offset{axis}") for axis in "XY")


def scn_layout(tif: tifffile.TiffFile) -> Layout:
    """Sort a Leica SCN: scanned areas are scenes, the image of the whole glass is the macro.

    Raises
    ------
    SlideError
        Where the XML does not fit the pages.
    """
    root = ElementTree.fromstring(tif.pages.first.description)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    collection = root.find("collection")
    if collection is None or collection.find("image") is None:
        raise SlideError(f"{tif.filename}: its description names no image; export it again")
    areas = [_Area(image) for image in collection.findall("image")]
    macros = [area for area in areas if area.fills(collection)] if len(areas) > 1 else []
    numbers = {
        str(each.get("type", "")).lower(): int(each.get("ifd", 0)) for each in collection.iter("supplementalImage")
    }
    if macros and macros[0].pages:
        numbers["macro"] = macros[0].pages[min(macros[0].pages)]
    scenes = [area for area in areas if area not in macros]
    return _Slide(tif, scenes or areas, numbers).layout(0, 0)


@dataclass(frozen=True)
class _Slide:
    """The scanned areas of a file, and the pages of images beside them."""

    tif: tifffile.TiffFile
    areas: list[_Area]
    beside: dict[str, int]

    def layout(self, scene: int, time: int) -> Layout:
        """Return the layout of a scanned area."""
        area = self.areas[scene]
        planes = self._planes(area)
        step, tagged = area.spacing_um, resolution_mpp(planes[0][0][0])
        metadata = SlideMetadata(
            format="SCN",
            mpp_x=area.mpp("X") or tagged[0],
            mpp_y=area.mpp("Y") or tagged[1],
            objective_power=positive(area.xml.findtext("scanSettings/objectiveSettings/objective")),
            icc_profile=icc_profile(planes[0][0][0]),
            vendor="leica",
        )
        channels = sorted(area.xml.iter("channel"), key=lambda each: int(each.get("index", 0)))
        return Layout(
            planes,
            [None if step is None else index * step for index in range(len(planes))],
            metadata,
            tuple(channel.get("name") or str(index) for index, channel in enumerate(channels)) or None,
            {name: self._loader(page) for name, page in self.beside.items() if name},
            scenes=tuple(each.xml.get("name") or str(index) for index, each in enumerate(self.areas)),
            part=self.layout,
        )

    def _planes(self, area: _Area) -> list[list[Pages]]:
        levels, channels = (sorted({key[place] for key in area.pages}) for place in (1, 2))
        wanted = [(z, level, channel) for z in range(area.count) for level in levels for channel in channels]
        absent = [key for key in wanted if key not in area.pages]
        last = max(area.pages.values(), default=-1)
        if absent or not wanted or len(area.pages) > len(wanted) or last >= len(self.tif.pages):
            raise SlideError(
                f"{self.tif.filename}: its description claims {area.count} planes of {len(levels)} levels and "
                f"{len(channels)} channels, but names {len(area.pages)} images, of which {len(self.tif.pages)} are "
                "there at most; export it again"
            )
        pages = iter(as_pages(self.tif.pages[area.pages[key]] for key in wanted))
        return [[[next(pages) for _ in channels] for _ in levels] for _ in range(area.count)]

    def _loader(self, page: int) -> Callable[[], NDArray[Any]]:
        return partial(_read, self.tif, page)


def _read(tif: tifffile.TiffFile, page: int) -> NDArray[Any]:
    return read_page(as_pages([tif.pages[page]])[0])
