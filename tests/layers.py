"""Stacks whose every pixel is sharp on a plane of its own, and slides, maps and recipes of them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from arrays import ArraySlide
from planish.model import Level
from planish.planemap import How, PlaneMap
from planish.recipe import Recipe
from planish.slide.base import Slide

GLASS = -1


def layered(depth: NDArray[Any], planes: int = 5, channels: int = 3, noise: float = 1.0) -> NDArray[np.uint8]:
    """Return planes, (planes, height, width, channels), of texture that is sharp where `depth` says and blurs away.

    `GLASS` in `depth` is bright and empty.
    """
    random = np.random.default_rng(0)
    texture = cv2.GaussianBlur(random.standard_normal(depth.shape, np.float32), (0, 0), 2.0)
    texture *= 22 / texture.std()
    stack = np.empty((planes, *depth.shape, channels), np.uint8)
    for plane in range(planes):
        image = np.full(depth.shape, 235, np.float32)
        for own in np.unique(depth[depth != GLASS]).tolist():
            layer, blur = np.where(depth == own, texture - 35, 0).astype(np.float32), 1.5 * abs(plane - own)
            image += cv2.GaussianBlur(layer, (0, 0), blur) if blur else layer
        camera = random.standard_normal(stack.shape[1:], np.float32) * noise
        stack[plane] = np.clip(np.rint(image[..., None] + camera), 0, 255)
    return stack


class PyramidSlide(ArraySlide):
    """An array with smaller levels, and tiles that need not be square."""

    def __init__(
        self, stack: NDArray[Any], tile: tuple[int, int] = (128, 128), downsamples: tuple[int, ...] = (1, 4)
    ) -> None:
        super().__init__(stack)
        self._tile, self._downsamples = tile, downsamples
        self.stacks_by_level = [_shrunk(stack, factor) for factor in downsamples]
        _, height, width, _ = stack.shape
        sizes = [level.shape[1:3] for level in self.stacks_by_level]
        self.levels = tuple(Level(across, down, *tile, width / across, height / down) for down, across in sizes)

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        x, y, width, height = self.levels[level].tile_box(column, row)
        pixels: NDArray[Any] = self.stacks_by_level[level][plane, y : y + height, x : x + width]
        return pixels

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.stack, self._tile, self._downsamples)


def _shrunk(stack: NDArray[Any], factor: int) -> NDArray[Any]:
    size = max(1, stack.shape[2] // factor), max(1, stack.shape[1] // factor)
    small = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in stack]
    return np.stack(small).reshape(len(stack), size[1], size[0], stack.shape[3])


def map_of(slide: Slide, plane: Any, cell: int = 128) -> PlaneMap:
    """Return a map of these planes, one for each cell or one for all."""
    full = slide.levels[0]
    shape = -(-full.height // cell), -(-full.width // cell)
    planes = np.broadcast_to(np.asarray(plane, np.int16), shape).copy()
    unknown, how = np.full(shape, np.nan, np.float32), np.full(shape, How.DENSE, np.uint8)
    z_um = tuple(each.z_um for each in slide.planes)
    return PlaneMap(planes, unknown, how, unknown, cell, cell, full.width, full.height, z_um)


def recipe_of(plane: NDArray[np.int16], parameters: Any, **changes: Any) -> Recipe:
    """Return a recipe for hybrid that copies all cells, but for the changes."""
    nothing = np.zeros(plane.shape, np.uint8)
    arrays = {"action": nothing, "ramp": nothing, "lowest": plane, "highest": plane, "overlap": nothing, "noise": ()}
    return Recipe("hybrid", parameters, **{**arrays, **changes})


def whole(slide: Slide, level: int = 0) -> NDArray[Any]:
    """Return all pixels of the first plane of a level."""
    size = slide.levels[level]
    return slide.read_region(level, 0, 0, 0, size.width, size.height)
