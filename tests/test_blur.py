"""The measure of blur: that of scikit-image on the halved picture, on few cells, of specimen only."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from arrays import ArraySlide, map_of
from planish.phantom.specimen import PhantomOptions, PhantomSlide
from planish.planemap import How
from planish.report.blur import CELLS, measure_blur, reblur

SIDE = 1024


@cache
def sharp() -> NDArray[np.float32]:
    """Return the grey levels of a sharp plane of a phantom."""
    phantom = PhantomSlide(PhantomOptions("cytology-sparse", width=SIDE, height=SIDE, planes=5, seed=1))
    return np.asarray(phantom.read_region(0, 2, 0, 0, SIDE, SIDE).mean(axis=2), np.float32)


def test_reblur_rises_with_the_blur_whatever_the_grain() -> None:
    clean = sharp()[256:768, 256:768]
    for noise in (0, 2, 6):
        grain = np.random.default_rng(1).normal(0, noise, clean.shape).astype(np.float32)
        values = [reblur(cv2.GaussianBlur(clean, (0, 0), sigma) + grain) or 0 for sigma in (0.5, 2, 4, 8)]
        assert values == sorted(values)
        assert 0 < min(values) < max(values) < 1


def blur_effect(picture: NDArray[np.float32]) -> float:
    """Return what ``skimage.measure.blur_effect`` does, line by line, but for its scale of grey levels."""
    found = []
    for axis in (0, 1):
        blurred = ndimage.uniform_filter1d(picture, 11, axis=axis)
        before, after = (np.abs(ndimage.sobel(each, axis=axis))[2:-1, 2:-1] for each in (picture, blurred))
        found.append((before.sum() - np.maximum(0, before - after).sum()) / before.sum())
    return float(max(found))


@pytest.mark.parametrize("sigma", [0, 1, 3])
def test_reblur_is_the_blur_effect_of_the_halved_picture(sigma: float) -> None:
    grey = sharp()[256:768, 200:800]
    grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma), np.float32) if sigma else grey
    halved = grey.reshape(256, 2, 300, 2).mean(axis=(1, 3))
    assert reblur(grey) == pytest.approx(blur_effect(halved), abs=1e-4)


def test_reblur_of_what_changes_along_one_axis_or_none() -> None:
    ramp = np.mgrid[:128, :160][1].astype(np.float32)
    assert reblur(ramp) == reblur(ramp.T) == pytest.approx(1, abs=0.1)
    assert reblur(np.full((64, 64), 7, np.float32)) is None


def test_blur_looks_at_specimen_only_and_at_few_cells() -> None:
    rows = columns = 12
    pixels = np.full((1, rows * 64, columns * 64, 3), 240, np.uint8)
    grain = np.random.default_rng(0).integers(0, 255, (rows * 64, 64, 3), np.uint8)
    pixels[0, :, 128:192] = grain
    slide = ArraySlide(pixels, tile=64)
    size: dict[str, Any] = {"cell_width": 64, "cell_height": 64, "width": 768, "height": 768}
    how = np.full((rows, columns), How.GLASS, np.uint8)
    how[:, 2] = How.DENSE
    found = measure_blur(slide, map_of(np.zeros((rows, columns)), 1, how=how, **size))
    assert found is not None
    assert found.cells == rows
    assert slide.decoded.total() <= 4 * CELLS
    everything = measure_blur(slide, map_of(np.zeros((rows, columns)), 1, **size))
    assert everything is None or everything.median == pytest.approx(found.median, abs=0.05)
    assert measure_blur(slide, map_of(np.zeros((rows, columns)), 1, how=np.full_like(how, How.GLASS), **size)) is None


def test_slides_smaller_than_the_measure_are_not_judged() -> None:
    slide = ArraySlide(np.random.default_rng(0).integers(0, 255, (1, 20, 300, 3), np.uint8))
    assert measure_blur(slide, map_of(np.zeros((1, 2)), 1, width=300, height=20)) is None


def test_very_wide_tiles_are_decoded_less_often() -> None:
    slide = ArraySlide(np.random.default_rng(0).integers(0, 255, (1, 512, 40_000, 1), np.uint8))
    slide.levels = (replace(slide.levels[0], tile_width=40_000, tile_height=256),)
    found = measure_blur(slide, map_of(np.zeros((2, 157)), 1, width=40_000, height=512))
    assert found is not None
    assert found.cells == slide.decoded.total() == 4
