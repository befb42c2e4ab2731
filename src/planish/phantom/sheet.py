"""`Sheet`: a section of tissue without glass, whose depth changes smoothly, with folds or without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.model import Box
from planish.phantom.deposit import Deposit
from planish.phantom.texture import Field, fractal, softened, uniform, value_noise

STAINS = np.array([[0.95, 1.10, 0.45], [0.08, 0.72, 0.38]], np.float32)
"""Haematoxylin and eosin: absorbance of unit density in red, green and blue."""

NUCLEUS_UM = 9.0
"""Distance of the lattice points that may each hold a nucleus."""


@dataclass(frozen=True)
class SheetOptions:
    """What a sheet of tissue is like.

    Attributes
    ----------
    folded : bool
        Whether strips of a second layer lie over the first.
    seed : int
        Another seed is another tissue.
    mpp : float
        µm per pixel.
    planes : int
        Number of focal planes that the surface rises through and falls again.
    spacing_um : float
        Distance of these planes in µm.
    band : float
        Pixels along x per plane that the surface rises or falls, on average.
    """

    folded: bool
    seed: int
    mpp: float
    planes: int
    spacing_um: float
    band: float


class Sheet:
    """A sheet of tissue without end, a `Specimen`; it keeps nothing drawn."""

    stains = STAINS

    def __init__(self, options: SheetOptions) -> None:
        self.options = options
        # Textures number their seeds from here; neighbouring options must not share any.
        self._seed = options.seed * 7919

    def deposits(self, box: Box) -> Iterator[Deposit]:
        """Yield the sheet cut into thin layers; neighbouring layers share what lies between them."""
        yield from self._cut(self._tissue(box, self._seed), self._surface(box), box)
        if self.options.folded:
            fold = self._fold(box)
            if fold.any():
                tissue = [density * fold for density in self._tissue(box, self._seed + 977)]
                yield from self._cut(tissue, self._folded_surface(box), box)

    def depth(self, box: Box) -> NDArray[np.float32]:
        """Return the surface's depth in µm, that of the fold where there is one, (height, width)."""
        depth = self._surface(box)
        if self.options.folded:
            depth = np.where(self._fold(box) > 0.5, self._folded_surface(box), depth)
        return np.asarray(depth * self.options.spacing_um, np.float32)

    def _cut(self, tissue: list[Field], surface: Field, box: Box) -> Iterator[Deposit]:
        """Split stains over layers a quarter of a plane apart, weighted linearly, so that the sheet stays whole."""
        position = surface * np.float32(4)
        for layer in range(floor(position.min()), ceil(position.max()) + 1):
            weight = np.maximum(1 - np.abs(position - np.float32(layer)), 0)
            if weight.any():
                for stain, density in enumerate(tissue):
                    yield Deposit(box.x, box.y, layer / 4 * self.options.spacing_um, stain, density * weight)

    def _surface(self, box: Box) -> Field:
        """Return the depth in planes: a gently undulating slope, up through all planes and down again."""
        top = self.options.planes - 1
        if top == 0:
            return np.zeros((box.height, box.width), np.float32)
        band = self.options.band
        rng = np.random.default_rng([self.options.seed, 1])
        start, phase_x, phase_y = int(rng.integers(2 * top)), *rng.uniform(0, 2 * np.pi, 2)
        x = np.arange(box.x, box.x + box.width, dtype=np.float64)[None, :] / band
        y = np.arange(box.y, box.y + box.height, dtype=np.float64)[:, None] / band
        # Across the slope, rows shift by less than a plane per band, so that neighbouring rows are much alike.
        position = start + x + 0.3 * np.sin(2 * np.pi * x / 7 + phase_x) + 0.8 * np.sin(2 * np.pi * y / 9 + phase_y)
        return np.asarray(top - np.abs(top - np.mod(position, 2 * top)), np.float32)

    def _folded_surface(self, box: Box) -> Field:
        """Return the fold's depth in planes: up to three away from the sheet, towards the middle of the range."""
        surface = self._surface(box)
        middle = (self.options.planes - 1) // 2
        away = np.float32(min(3, middle))
        return np.where(surface < middle + np.float32(0.5), surface + away, surface - away)

    def _fold(self, box: Box) -> Field:
        """Return where a second layer lies, 0 to 1 with an edge one pixel wide: strips along a wavy field's zero."""
        period = 256 / self.options.mpp
        wave = value_noise(box, period, self._seed + 61) + 0.05 * value_noise(box, period / 8, self._seed + 62)
        edge = value_noise(box, 8 / self.options.mpp, self._seed + 63)
        return np.clip((0.16 - np.abs(wave) + 0.008 * edge) * np.float32(0.3 * period), 0, 1)

    def _tissue(self, box: Box, seed: int) -> list[Field]:
        """Return densities of haematoxylin and eosin."""
        scale = 0.25 / self.options.mpp
        coarse = [period * scale for period in (32, 128)]
        fibres = np.exp(-((fractal(box, coarse, seed + 1) / np.float32(0.22)) ** 2))
        grain = fractal(box, (2, 4, 8, 16), seed + 2)
        region = fractal(box, [period * scale for period in (256, 512)], seed + 3)
        eosin = 0.42 + 0.09 * grain + 0.06 * region + 0.22 * fibres * (1 + np.float32(0.2) * grain)
        nuclei = self._nuclei(box, seed + 4)
        chromatin = 0.85 + 0.25 * fractal(box, (2, 4, 8), seed + 5)
        haematoxylin = nuclei * chromatin + 0.05 * (1 + 0.5 * grain)
        return [np.maximum(haematoxylin, 0), np.maximum(eosin * (1 - 0.5 * nuclei), 0)]

    def _nuclei(self, box: Box, seed: int) -> Field:
        """Return a mask of 0 to 1 of elliptical nuclei, one at most per lattice point, crowded in some regions."""
        pitch = NUCLEUS_UM / self.options.mpp
        first_x, first_y = floor(box.x / pitch) - 1, floor(box.y / pitch) - 1
        columns, rows = ceil(box.width / pitch) + 3, ceil(box.height / pitch) + 3
        chance, dx, dy, size, shape, angle = (uniform(first_x, first_y, columns, rows, seed + k) for k in range(6))
        crowd = value_noise(Box(first_x, first_y, columns, rows), 8, seed + 6)
        canvas = np.zeros((box.height, box.width), np.uint8)
        for row, column in np.argwhere(chance < np.clip(0.42 + 0.3 * crowd, 0.1, 0.95)):
            x = (first_x + column + 0.15 + 0.7 * dx[row, column]) * pitch - box.x
            y = (first_y + row + 0.15 + 0.7 * dy[row, column]) * pitch - box.y
            long = (0.26 + 0.16 * size[row, column]) * pitch
            axes = round(16 * long), round(16 * long * (0.5 + 0.5 * shape[row, column]))
            centre = round(16 * x), round(16 * y)
            cv2.ellipse(canvas, centre, axes, 180 * angle[row, column], 0, 360, 255, -1, cv2.LINE_AA, 4)
        return softened(canvas, 0.6)
