"""`ServedPlane`: one plane, or the best of all, as tiles and regions in JPEG and PNG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.fuse.blocks import BlockCache
from planish.fuse.flat import FlatSlide
from planish.fuse.plan import Plan
from planish.model import Box, Level
from planish.report.thumbnail import encode_png
from planish.serve.display import Stretch
from planish.serve.geometry import SLOWER, Grid, check_cost, rungs
from planish.slide.base import Slide
from planish.write.encode import JpegTiles, choose_encoder
from planish.write.jpeg import encode, standard_encoding
from planish.write.levels import plan_levels
from planish.write.pyramid import halve

QUALITY = 90
"""Of regions, of associated images, and of pixels that are stretched; tiles have the slide's own tables."""
HALVED_BYTES = 16 << 20
"""Of tiles of levels that the slide lacks, kept for each plane."""
_WHITE = 128
"""From here on, where there are black and white only."""


class Made(NamedTuple):
    """A picture: its bytes, and how they came about (see `planish.serve.wanted.Reply`)."""

    body: bytes
    how: str


@dataclass(frozen=True, slots=True)
class Look:
    """How a region is shown: of which size in px, mirrored, then turned clockwise by a multiple of 90°.

    `quality` is ``color``, ``gray`` or ``bitonal``, as IIIF calls them.
    """

    width: int
    height: int
    mirror: bool = False
    rotation: int = 0
    quality: str = "color"
    png: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is shown as tiles are."""
        return not (self.mirror or self.rotation % 360 or self.quality != "color" or self.png)


class ServedPlane:
    """One plane as pictures; what can be copied out of the slide is, the rest is what `planish flatten` would write.

    Parameters
    ----------
    slide : Slide
        Of one plane. Not closed by this.
    stretch : Stretch or None
        For pixels that are not 8-bit grey or RGB.

    Memory: 16 MiB of halved tiles, and a region's pixels: at most 64 Mpx of them.
    """

    def __init__(self, slide: Slide, stretch: Stretch | None = None) -> None:
        self._slide, self._stretch = slide, stretch
        plan = plan_levels(slide)
        self.grid = Grid.of(plan)
        self._rungs = rungs(slide.levels, plan, self.grid)
        self._encoder = _encoder(slide, stretch)
        encoding = slide.encoding(0, 0)
        self._slower = SLOWER.get(encoding.codec, 1) if encoding else 1
        self._copied = [self._copyable(step) for step in range(self.grid.levels)]
        self._halved = BlockCache(HALVED_BYTES)
        self._plan = Plan.of(slide.focus, slide.focus.recipe) if isinstance(slide, FlatSlide) else None

    def tile(self, level: int, column: int, row: int) -> Made:
        """Return a DZI tile as JPEG.

        The bytes of inner tiles are those of the slide's own tile, or of the one that `planish flatten` would write;
        tiles at the right and lower edge are cropped, and encoded with the same tables.

        Raises
        ------
        Refused
            Where there is no such tile, or too much would have to be decoded for it.
        """
        box = self.grid.tile_box(level, column, row)
        step = self.grid.last - level
        source = self._copied[step]
        if source is not None and self._is_whole(step, box):
            tile = self._slide.encoded_tile(source, 0, column, row)
            # A JFIF header would turn RGB into something else on its own.
            if tile is not None and not (tile.color == "rgb" and b"JFIF" in tile.data[:32]):
                return Made(tile.whole, "copied")
        pixels = self._read(step, box)
        shown = self._stretch.apply(pixels) if self._stretch else pixels
        return Made(self._encoder.encode(shown, b""), self._how(step, box))

    def region(self, box: Box, look: Look) -> Made:
        """Return a box in level-0 pixels as JPEG or PNG of a size that is asked for.

        Raises
        ------
        Refused
            Where it is not inside the slide, or the picture is too large.
        """
        level = self.grid.level_for(box, look.width, look.height)
        place = self.grid.tile_of(box, look.width, look.height) if look.plain else None
        if place is not None:
            return self.tile(*place)
        step, inside = self.grid.last - level, self.grid.scaled(box, level)
        pixels = self._read(step, inside)
        shown = self._stretch.apply(pixels) if self._stretch else pixels
        return Made(_drawn(shown, look), self._how(step, inside))

    def _copyable(self, step: int) -> int | None:
        """Return the level of the slide whose tiles are those of a step, None where there is none of such JPEGs."""
        source = self._rungs[step].source
        if source is None or self._stretch:
            return None
        level, encoding = self._slide.levels[source], self._slide.encoding(source, 0)
        same = (level.tile_width, level.tile_height) == (self.grid.tile, self.grid.tile)
        alike = encoding is not None and encoding.codec == "jpeg" and encoding.alike(self._encoder.encoding)
        return source if same and alike else None

    def _is_whole(self, step: int, box: Box) -> bool:
        rung, tile = self._rungs[step], self.grid.tile
        return box.width == box.height == tile and box.x + tile <= rung.width and box.y + tile <= rung.height

    def _read(self, step: int, box: Box) -> NDArray[Any]:
        """Return the pixels of a box of a DZI level; the last ones are repeated where the slide's level is smaller."""
        check_cost(self._rungs, step, box, self._slower)
        rung = self._rungs[step]
        x, y = min(box.x, rung.width - 1), min(box.y, rung.height - 1)
        width, height = min(box.x + box.width, rung.width) - x, min(box.y + box.height, rung.height) - y
        pixels = self._rung_pixels(step, Box(x, y, max(1, width), max(1, height)))
        missing = (box.height - pixels.shape[0], box.width - pixels.shape[1])
        return np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else pixels

    def _rung_pixels(self, step: int, box: Box) -> NDArray[Any]:
        rung = self._rungs[step]
        if rung.source is not None:
            return self._slide.read_region(rung.source, 0, *box)
        level = Level(rung.width, rung.height, self.grid.tile, self.grid.tile)
        pixels = np.empty((box.height, box.width, len(self._slide.channels)), self._slide.dtype)
        for row in range(box.y // level.tile_height, -(-(box.y + box.height) // level.tile_height)):
            for column in range(box.x // level.tile_width, -(-(box.x + box.width) // level.tile_width)):
                _lay(self._half(step, level.tile_box(column, row)), level.tile_box(column, row), pixels, box)
        return pixels

    def _half(self, step: int, box: Box) -> NDArray[Any]:
        """Return a tile of a rung that is halved."""
        above = self._rungs[step - 1]
        x, y = 2 * box.x, 2 * box.y
        twice = Box(x, y, min(2 * box.width, above.width - x), min(2 * box.height, above.height - y))
        return self._halved.get((step, box), lambda: halve(self._rung_pixels(step - 1, twice)))

    def _how(self, step: int, box: Box) -> str:
        """Return whether pixels of several planes went into a box."""
        if self._plan is None:
            return "decoded"
        above = next(index for index in range(step, -1, -1) if self._rungs[index].source is not None)
        level, scale = self._slide.levels[self._rungs[above].source or 0], 1 << step - above
        x, y = min(box.x * scale, level.width - 1), min(box.y * scale, level.height - 1)
        width, height = min(box.width * scale, level.width - x), min(box.height * scale, level.height - y)
        pieces = list(self._plan.pieces(level, Box(x, y, width, height)))
        several = len({piece.plane for piece in pieces}) > 1 or any(piece.composed for piece in pieces)
        return "composed" if several else "decoded"


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Return (height, width, 1 or 3) pixels as a JPEG without chroma subsampling."""
    return encode(pixels, standard_encoding(QUALITY, "gray" if pixels.shape[2] == 1 else "ycbcr", (1, 1)))


def _encoder(slide: Slide, stretch: Stretch | None) -> JpegTiles:
    """Return the encoder that `planish flatten` takes; stretched pixels are looked at, only."""
    if stretch:
        colour = "ycbcr" if len(slide.channels) == 3 else "gray"
        return JpegTiles(standard_encoding(QUALITY, colour, (1, 1)))
    chosen = choose_encoder(slide, None)
    assert isinstance(chosen, JpegTiles), "8-bit grey and RGB become JPEG"
    return chosen


def _lay(tile: NDArray[Any], place: Box, pixels: NDArray[Any], box: Box) -> None:
    """Copy what a tile and a box share to the pixels of the box."""
    left, top = max(place.x, box.x), max(place.y, box.y)
    right = min(place.x + tile.shape[1], box.x + box.width)
    lower = min(place.y + tile.shape[0], box.y + box.height)
    part = tile[top - place.y : lower - place.y, left - place.x : right - place.x]
    pixels[top - box.y : lower - box.y, left - box.x : right - box.x] = part


def _drawn(pixels: NDArray[Any], look: Look) -> bytes:
    """Return pixels scaled, mirrored and turned, as a file."""
    if look.quality != "color" and pixels.shape[2] == 3:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)[..., None]
    if pixels.shape[:2] != (look.height, look.width):
        shrinks = pixels.shape[0] >= look.height and pixels.shape[1] >= look.width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        channels = pixels.shape[2]
        pixels = cv2.resize(pixels, (look.width, look.height), interpolation=how)
        pixels = pixels.reshape(look.height, look.width, channels)
    if look.quality == "bitonal":
        pixels = np.where(pixels < _WHITE, np.uint8(0), np.uint8(255))
    if look.mirror:
        pixels = pixels[:, ::-1]
    pixels = np.ascontiguousarray(np.rot90(pixels, -(look.rotation // 90)))
    if look.png:
        return encode_png(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return jpeg(pixels)
