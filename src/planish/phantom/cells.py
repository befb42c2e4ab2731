"""Cells as a Papanicolaou stain shows them: how one cell looks, wherever it may lie."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, pi

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.model import Box
from planish.phantom.deposit import Deposit
from planish.phantom.texture import Field, fractal, softened

HAEMATOXYLIN, CYAN, ORANGE = range(3)
STAINS = np.array([[1.00, 1.10, 0.55], [1.10, 0.34, 0.36], [0.12, 0.78, 0.66]], np.float32)
"""Absorbance of unit density in red, green and blue."""

SHIFT = 4
"""cv2 draws with coordinates in 1/16 px."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A squamous cell: what makes it differ from the next.

    Attributes
    ----------
    radius, nucleus_radius : float
        Mean radius of the cytoplasm and of the nucleus in pixels.
    stain : int
        Of the cytoplasm: `CYAN` or `ORANGE`.
    nucleus_lift_um : float
        How far the nucleus lies above the cytoplasm's middle, in µm.
    seed : int
        Of outlines and textures.
    """

    radius: float
    nucleus_radius: float
    stain: int
    nucleus_lift_um: float
    seed: int

    def draw(self) -> tuple[Deposit, ...]:
        """Return its cytoplasm and its nucleus, around (0, 0) at depth 0."""
        rng = np.random.default_rng(self.seed)
        cytoplasm, nucleus = _cytoplasm(self, rng), _nucleus(self, rng)
        shift_x, shift_y = (int(self.radius * value) for value in rng.uniform(-0.15, 0.15, 2))
        return (
            _centred(cytoplasm, self.stain),
            _centred(nucleus, HAEMATOXYLIN).at(shift_x, shift_y, self.nucleus_lift_um),
        )


@dataclass(frozen=True, slots=True)
class Speck:
    """A speck of dust, angular, dark and nearly grey: its radius in pixels and its seed."""

    radius: float
    seed: int

    def draw(self) -> tuple[Deposit, ...]:
        """Return its share of each stain, around (0, 0) at depth 0."""
        rng = np.random.default_rng(self.seed)
        mask = _filled(_outline(rng, self.radius, corners=5, roughness=0.4, rounds=0), self.radius)
        mask *= 1 + np.float32(0.3) * fractal(_box(mask), (2, 4), self.seed)
        return tuple(_centred(mask * np.float32(amount), stain) for stain, amount in enumerate((0.7, 0.3, 0.7)))


def _cytoplasm(shape: Cell, rng: np.random.Generator) -> Field:
    outline = _outline(rng, shape.radius, corners=int(rng.integers(5, 10)), roughness=0.26, rounds=1)
    mask = _filled(outline, shape.radius)
    box = _box(mask)
    inner = softened(mask, max(1.5, 0.035 * shape.radius))
    rim = mask * (1 - inner)
    granules = np.maximum(fractal(box, (4,), shape.seed + 1) - 1.1, 0)
    thickness = 1.1 - 0.3 * (_distance(box) / shape.radius) ** 2
    texture = 1 + 0.2 * fractal(box, (2, 4, 8, 16), shape.seed) + 0.12 * fractal(box, (32,), shape.seed + 2)
    density = mask * (thickness * texture + 0.6 * granules) + 0.7 * rim
    density += 0.8 * mask * _creases(rng, shape.radius, mask.shape)
    return np.asarray(np.maximum(density, 0) * rng.uniform(0.22, 0.46), np.float32)


def _nucleus(shape: Cell, rng: np.random.Generator) -> Field:
    radius = shape.nucleus_radius
    mask = _filled(_outline(rng, radius, corners=12, roughness=0.07, rounds=2) * (1, rng.uniform(0.78, 1)), radius)
    box = _box(mask)
    rim = mask * (1 - softened(mask, 1.6))
    clumps = np.maximum(fractal(box, (4, 8), shape.seed + 3) - 0.5, 0)
    chromatin = 0.85 + 0.20 * fractal(box, (2, 4, 8), shape.seed + 4) + 0.45 * clumps
    return np.asarray(np.maximum(mask * chromatin + 0.6 * rim, 0) * rng.uniform(0.85, 1.25), np.float32)


def _outline(
    rng: np.random.Generator, radius: float, *, corners: int, roughness: float, rounds: int
) -> NDArray[np.float64]:
    """Return an irregular polygon around (0, 0), its corners cut `rounds` times after Chaikin, (n, 2)."""
    angles = (np.arange(corners) + rng.uniform(-0.3, 0.3, corners)) * 2 * pi / corners + rng.uniform(0, 2 * pi)
    radii = radius * rng.uniform(1 - roughness, 1 + roughness, corners)
    points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1).reshape(-1, 2)
    return points


def _filled(outline: NDArray[np.float64], radius: float) -> Field:
    """Return the polygon as a mask of 0 to 1 with a soft edge, (0, 0) at its centre."""
    half = ceil(1.45 * radius) + 4
    canvas = np.zeros((2 * half, 2 * half), np.uint8)
    cv2.fillPoly(canvas, [_fixed(outline + half)], 255, cv2.LINE_AA, SHIFT)
    return softened(canvas, 0.7)


def _creases(rng: np.random.Generator, radius: float, shape: tuple[int, ...]) -> Field:
    """Return a few thin curved lines, folds of the cytoplasm, 0 to 1."""
    canvas = np.zeros(shape, np.uint8)
    steps = np.linspace(-1, 1, 12)[:, None]
    for _ in range(int(rng.integers(1, 5))):
        middle, along, bend = rng.uniform(-0.6, 0.6, 2), rng.uniform(-0.7, 0.7, 2), rng.uniform(-0.25, 0.25, 2)
        points = (middle + along * steps + bend * steps**2) * radius + shape[0] / 2
        cv2.polylines(canvas, [_fixed(points)], False, 255, 1, cv2.LINE_AA, SHIFT)
    return softened(canvas, 0.8)


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(points * (1 << SHIFT)).astype(np.int32)


def _box(mask: Field) -> Box:
    return Box(0, 0, mask.shape[1], mask.shape[0])


def _distance(box: Box) -> Field:
    """Return the distance of every pixel from the box's centre."""
    across = np.arange(box.width, dtype=np.float32) - np.float32(box.width / 2)
    down = np.arange(box.height, dtype=np.float32) - np.float32(box.height / 2)
    return np.asarray(np.hypot(across[None, :], down[:, None]), np.float32)


def _centred(density: Field, stain: int) -> Deposit:
    height, width = density.shape
    return Deposit(-(width // 2), -(height // 2), 0.0, stain, np.asarray(density, np.float32))
