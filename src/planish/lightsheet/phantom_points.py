"""A made specimen: beads, nuclei and glow in an ellipsoid, all of them Gaussians, so that any camera can draw them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_REACH = 4.0
"""Gaussians are drawn out to so many sigmas, where less than a thousandth of the peak is left."""


@dataclass(frozen=True)
class Kind:
    """One kind of Gaussian.

    Attributes
    ----------
    share : float
        How many there are per 1000 voxels of the specimen.
    sigma : float
        In pixels, in x and y.
    sigma_z : float
        In planes.
    peak : tuple of float
        The smallest and the largest peak, in counts.
    """

    share: float
    sigma: float
    sigma_z: float
    peak: tuple[float, float]


BEADS = Kind(0.35, 1.0, 1.0, (500, 2500))
NUCLEI = Kind(0.25, 2.5, 1.6, (200, 900))
GLOW = Kind(0.06, 12.0, 4.0, (30, 90))


@dataclass(frozen=True, eq=False)
class Points:
    """Gaussians in a volume, each array one value per Gaussian: place in pixels and planes, width, peak in counts."""

    x: Floats
    y: Floats
    z: Floats
    sigma: Floats
    sigma_z: Floats
    peak: Floats

    def __len__(self) -> int:
        return len(self.x)


def make_points(shape: tuple[int, int, int], generator: np.random.Generator) -> Points:
    """Strew points over an ellipsoid that fills 92 % of each edge of a (Z, Y, X) volume."""
    kinds = (BEADS, NUCLEI, GLOW)
    volume = np.prod(shape) * 0.92**3 * np.pi / 6
    counts = [max(1, round(volume * kind.share / 1000)) for kind in kinds]
    z, y, x = _in_ellipsoid(sum(counts), shape, generator)
    return Points(
        x,
        y,
        z,
        np.repeat([kind.sigma for kind in kinds], counts),
        np.repeat([kind.sigma_z for kind in kinds], counts),
        np.concatenate([generator.uniform(*kind.peak, count) for kind, count in zip(kinds, counts, strict=True)]),
    )


def _in_ellipsoid(count: int, shape: tuple[int, int, int], generator: np.random.Generator) -> Floats:
    direction = generator.normal(size=(3, count))
    radius = generator.uniform(size=count) ** (1 / 3)
    ball = direction / np.linalg.norm(direction, axis=0) * radius
    size = np.array(shape, float)[:, None]
    return np.asarray((size - 1) / 2 + 0.46 * size * ball, np.float64)


@dataclass(frozen=True, eq=False)
class Sight:
    """How planes near one point show it: the point at x, y, and for each plane a width in pixels and a peak."""

    x: float
    y: float
    first_plane: int
    sigma: Floats
    peak: Floats


def near_planes(z: float, sigma_z: float, planes: int) -> NDArray[np.intp]:
    """Return the planes, of so many, in which a point at depth z is seen."""
    low, high = int(np.ceil(z - _REACH * sigma_z)), int(np.floor(z + _REACH * sigma_z))
    return np.arange(max(low, 0), min(high + 1, planes))


def draw(volume: NDArray[np.float32], sight: Sight) -> None:
    """Add one point to a (Z, Y, X) volume: the Gaussian's own values at the pixels' centres, nothing resampled."""
    if not len(sight.sigma):
        return
    reach = _REACH * float(sight.sigma.max())
    rows, columns = (_span(at, reach, size) for at, size in zip((sight.y, sight.x), volume.shape[1:], strict=True))
    if not len(rows) or not len(columns):
        return
    down, across = (_profile(at, sight.sigma) for at in (rows - sight.y, columns - sight.x))
    down *= sight.peak[:, None].astype(np.float32)
    planes = slice(sight.first_plane, sight.first_plane + len(sight.sigma))
    volume[planes, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += down[:, :, None] * across[:, None, :]


def _span(at: float, reach: float, size: int) -> NDArray[np.intp]:
    return np.arange(max(int(np.ceil(at - reach)), 0), min(int(np.floor(at + reach)) + 1, size))


def _profile(distance: NDArray[Any], sigma: Floats) -> NDArray[np.float32]:
    return np.exp(-0.5 * (distance[None, :] / sigma[:, None]) ** 2).astype(np.float32)
