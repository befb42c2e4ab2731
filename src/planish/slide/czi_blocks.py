"""`Blocks`: where the sub-blocks of a CZI lie, and which pyramid they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from planish.model import Box, Level, Missing
from planish.slide.czi_directory import COLUMNS
from planish.slide.page import MAX_CHUNK, MIN_CHUNK, VIRTUAL_TILE

_RASTER = 512
"""Cells along the longer side in which a mosaic's gaps are looked for."""
_WHOLE = 0.99
"""Part of the full-size mosaic that a pyramid level must cover."""


class Named(Protocol):
    """A channel, as far as notes speak of it."""

    @property
    def number(self) -> int:
        """Its coordinate C."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def background(self) -> str:
        """How its gaps are shown."""


@dataclass(frozen=True)
class Blocks:
    """Sub-blocks of a CZI, a row each.

    Attributes
    ----------
    rows : ndarray of int64
        (blocks, `planish.slide.czi_directory.COLUMNS`).
    """

    rows: NDArray[np.int64]

    def __getitem__(self, column: str) -> NDArray[np.int64]:
        return np.asarray(self.rows[:, COLUMNS.index(column)])

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, **values: int) -> Blocks:
        """Return the blocks with these values, by column."""
        kept = np.ones(len(self), bool)
        for column, value in values.items():
            kept &= self[column] == value
        return Blocks(self.rows[kept])

    def touching(self, region: Box) -> Blocks:
        """Return the blocks that share pixels with a region of the file."""
        across = (self["x"] < region.x + region.width) & (self["x"] + self["width"] > region.x)
        down = (self["y"] < region.y + region.height) & (self["y"] + self["height"] > region.y)
        return Blocks(self.rows[across & down])

    def values(self, column: str) -> list[int]:
        """Return the different values of a column, lowest first."""
        return sorted(set(self[column].tolist()))

    @cached_property
    def downsamples(self) -> NDArray[np.int64]:
        """Level-0 pixels per stored pixel, of each block."""
        # Blocks at an edge are rounded to whole pixels, the longer side by less.
        longer = np.maximum(self["width"], self["height"])
        stored = np.maximum(self["stored_width"], self["stored_height"])
        return np.maximum(np.rint(longer / np.maximum(stored, 1)), 1).astype(np.int64)

    def at(self, downsample: int) -> Blocks:
        """Return the blocks of one pyramid level."""
        return Blocks(self.rows[self.downsamples == downsample])

    @cached_property
    def images(self) -> Counter[tuple[int, int]]:
        """How many blocks each (plane, channel) has."""
        return Counter(zip(self["Z"].tolist(), self["C"].tolist(), strict=True))

    def fullest(self) -> Blocks:
        """Return the blocks of the plane and channel that has most, the lowest where several have."""
        most = max(self.images.values())
        z, channel = min(image for image, count in self.images.items() if count == most)
        return self.where(Z=z, C=channel)

    @property
    def box(self) -> Box:
        """The smallest rectangle around all blocks; it may start below zero."""
        left, top = int(self["x"].min()), int(self["y"].min())
        right, bottom = int((self["x"] + self["width"]).max()), int((self["y"] + self["height"]).max())
        return Box(left, top, right - left, bottom - top)

    def raster(self, box: Box) -> NDArray[np.bool_]:
        """Return which cells of a grid over `box` have a pixel in their middle, (rows, columns)."""
        step = max(1, -(-max(box.width, box.height) // _RASTER))
        cells = np.zeros((-(-box.height // step), -(-box.width // step)), bool)
        left, top = self["x"] - box.x, self["y"] - box.y
        edges = (left, left + self["width"], top, top + self["height"])

        def first(edge: Any) -> NDArray[np.int64]:
            """Return the first cell whose middle, at (n + ½) × step, lies right of or below an edge."""
            return np.asarray(np.maximum(0, np.ceil(edge / step - 0.5)), np.int64)

        bounds = [first(edge) for edge in edges]
        for x0, x1, y0, y1 in set(zip(*(bound.tolist() for bound in bounds), strict=True)):
            cells[y0:y1, x0:x1] = True
        return cells[: first(box.height), : first(box.width)]  # of the last, narrower cell it may lie outside


def pyramid(plane: Blocks, box: Box) -> dict[int, Level]:
    """Return the levels that one plane has stored pixels for, by downsample; `box` is that of all planes."""
    mosaic = plane.at(1).raster(box)
    levels = {}
    for downsample in sorted({1, *plane.downsamples.tolist()}):
        width, height = box.width // downsample, box.height // downsample
        blocks = plane.at(downsample)
        if min(width, height) < 1 or (blocks.raster(box) & mosaic).sum() < _WHOLE * mosaic.sum():
            continue
        tile_width, tile_height = _tile(blocks, box, downsample)
        levels[downsample] = Level(width, height, tile_width, tile_height, box.width / width, box.height / height)
    return levels


def _tile(blocks: Blocks, box: Box, downsample: int) -> tuple[int, int]:
    """Return the grid on which the blocks lie, a virtual one where they overlap or are of unwieldy size."""
    (size, _), *_ = Counter(zip(blocks["width"].tolist(), blocks["height"].tolist(), strict=True)).most_common(1)
    width, height = size[0] // downsample, size[1] // downsample
    on_grid = not ((blocks["x"] - box.x) % size[0]).any() and not ((blocks["y"] - box.y) % size[1]).any()
    if on_grid and min(width, height) >= MIN_CHUNK and max(width, height) <= MAX_CHUNK:
        return width, height
    return VIRTUAL_TILE, VIRTUAL_TILE


def gaps(full: Blocks, channels: Sequence[Named]) -> tuple[str, ...]:
    """Say where the full-size blocks of a scene and time point leave pixels out, and what is shown there."""
    planes = full.values("Z")
    whole, notes = full.fullest(), list[str]()
    if not whole.raster(full.box).all():
        shown = " or ".join(dict.fromkeys(channel.background for channel in channels))
        note = f"parts of its rectangle were not scanned; they are shown {shown}"
        most = whole.values("C")[0]
        rasters = [full.where(Z=z, C=most).raster(full.box) for z in planes if full.images[z, most]]
        alike = all(np.array_equal(raster, rasters[0]) for raster in rasters)
        notes.append(note if alike else Missing(note))
    for channel in channels:
        short = [len(whole) - full.images[z, channel.number] for z in planes]
        if any(short):
            lacking = f"{sum(short)} images in {sum(map(bool, short))} of {len(planes)} planes"
            notes.append(Missing(f"channel {channel.name} lacks {lacking}; they are shown {channel.background}"))
    return tuple(notes)
