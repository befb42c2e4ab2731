"""`CellComposer`: the pixels of the cells that are not copied."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.fuse.backend import Backend
from planish.fuse.cached import CachedSlide
from planish.fuse.hybrid import Feather, Hybrid
from planish.fuse.method import Window
from planish.fuse.plan import Plan
from planish.fuse.planes import SlidePlanes
from planish.fuse.prior import Prior
from planish.fuse.soft import Soft
from planish.fuse.tiles import aligned
from planish.model import Box
from planish.recipe import HALF_RAMP, NEIGHBOURS, Action, Recipe
from planish.slide.base import Slide

CACHE_BYTES = 96 << 20
"""Of decoded tiles: those that neighbouring cells look at, too."""
_COARSE_SIGMA = 6.0
"""Pixels from which the energy may be averaged at a quarter of the size."""


class CellComposer:
    """Composes fused and ramped cells, each as a function of the recipe and the slide alone: in any order, anywhere.

    Parameters
    ----------
    slide : Slide
        The z-stack.
    plan : Plan
        With a recipe.
    options : Hybrid or Feather
        The recipe's.
    backend : Backend
        What to compute with.

    Memory: decoded tiles, 96 MiB and what is in use; per thread a cell with its margins in six float images.
    """

    def __init__(self, slide: Slide, plan: Plan, options: Hybrid | Feather, backend: Backend) -> None:
        assert plan.recipe is not None
        self._slide, self._plan, self._options, self._backend = slide, plan, options, backend
        self._recipe: Recipe = plan.recipe
        self._cached = CachedSlide(slide, CACHE_BYTES)
        self._turn = threading.Lock()

    def image(self, level: int, row: int, column: int) -> NDArray[Any]:
        """Return the pixels of a cell on a level, (height, width, channels)."""
        recipe, box = self._recipe, self._plan.cell_box(self._slide.levels[level], column, row)
        if recipe.action[row, column] == Action.FUSE:
            pixels = self._fused(level, row, column, box)
        else:
            pixels = self._cached.read_region(level, int(self._plan.plane[row, column]), *box)
        for side, (down, across) in enumerate(NEIGHBOURS):
            ramp = recipe.ramp_at(row, column, side)
            if ramp:
                other = int(self._plan.plane[row + down, column + across])
                pixels = self._into(pixels, level, box, other, (side,), halfway=ramp == HALF_RAMP)
        for sides, other in self._corners(row, column):
            pixels = self._into(pixels, level, box, other, sides)
        return pixels

    def _corners(self, row: int, column: int) -> Iterator[tuple[tuple[int, int], int]]:
        """Yield the corners of a fused cell at which three fused cells meet one that is not, and that one's plane.

        The cells beside it pass into its plane; without a ramp at the corner, theirs would end at a seam.
        """
        for sides in ((0, 2), (0, 3), (1, 2), (1, 3)):
            (_, across), (down, _) = (NEIGHBOURS[side] for side in sides)
            beside = (row, column), (row + down, column), (row, column + across)
            other = row + down, column + across
            if all(self._is_fused(*cell) for cell in beside) and not self._is_fused(*other):
                yield sides, int(self._plan.plane[other])

    def _is_fused(self, row: int, column: int) -> bool:
        action = self._recipe.action
        inside = 0 <= row < action.shape[0] and 0 <= column < action.shape[1]
        return inside and bool(action[row, column] == Action.FUSE)

    def _fused(self, level: int, row: int, column: int, box: Box) -> NDArray[Any]:
        method = soft_of(self._options, self._plan, self._slide, level, self._recipe)
        planes = SlidePlanes(self._cached, level)
        window = aligned(self._with_margins(box, row, column, method.margin), method.align, planes)
        recipe = self._recipe
        span = range(int(recipe.lowest[row, column]), int(recipe.highest[row, column]) + 1)
        # The border of a tile that is missing looks sharp.
        there = [plane for plane in span if not _blank(planes.read(plane, box))]
        # A GPU takes one cell at a time: each thread's would need its share of the card's memory.
        with self._turn if self._backend.name == "cupy" else nullcontext():
            fused = method.fuse(Window(planes, window, self._backend, there or span))
        return self._backend.get(fused.cropped(Box(box.x - window.x, box.y - window.y, *box[2:])).image)

    def _with_margins(self, box: Box, row: int, column: int, margin: int) -> Box:
        """Return the box with a margin where the neighbour is fused, too.

        At other sides the cell passes into its neighbour's plane, and needs no look at it.
        """
        left, right, top, bottom = (
            margin if self._is_fused(row + down, column + across) else 0 for down, across in NEIGHBOURS
        )
        return Box(box.x - left, box.y - top, box.width + left + right, box.height + top + bottom)

    def _into(
        self, pixels: NDArray[Any], level: int, box: Box, plane: int, sides: tuple[int, ...], *, halfway: bool = False
    ) -> NDArray[Any]:
        """Let the cell pass into another plane towards one side, or into a corner of two sides."""
        size = self._slide.levels[level]
        places = [slice(None), slice(None)]
        weight: NDArray[np.float32] = np.full((1, 1, 1), 0.5 if halfway else 1.0, np.float32)
        for side in sides:
            axis = 1 if side < 2 else 0
            length = pixels.shape[axis]
            width = self._options.ramp / (size.downsample_y, size.downsample_x)[axis] / (2 if halfway else 1)
            count = min(length, max(1, round(width)))
            # From the border inwards: almost all of the other plane, or half of it, down to almost nothing.
            share = (np.arange(count, 0, -1, dtype=np.float32) - np.float32(0.5)) / np.float32(count)
            first = side in (0, 2)
            places[axis] = slice(0, count) if first else slice(length - count, length)
            weight = weight * np.expand_dims(share if first else share[::-1], (2, 1 - axis))
        y, x = (place.start or 0 for place in places)
        part = pixels[tuple(places)]
        other = self._cached.read_region(level, plane, box.x + x, box.y + y, part.shape[1], part.shape[0])
        if _blank(other) and not _blank(part):
            return pixels  # the neighbour's plane is missing here
        blended = pixels.copy()
        blended[tuple(places)] = np.rint(part + weight * (other.astype(np.float32) - part)).astype(pixels.dtype)
        return blended


def _blank(pixels: NDArray[Any]) -> bool:
    """Whether all pixels are one colour, as those of a tile that is missing."""
    first = pixels[0, 0]
    return bool((pixels[0] == first).all() and (pixels == first).all())


def soft_of(options: Hybrid | Feather, plan: Plan, slide: Slide, level: int, recipe: Recipe) -> Soft:
    """Return what fuses pixels on a level: windows shrink with it."""
    assert isinstance(options, Hybrid)
    size = slide.levels[level]
    noise = recipe.noise[level] if level < len(recipe.noise) else 0.0
    prior = Prior(
        plan.plane, plan.cell_width, plan.cell_height, options.prior_weight, options.sigma / size.downsample_x, noise
    )
    return soft_at(options, size.downsample_x, prior.at(size.downsample_x, size.downsample_y))


def soft_at(options: Hybrid, downsample: float, prior: Prior | None) -> Soft:
    """Return the weights for pixels of a size."""
    sigma = options.sigma / downsample
    decimation = 4 if sigma >= _COARSE_SIGMA else 1
    return Soft(
        sigma=sigma, fine_sigma=max(0.5, 1 / downsample), power=options.power, prior=prior, decimation=decimation
    )
