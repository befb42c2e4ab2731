"""`Smear`: cells strewn over glass, singly and in clusters, each at its own depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import tau
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planish.model import Box
from planish.phantom.cache import Cache
from planish.phantom.cells import CYAN, ORANGE, STAINS, Cell, Speck
from planish.phantom.deposit import Deposit
from planish.phantom.texture import uniform

FIELD_UM = 128.0
"""Side of the squares that are populated one by one, each from its own seed."""

REACH_UM = 56.0
"""How far an object may reach beyond its field: its centre lies inside."""

DRAWN_BYTES = 32 << 20
"""Drawn objects kept, so that the blocks that share one need not draw it anew."""


class Placed(NamedTuple):
    """An object and where its centre lies: level-0 pixels, and depth in µm."""

    x: int
    y: int
    z_um: float
    look: Cell | Speck

    def reaches(self, box: Box) -> bool:
        """Return whether it may touch the box."""
        reach = 1.45 * self.look.radius + 6
        across = box.x - reach < self.x < box.x + box.width + reach
        return across and box.y - reach < self.y < box.y + box.height + reach


@dataclass(frozen=True)
class SmearOptions:
    """What a smear is like.

    Attributes
    ----------
    populated : float
        Share of the fields that hold cells; the others are empty but for a stray one.
    seed : int
        Another seed is another smear.
    mpp : float
        µm per pixel.
    range_um : float
        Focal range: cells lie between 0 and this.
    step_um : float
        Depths are multiples of this, so that few layers need to be blurred.
    """

    populated: float
    seed: int
    mpp: float
    range_um: float
    step_um: float


class Smear:
    """A cytological smear without end, a `Specimen`.

    Memory: `DRAWN_BYTES` of drawn objects and the lists of 256 fields, whatever the size of the slide.
    """

    stains = STAINS

    def __init__(self, options: SmearOptions) -> None:
        self.options = options
        self._field = lru_cache(256)(self._populate)
        self._drawn: Cache[tuple[Deposit, ...]] = Cache(DRAWN_BYTES)

    def deposits(self, box: Box) -> Iterator[Deposit]:
        """Yield the parts of all objects that touch a box of level-0 pixels."""
        for placed in self._near(box):
            for part in self._parts(placed.look):
                yield part.at(placed.x, placed.y, self._binned(placed.z_um + part.z_um))

    def depth(self, box: Box) -> NDArray[np.float32]:
        """Return the depth in µm of the densest object at every pixel, NaN on glass, (height, width)."""
        best = np.full((box.height, box.width), 0.03, np.float32)
        depth = np.full((box.height, box.width), np.nan, np.float32)
        for deposit in self.deposits(box):
            overlap = deposit.overlap(box)
            if overlap:
                inside, part = overlap
                density = deposit.density[part]
                denser = density > best[inside]
                best[inside][denser] = density[denser]
                depth[inside][denser] = deposit.z_um
        return depth

    def _near(self, box: Box) -> Iterator[Placed]:
        field, reach = FIELD_UM / self.options.mpp, REACH_UM / self.options.mpp
        for row in range(int((box.y - reach) // field), int((box.y + box.height + reach) // field) + 1):
            for column in range(int((box.x - reach) // field), int((box.x + box.width + reach) // field) + 1):
                yield from (placed for placed in self._field(column, row) if placed.reaches(box))

    def _parts(self, look: Cell | Speck) -> tuple[Deposit, ...]:
        parts = self._drawn.get(look)
        if parts is None:
            parts = look.draw()
            self._drawn.put(look, parts, sum(part.density.nbytes for part in parts))
        return parts

    def _binned(self, z_um: float) -> float:
        return round(z_um / self.options.step_um) * self.options.step_um

    def _populate(self, column: int, row: int) -> tuple[Placed, ...]:
        """Return the objects whose centres lie in a field."""
        # Lattice indices may be negative, a seed may not.
        rng = np.random.default_rng([self.options.seed, column & 0xFFFFFFFF, row & 0xFFFFFFFF])
        depth_um = rng.uniform(0.12, 0.88) * self.options.range_um
        if self._is_populated(column, row):
            objects = self._cluster(rng, depth_um) if rng.random() < 0.55 else []
            objects += self._singles(rng, depth_um, int(rng.integers(2, 6) if objects else rng.integers(4, 9)))
        else:
            objects = self._singles(rng, depth_um, int(rng.random() < 0.1))
        if rng.random() < 0.35:
            objects.append(self._speck(rng))
        x, y = column * FIELD_UM / self.options.mpp, row * FIELD_UM / self.options.mpp
        return tuple(placed._replace(x=int(x + placed.x), y=int(y + placed.y)) for placed in objects)

    def _is_populated(self, column: int, row: int) -> bool:
        """Choose fields by the R2 sequence, which spreads them evenly, so that a small slide has its share too."""
        start = uniform(0, 0, 1, 1, self.options.seed).item()
        return (start + 0.7548776662466927 * column + 0.5698402909980532 * row) % 1 < self.options.populated

    def _singles(self, rng: np.random.Generator, depth_um: float, count: int) -> list[Placed]:
        return [
            self._cell(rng, rng.uniform(0, FIELD_UM, 2), depth_um + rng.normal(0, 0.8), rng.uniform(16, 29))
            for _ in range(count)
        ]

    def _cluster(self, rng: np.random.Generator, depth_um: float) -> list[Placed]:
        """Crowd cells around a centre: a tilted heap, whose cells also lie above one another."""
        centre = rng.uniform(0.3, 0.7, 2) * FIELD_UM
        tilt, spread = rng.normal(0, 0.035, 2), rng.uniform(17, 28)
        cells = []
        for _ in range(int(rng.integers(6, 15))):
            angle, away = rng.uniform(0, tau), spread * min(rng.rayleigh(0.8), 2.0)
            offset = away * np.array([np.cos(angle), np.sin(angle)])
            z_um = depth_um + float(tilt @ offset) + rng.normal(0, 0.9)
            cells.append(self._cell(rng, np.clip(centre + offset, 0, FIELD_UM), z_um, rng.uniform(10.5, 19)))
        return cells

    def _cell(
        self, rng: np.random.Generator, position_um: NDArray[np.float64], z_um: float, radius_um: float
    ) -> Placed:
        mpp = self.options.mpp
        look = Cell(
            radius=radius_um / mpp,
            nucleus_radius=rng.uniform(3.2, 6.0) / mpp,
            stain=ORANGE if rng.random() < 0.3 else CYAN,
            nucleus_lift_um=rng.uniform(-0.5, 0.5),
            seed=int(rng.integers(1 << 31)),
        )
        x, y = position_um / mpp
        return Placed(int(x), int(y), float(np.clip(z_um, 0, self.options.range_um)), look)

    def _speck(self, rng: np.random.Generator) -> Placed:
        """Dust lies anywhere: every third speck on the glass, outside the focal range."""
        x, y = rng.uniform(0, FIELD_UM, 2) / self.options.mpp
        z_um = rng.uniform(0, self.options.range_um)
        if rng.random() < 1 / 3:
            z_um = float(rng.choice([-3.0, self.options.range_um + 3.0]))
        return Placed(int(x), int(y), z_um, Speck(rng.uniform(0.8, 3.0) / self.options.mpp, int(rng.integers(1 << 31))))
