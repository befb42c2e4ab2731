"""Frozen values that travel between the stages.

Frames of reference, used as prefixes of variable names everywhere:

- *level-0 pixels*: the full-size image, x to the right, y down;
- *level pixels*: the same of one pyramid level (0 = full size);
- *tile grid*: (column, row) in a level's storage grid;
- *cell grid*: (column, row) in the decision grid, see `planish.planemap`;
- *µm*: z along the optical axis, lowest plane first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from planish.encoding import Encoding as Encoding
from planish.focus.measures import blur_difference, luma
from planish.jpeg import join


class Box(NamedTuple):
    """A rectangle: left, top, width and height, in the pixels of the frame that its user names."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Level:
    """One pyramid level.

    Attributes
    ----------
    width, height : int
        Size in level pixels.
    tile_width, tile_height : int
        Size of a tile of the storage grid in level pixels; tiles at the right and lower edge are cropped.
    downsample_x, downsample_y : float
        Level-0 pixels per level pixel, measured, not rounded (4.0003 happens).
    """

    width: int
    height: int
    tile_width: int
    tile_height: int
    downsample_x: float = 1.0
    downsample_y: float = 1.0

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.tile_width, self.tile_height) < 1:
            raise ValueError(f"a level needs positive sizes, got {self}")

    @property
    def columns(self) -> int:
        """Number of tile columns."""
        return -(-self.width // self.tile_width)

    @property
    def rows(self) -> int:
        """Number of tile rows."""
        return -(-self.height // self.tile_height)

    def tile_box(self, column: int, row: int) -> Box:
        """Return the box of a tile in level pixels, cropped to the level."""
        x, y = column * self.tile_width, row * self.tile_height
        return Box(x, y, min(self.tile_width, self.width - x), min(self.tile_height, self.height - y))


@dataclass(frozen=True, slots=True)
class Plane:
    """A focal plane: its index (0 = lowest z) and its z in µm, None where the file does not tell."""

    index: int
    z_um: float | None = None


class Missing(str):
    """A note on what the file holds, or should, and the slide does not show; other notes tell what was decided."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SlideMetadata:
    """What a file says of itself, as far as planish carries it on.

    Attributes
    ----------
    format : str
        The container and its layout, e.g. ``"SVS"`` or ``"OME-TIFF"``.
    mpp_x, mpp_y : float or None
        µm per level-0 pixel.
    objective_power : float or None
        Magnification of the objective.
    icc_profile : bytes or None
        The ICC profile as stored.
    vendor : str or None
        The scanner's maker.
    notes : tuple of str
        What the reader had to decide, and as `Missing` what it left out, for ``info`` and the record.
    """

    format: str
    mpp_x: float | None = None
    mpp_y: float | None = None
    objective_power: float | None = None
    icc_profile: bytes | None = None
    vendor: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EncodedTile:
    """A compressed tile as the file holds it.

    Attributes
    ----------
    data : bytes
        The tile; without its tables where they stand elsewhere.
    tables : bytes
        JPEG tables that `data` lacks (TIFF's tag 347); empty where it is whole.
    color : str
        As `Encoding.color`.
    """

    data: bytes
    tables: bytes
    color: str

    @property
    def whole(self) -> bytes:
        """The tile as an image that decodes on its own, in the right colours."""
        return join(self.data, self.tables, self.color) if self.data[:2] == b"\xff\xd8" else self.data


@dataclass(frozen=True)
class Stack:
    """All planes of one tile.

    Attributes
    ----------
    column, row : int
        Position in the tile grid of its level.
    pixels : ndarray
        (Z, height, width, channels), lowest plane first.
    """

    column: int
    row: int
    pixels: NDArray[Any]

    @cached_property
    def sharpness(self) -> tuple[float, ...]:
        """Blur-difference of every plane, lowest plane first."""
        return tuple(blur_difference(luma(plane)) for plane in self.pixels)

    @property
    def sharpest(self) -> NDArray[Any]:
        """Pixels of the sharpest plane, (height, width, channels)."""
        return np.asarray(self.pixels[self.sharpness.index(max(self.sharpness))])

    @property
    def blurriest(self) -> NDArray[Any]:
        """Pixels of the least sharp plane, (height, width, channels)."""
        return np.asarray(self.pixels[self.sharpness.index(min(self.sharpness))])
