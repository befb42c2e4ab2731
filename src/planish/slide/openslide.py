"""Vendor formats through OpenSlide, as one plane; a file known to hold more planes is refused."""

from __future__ import annotations

import configparser
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openslide
from numpy.typing import NDArray

from planish.errors import SlideError, TileError, UnsupportedSlide
from planish.model import Level, Plane, SlideMetadata
from planish.slide.base import Associated, Slide, Source
from planish.slide.bytefile import TIFF_MAGIC
from planish.slide.foreign import reason
from planish.slide.layout import positive
from planish.slide.page import as_pages
from planish.slide.tiff import open_tiff

_FALLBACK_TILE = 256


class OpenSlideSlide(Slide):
    """Any slide that OpenSlide opens, with the one plane that OpenSlide sees."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        assert isinstance(source, Path)
        refuse_hidden_planes(source)
        try:
            self._slide = openslide.OpenSlide(source)
        except openslide.OpenSlideError as error:
            raise UnsupportedSlide(
                f"{source}: OpenSlide cannot open it ({error}); if it holds focal planes, export them as OME-TIFF, "
                "or as one file per plane in a folder"
            ) from error
        self._closed = False
        properties = self._slide.properties
        self.levels = tuple(self._level(index) for index in range(self._slide.level_count))
        self.planes = (Plane(0),)
        self.dtype = np.dtype(np.uint8)
        self.channels = ("R", "G", "B")
        mpp_x, mpp_y, power = (
            positive(properties.get(f"openslide.{key}")) for key in ("mpp-x", "mpp-y", "objective-power")
        )
        vendor = properties.get("openslide.vendor")
        icc = getattr(self._slide, "color_profile", None)
        self.metadata = SlideMetadata(
            format=vendor or "OpenSlide",
            mpp_x=mpp_x,
            mpp_y=mpp_y,
            objective_power=power,
            icc_profile=icc.tobytes() if icc else None,
            vendor=vendor,
            notes=("read through OpenSlide, which shows one plane",),
        )
        background = properties.get("openslide.background-color") or "ffffff"
        self._background = np.array([int(background[place : place + 2], 16) for place in (0, 2, 4)], np.uint16)
        names = self._slide.associated_images
        self.associated = Associated({name: partial(self._associated, name) for name in names})

    def _level(self, index: int) -> Level:
        (width, height), (full_width, full_height) = self._slide.level_dimensions[index], self._slide.dimensions
        tile_width, tile_height = (
            int(self._slide.properties.get(f"openslide.level[{index}].tile-{side}", _FALLBACK_TILE))
            for side in ("width", "height")
        )
        if tile_width > 1024 or tile_height > 1024:
            tile_width = tile_height = _FALLBACK_TILE
        return Level(width, height, tile_width, tile_height, full_width / width, full_height / height)

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        self._refuse_closed()
        grid = self.levels[level]
        x, y, width, height = grid.tile_box(column, row)
        origin = (round(x * grid.downsample_x), round(y * grid.downsample_y))
        try:
            return self._flatten(self._slide.read_region(origin, level, (width, height)))
        except openslide.OpenSlideError as error:
            raise TileError(
                f"{self.source}: tile ({column}, {row}) of level {level} cannot be read ({error})"
            ) from error

    def _refuse_closed(self) -> None:
        if self._closed:
            raise SlideError(f"{self.source}: read after closing; open it again")

    def _associated(self, name: str) -> NDArray[Any]:
        self._refuse_closed()
        return self._flatten(self._slide.associated_images[name])

    def _flatten(self, image: Any) -> NDArray[Any]:
        """Lay the RGBA image over the slide's background colour."""
        pixels = np.asarray(image)
        alpha = pixels[..., 3:].astype(np.uint16)
        if alpha.min() == 255:
            return np.ascontiguousarray(pixels[..., :3])
        mixed = (pixels[..., :3] * alpha + self._background * (255 - alpha) + 127) // 255
        return mixed.astype(np.uint8)

    def close(self) -> None:
        """Close the slide."""
        self._closed = True
        self._slide.close()


def refuse_hidden_planes(path: Path) -> None:
    """Raise UnsupportedSlide where the file is known to hold more planes than OpenSlide shows."""
    planes = 1
    if path.suffix.lower() == ".mrxs":
        planes = _mirax_planes(path.with_suffix("") / "Slidedat.ini")
    elif _starts_like_tiff(path):
        planes = _tiff_planes(path)
    if planes > 1:
        raise UnsupportedSlide(
            f"{path}: holds {planes} focal planes, of which OpenSlide shows one; "
            "export them as OME-TIFF, or as one file per plane in a folder"
        )


def _starts_like_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in TIFF_MAGIC


def _mirax_planes(index: Path) -> int:
    """Return the number of focus levels in a MIRAX index file; 1 where it says none."""
    if not index.is_file():
        return 1
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        parser.read_string(index.read_text(encoding="utf-8-sig", errors="replace"))
        section = parser["HIERARCHICAL"]
        for key, value in section.items():
            if value.strip().lower() == "microscope focus level":
                return int(section.get(key.replace("_name", "_count"), "1"))
    except (configparser.Error, KeyError, ValueError) as error:
        raise SlideError(f"{index}: damaged index ({error}); copy the slide's folder again") from error
    return 1


def _tiff_planes(path: Path) -> int:
    """Return the planes that a vendor's TIFF claims: Leica by ``sizeZ``, Ventana by tag 32997, Philips by its pages."""
    with open_tiff(path) as tif:
        try:
            page = tif.pages.first
            depth = int(page.imagedepth)
            if tif.is_scn:
                depth = max([depth, *map(int, re.findall(r'sizeZ="(\d+)"', page.description))])
            if tif.is_philips:
                depth = max(depth, sum(other.shape == page.shape for other in as_pages(tif.pages)))
        except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
            raise SlideError(f"{path}: its TIFF structure is damaged ({reason(error)}); export it again") from error
    return depth
