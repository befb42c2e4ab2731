"""The specimen mask beyond 8 bit: neither one bright object nor noise may pass for the range of grey levels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from arrays import ArraySlide
from planish.focus.grid import Blocks, CellGrid
from planish.focus.mask import mask_level, row_extremes, specimen_mask
from planish.slide.base import Slide

SIZE, CELL = 2048, 256
BEAD = (slice(100, 140), slice(100, 140))


def mask(plane: NDArray[Any], dtype: Any = np.uint16) -> NDArray[np.bool_]:
    """Return the mask of one plane."""
    return mask_of(ArraySlide(stored(plane, dtype), CELL))


def stored(plane: NDArray[Any], dtype: Any = np.uint16) -> NDArray[Any]:
    limits = np.iinfo(dtype)
    whole = np.rint(plane.astype(np.float64))
    return np.clip(whole, limits.min, limits.max).astype(dtype)[None, ..., None]


def mask_of(slide: Slide) -> NDArray[np.bool_]:
    level = mask_level(slide, CellGrid.of(slide))
    rows = Blocks.of(CellGrid.of(slide), slide.levels[level]).rows
    looks = np.concatenate([row_extremes(slide, level, 0, row) for row in range(rows)], axis=1)
    return specimen_mask(looks, slide.dtype)


def noise(deviation: float, size: int = SIZE) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(0, deviation, (size, size)).astype(np.float32)


def tissue(brightness: float = 1500, contrast: float = 120, blur: float = 3) -> NDArray[np.float32]:
    texture = cv2.GaussianBlur(noise(1), (0, 0), blur)
    return np.asarray(brightness + contrast * texture / texture.std(), np.float32)


def nuclei(count: int, brightness: float) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return bright discs on black, and the cells that hold the middle of one."""
    picture, cells = np.zeros((SIZE, SIZE), np.float32), np.zeros((SIZE // CELL, SIZE // CELL), bool)
    for x, y in np.random.default_rng(2).integers(40, SIZE - 40, (count, 2)).tolist():
        cv2.circle(picture, (x, y), 25, brightness, -1)
        cells[y // CELL, x // CELL] = True
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 4), np.float32), cells


@pytest.mark.parametrize("blur", [1, 3, 10, 40])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32])
def test_a_saturated_bead_does_not_turn_tissue_into_glass(blur: float, dtype: Any) -> None:
    plane = tissue(blur=blur) + noise(10)
    assert mask(plane, dtype).all()
    plane[BEAD] = np.iinfo(dtype).max
    assert mask(plane, dtype).mean() > 0.95


def test_a_saturated_bead_does_not_turn_noise_into_specimen() -> None:
    plane = 100 + noise(10)
    plane[BEAD] = 65_000
    assert mask(plane).sum() == 1


@pytest.mark.parametrize("deviation", [0, 0.3, 5, 50])
@pytest.mark.parametrize("brightness", [100, 3000])
def test_a_blank_slide_is_glass_however_it_is_exposed(deviation: float, brightness: float) -> None:
    assert not mask(brightness + noise(deviation)).any()


@pytest.mark.parametrize("signal", [400, 4000, 40_000])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_dark_noisy_fluorescence(signal: float, count: int) -> None:
    picture, cells = nuclei(count, signal)
    found = mask(100 + picture + noise(15))
    assert found[cells].all()
    beside = cv2.dilate(cells.astype(np.uint8), np.ones((3, 3))) > 0
    assert not found[~beside].any()


@pytest.mark.parametrize("every", [(1, 4), (1, 4, 16), (1, 2, 4, 8, 16)])
def test_a_pyramid_changes_nothing(every: tuple[int, ...]) -> None:
    blank, full = 100 + noise(15), tissue() + noise(15)
    bead = full.copy()
    bead[BEAD] = 65_535
    for plane, expected in ((blank, 0), (full, 64), (bead, 64)):
        assert abs(mask_of(Pyramid(plane, every)).sum() - expected) <= 1


class Pyramid(ArraySlide):
    """A plane with levels made by averaging, as scanners make them."""

    def __init__(self, plane: NDArray[np.float32], every: tuple[int, ...]) -> None:
        super().__init__(stored(plane), CELL)
        self.stacks_by_level = [
            stored(cv2.resize(plane, (SIZE // step, SIZE // step), interpolation=cv2.INTER_AREA)) for step in every
        ]
        full = self.levels[0]
        self.levels = tuple(
            type(full)(SIZE // step, SIZE // step, CELL, CELL, float(step), float(step)) for step in every
        )

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        x, y, width, height = self.levels[level].tile_box(column, row)
        pixels: NDArray[Any] = self.stacks_by_level[level][plane, y : y + height, x : x + width]
        return pixels


def test_shading_below_a_hundredth_of_the_range_stays_glass() -> None:
    picture, cells = nuclei(40, 20_000)
    ramp = np.linspace(1000, 1400, SIZE, dtype=np.float32)
    found = mask(picture + ramp + noise(5))
    assert found[cells].all()
    assert not found[cv2.dilate(cells.astype(np.uint8), np.ones((3, 3))) == 0].any()


def test_eight_bits_count_as_they_are() -> None:
    glass = np.full((SIZE, SIZE), 240, np.float32) + noise(2)
    glass[1000:1020, 1000:1020] -= 60
    assert mask(glass, np.uint8).sum() == 1
