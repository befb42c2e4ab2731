"""Vendor formats through OpenSlide, as one plane; what a file says of further planes is refused or said."""

from __future__ import annotations

import configparser
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openslide
from numpy.typing import NDArray

from planish.errors import SlideError, TileError, UnsupportedSlide
from planish.model import Level, Missing, Plane, SlideMetadata
from planish.slide.base import Associated, Slide, Source
from planish.slide.bytefile import TIFF_MAGIC
from planish.slide.foreign import reason
from planish.slide.layout import positive
from planish.slide.opentiff import open_tiff
from planish.slide.page import as_pages

_FALLBACK_TILE = 256
_FOCUS_LAYER, _EXTENDED = "microscope focus level", "extended_focus_level"
"""As Slidedat.ini names them."""
_NONE = ("", "-1", "false", "no", "none")


class OpenSlideSlide(Slide):
    """Any slide that OpenSlide opens, with the one plane that OpenSlide sees."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        assert isinstance(source, Path)
        further = hidden_planes(source)
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
            notes=(Missing("read through OpenSlide, which shows one plane"), *further),
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


def hidden_planes(path: Path) -> tuple[str, ...]:
    """Say which planes OpenSlide does not show, for notes.

    Raises
    ------
    UnsupportedSlide
        Where it would show one of several planes, and which one is not known.
    """
    if path.suffix.lower() == ".mrxs":
        return _mirax_planes(path.with_suffix("") / "Slidedat.ini")
    if _starts_like_tiff(path):
        _refuse_tiff_planes(path)
    return ()


def _starts_like_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in TIFF_MAGIC


def _mirax_planes(index: Path) -> tuple[str, ...]:
    """Say which focus levels a MIRAX index file lists; OpenSlide shows the one that the scanner calls zero."""
    if not index.is_file():
        return ()
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        parser.read_string(index.read_text(encoding="utf-8-sig", errors="replace"))
        section = parser["HIERARCHICAL"]
        layer = next((key for key, value in section.items() if value.strip().lower() == _FOCUS_LAYER), None)
        if layer is None:
            return ()
        stem = layer.removesuffix("_name")
        count = int(section.get(f"{stem}_count", "1"))
        merged = any(
            _EXTENDED in key and value.strip().lower() not in _NONE
            for each in parser.values()
            for key, value in each.items()
        )
    except (configparser.Error, KeyError, ValueError) as error:
        raise SlideError(f"{index}: damaged index ({error}); copy the slide's folder again") from error
    focal = f"{count} focus levels are listed, of which only the base level is read" if count > 1 else ""
    own = "the scanner's own extended-focus level is not read" if merged else ""
    return tuple(Missing(note) for note in (focal, own) if note)


def _refuse_tiff_planes(path: Path) -> None:
    """Raise where a vendor's TIFF claims planes: Ventana by tag 32997, Philips by its pages."""
    with open_tiff(path) as tif:
        try:
            page = tif.pages.first
            depth, why = int(page.imagedepth), "whose tiles must be stitched by rules that no sample at hand shows"
            if tif.is_philips and depth == 1:
                depth = sum(other.shape == page.shape for other in as_pages(tif.pages))
                why = "of which OpenSlide shows one"
        except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
            raise SlideError(f"{path}: its TIFF structure is damaged ({reason(error)}); export it again") from error
    if depth > 1:
        raise UnsupportedSlide(
            f"{path}: holds {depth} focal planes, {why}; export them as OME-TIFF, or as one file per plane in a folder"
        )
