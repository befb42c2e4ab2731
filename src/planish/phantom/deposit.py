"""`Deposit`: a patch of stain at one depth. A specimen is nothing but a sum of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from planish.model import Box


@dataclass(frozen=True, eq=False, slots=True)
class Deposit:
    """Stain that lies at one depth.

    Attributes
    ----------
    x, y : int
        Left and upper edge in level-0 pixels.
    z_um : float
        Depth in µm, in the frame of the planes' z.
    stain : int
        Row of the specimen's `stains`.
    density : ndarray of float32, (height, width)
        Amount of stain per pixel, 0 for none; about 1 in a dark nucleus.
    """

    x: int
    y: int
    z_um: float
    stain: int
    density: NDArray[np.float32]

    def at(self, x: int, y: int, z_um: float) -> Deposit:
        """Return the same stain moved by (x, y) pixels, at another depth."""
        return replace(self, x=self.x + x, y=self.y + y, z_um=z_um)

    def overlap(self, box: Box) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
        """Return the (rows, columns) of `box` and of `density` that coincide, None where they do not meet."""
        height, width = self.density.shape
        left, top = max(box.x, self.x), max(box.y, self.y)
        right, bottom = min(box.x + box.width, self.x + width), min(box.y + box.height, self.y + height)
        if left >= right or top >= bottom:
            return None
        return (
            (slice(top - box.y, bottom - box.y), slice(left - box.x, right - box.x)),
            (slice(top - self.y, bottom - self.y), slice(left - self.x, right - self.x)),
        )


class Specimen(Protocol):
    """What lies on the glass."""

    @property
    def stains(self) -> NDArray[np.float32]:
        """Absorbance (natural logarithm) of unit density in red, green and blue, (stains, 3)."""

    def deposits(self, box: Box) -> Iterable[Deposit]:
        """Return all stain that touches a box of level-0 pixels."""

    def depth(self, box: Box) -> NDArray[np.float32]:
        """Return the depth in µm of the densest object at every pixel, NaN on glass, (height, width)."""


Layers = dict[tuple[float, int], NDArray[np.float32]]
"""Densities (height, width) by depth in µm and stain."""


def layered(deposits: Iterable[Deposit], box: Box) -> Layers:
    """Sum deposits of equal depth and stain into one density map each; only what is occupied gets one."""
    layers: Layers = {}
    for deposit in deposits:
        overlap = deposit.overlap(box)
        if overlap is None:
            continue
        key = deposit.z_um, deposit.stain
        if key not in layers:
            layers[key] = np.zeros((box.height, box.width), np.float32)
        inside, part = overlap
        layers[key][inside] += deposit.density[part]
    return layers
