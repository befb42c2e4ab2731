"""`DziTiles`: Deep Zoom tiles that were written, to be compared with what they were cut from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from planish.encoding import Encoding
from planish.errors import SlideError, WriteError
from planish.model import Box, Level
from planish.slide.base import Slide
from planish.slide.page import jpeg_encoding
from planish.slide.tiff import TiffSlide
from planish.write.jpeg import encode
from planish.write.pyramid import halve
from planish.write.verify import SAMPLE

TILE, OVERLAP = 254, 1
"""px: of a tile, and what it has of each neighbour; 256 together, as Deep Zoom has them by default."""
_HALVINGS = 2
"""Levels below the full size whose pixels are compared."""
_TOLERANCE = 1.0
"""Root mean square in grey levels between a tile and the meant pixels encoded with its own tables; per halving once
more, for the roundings of two ways to halve."""


@dataclass(frozen=True)
class DziTiles:
    """A folder of tiles.

    Attributes
    ----------
    folder : Path
        With a folder per level.
    width, height : int
        px of the full size.
    suffix : str
        ``.jpg`` or ``.png``.
    """

    folder: Path
    width: int
    height: int
    suffix: str

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The pyramid, full size first, down to one pixel."""
        levels, width, height = [], self.width, self.height
        while True:
            levels.append(Level(width, height, TILE, TILE, self.width / width, self.height / height))
            if width == height == 1:
                return tuple(levels)
            width, height = -(-width // 2), -(-height // 2)

    def level_folder(self, level: int) -> Path:
        """Return the folder of a level; Deep Zoom counts from the smallest."""
        return self.folder / str(len(self.levels) - 1 - level)

    def box(self, level: int, column: int, row: int) -> Box:
        """Return the box of a tile in level pixels, overlaps included."""
        size = self.levels[level]
        x, y = (max(0, index * TILE - OVERLAP) for index in (column, row))
        right, bottom = ((index + 1) * TILE + OVERLAP for index in (column, row))
        return Box(x, y, min(right, size.width) - x, min(bottom, size.height) - y)

    def data(self, level: int, column: int, row: int) -> bytes:
        """Return a tile's bytes."""
        return (self.level_folder(level) / f"{column}_{row}{self.suffix}").read_bytes()

    def encoding(self) -> Encoding:
        """Return how the tiles are compressed."""
        return jpeg_encoding(self.data(0, 0, 0)) or Encoding("deflate", "rgb")

    def size(self) -> int:
        """Return the bytes of all tiles."""
        return sum(Path(root, name).stat().st_size for root, _, names in os.walk(self.folder) for name in names)


def check_dzi(dzi: Path, tiles: DziTiles, flat: Path) -> int:
    """Compare a written pyramid with the TIFF it was cut from; return how many tiles were compared pixel by pixel.

    Raises
    ------
    WriteError
        Where it is not what was meant.
    """
    _check_description(dzi, tiles)
    for index, level in enumerate(tiles.levels):
        found, meant = sum(1 for _ in tiles.level_folder(index).iterdir()), level.columns * level.rows
        if found != meant:
            raise WriteError(f"{dzi}: level {index} has {found} tiles, meant were {meant}; write it again")
    generator, checked = np.random.default_rng(0), 0
    try:
        with TiffSlide(flat) as source:
            for index, level in enumerate(tiles.levels[: _HALVINGS + 1]):
                places = generator.permutation(level.columns * level.rows)[: max(1, SAMPLE >> 2 * index)]
                for place in np.sort(places).tolist():
                    row, column = divmod(place, level.columns)
                    _check_tile(dzi, tiles, source, (index, column, row))
                    checked += 1
    except SlideError as error:
        raise WriteError(f"{dzi}: does not read back ({error}); write it again, on another disk") from error
    return checked


def _check_description(dzi: Path, tiles: DziTiles) -> None:
    root = ElementTree.parse(dzi).getroot()
    size = next((each for each in root if each.tag.endswith("Size")), root)
    found = [root.get(key) for key in ("TileSize", "Overlap", "Format")] + [
        size.get(key) for key in ("Width", "Height")
    ]
    meant = [TILE, OVERLAP, tiles.suffix.strip("."), tiles.width, tiles.height]
    if found != [str(value) for value in meant]:
        raise WriteError(f"{dzi}: says {found}, meant was {meant}; write it again")


def _check_tile(dzi: Path, tiles: DziTiles, source: Slide, place: tuple[int, int, int]) -> None:
    level, column, row = place
    data, wanted = tiles.data(level, column, row), _meant(source, level, tiles.box(level, column, row))
    encoding = jpeg_encoding(data)
    if encoding is not None:
        wanted = _decoded(encode(wanted, encoding))
    found = _decoded(data)
    same = found.shape == wanted.shape and _distance(found, wanted) <= (_TOLERANCE if encoding else 0) + level
    if not same:
        raise WriteError(f"{dzi}: tile ({column}, {row}) of level {level} is not what was meant; write it again")


def _decoded(data: bytes) -> NDArray[Any]:
    pixels = np.asarray(imagecodecs.imread(data))
    return pixels.reshape(*pixels.shape[:2], -1)


def _meant(source: Slide, level: int, box: Box) -> NDArray[Any]:
    full, factor = source.levels[0], 2**level
    x, y = box.x * factor, box.y * factor
    width, height = min(box.width * factor, full.width - x), min(box.height * factor, full.height - y)
    pixels = source.read_region(0, 0, x, y, width, height)
    for _ in range(level):
        pixels = halve(pixels)
    return pixels


def _distance(first: NDArray[Any], second: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean((first.astype(np.float32) - second) ** 2)))
