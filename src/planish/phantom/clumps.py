"""Clumps of stained cells on bright glass, each clump at a depth of its own, plane by plane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, sin, tau
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.model import Box
from planish.phantom.cells import CYAN, ORANGE, STAINS, Cell
from planish.phantom.deposit import Deposit, layered
from planish.phantom.optics import Optics
from planish.phantom.texture import Field

BLOCK, MARGIN = 512, 64
"""Pixels of a block that is drawn at once, and around it; 640 in all transforms fast."""

THINNEST = 0.05
"""Density of stain below which a pixel counts as glass."""


@dataclass(frozen=True)
class Clumps:
    """What clumps look like and how they are recorded.

    Attributes
    ----------
    pitch : float
        Distance of their centres in pixels, on average.
    cells : tuple of int
        Fewest and most cells of a clump.
    radius : tuple of float
        Smallest and largest radius of a cell in pixels.
    density : float
        Of the stain, 1 for what `Cell` draws.
    spread : float
        Sigma in pixels per plane of defocus.
    noise : float
        Standard deviation in grey levels of 255.
    """

    pitch: float
    cells: tuple[int, int]
    radius: tuple[float, float]
    density: float
    spread: float = 3.0
    noise: float = 1.8


CLUMPS = {
    "cells": Clumps(90, (1, 3), (14, 24), 0.7),
    "clusters": Clumps(130, (3, 7), (18, 32), 0.6),
}
"""Clumps by name."""


def draw_clumps(clumps: Clumps, size: int, planes: int, seed: int) -> tuple[NDArray[np.uint8], Field, Field]:
    """Return the planes with noise, (planes, Y, X, 3), the truth, and the depth of the densest stain in planes."""
    parts = list(_deposits(clumps, size, planes, np.random.default_rng([seed, 1])))
    optics = Optics(BLOCK + 2 * MARGIN, MARGIN, 1.0, clumps.spread, rest_um=0.4)
    rng = np.random.default_rng([seed, 2])
    stack = np.empty((planes, size, size, 3), np.uint8)
    truth = np.empty((size, size, 3), np.float32)
    for y in range(0, size, BLOCK):
        for x in range(0, size, BLOCK):
            rows, columns = slice(y, min(y + BLOCK, size)), slice(x, min(x + BLOCK, size))
            shape = rows.stop - y, columns.stop - x
            spectra = optics.spectra(layered(parts, Box(x - MARGIN, y - MARGIN, optics.side, optics.side)))
            truth[rows, columns] = optics.image(spectra, STAINS, None)[: shape[0], : shape[1]]
            for plane in range(planes):
                seen = optics.image(spectra, STAINS, float(plane))[: shape[0], : shape[1]]
                seen += np.float32(clumps.noise) * rng.standard_normal(seen.shape, np.float32)
                stack[plane, rows, columns] = np.clip(np.rint(seen), 0, 255)
    return stack, truth, _depth(parts, size)


def _deposits(clumps: Clumps, size: int, planes: int, rng: np.random.Generator) -> Iterator[Deposit]:
    """Yield the stain of all cells; quarters of a plane keep the layers few, and no depth lies halfway."""
    steps = max(1, 4 * (planes - 1))
    for _ in range(round(((size + 2 * MARGIN) / clumps.pitch) ** 2)):
        x, y = rng.uniform(-MARGIN, size + MARGIN, 2)
        depth = (int(rng.integers(steps)) + 0.5) / 4 if planes > 1 else 0.0
        count = int(rng.integers(clumps.cells[0], clumps.cells[1] + 1))
        for _ in range(count):
            radius, angle, away = rng.uniform(*clumps.radius), rng.uniform(0, tau), rng.rayleigh(0.8)
            away *= sum(clumps.radius) / 2
            for part in _cell(radius, rng).draw():
                placed = part.at(int(x + away * cos(angle)), int(y + away * sin(angle)), depth)
                yield Deposit(placed.x, placed.y, placed.z_um, placed.stain, part.density * np.float32(clumps.density))


def _cell(radius: float, rng: np.random.Generator) -> Cell:
    stain = ORANGE if rng.random() < 0.3 else CYAN
    return Cell(radius, radius * rng.uniform(0.3, 0.45), stain, 0.0, int(rng.integers(1 << 31)))


def _depth(parts: list[Deposit], size: int) -> Field:
    full = Box(0, 0, size, size)
    densest = np.full((size, size), THINNEST, np.float32)
    depth: NDArray[Any] = np.full((size, size), np.nan, np.float32)
    for part in parts:
        overlap = part.overlap(full)
        if overlap:
            inside, cut = overlap
            denser = part.density[cut] > densest[inside]
            densest[inside][denser] = part.density[cut][denser]
            depth[inside][denser] = part.z_um
    return depth
