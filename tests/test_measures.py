"""The measures against their formulas written out, and the scorers built on them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from planish.errors import OptionError
from planish.focus import measures
from planish.focus.scorers import SCORERS, find_scorer, score

DTYPES = ("uint8", "int8", "uint16", "int16", ">u2", "uint32", "int64", "float32", "float64")


def noise(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 127, shape).astype(dtype)


def reference(name: str, image: NDArray[Any]) -> float:
    """ALGORITHMS §1 in float64, with scipy instead of OpenCV."""
    grey = image.astype(np.float64)
    if name == "blur-difference":
        return float(np.abs(ndimage.uniform_filter(grey, 5, mode="mirror") - grey).sum())
    if name == "variance":
        return float(grey.var())
    if name == "gaussian-variance":
        mean, square = (ndimage.gaussian_filter(g, 2, mode="mirror", radius=8) for g in (grey, grey**2))
        return float(np.sqrt(np.maximum(square - mean**2, 0)).mean())
    if name == "laplacian":
        return float(ndimage.laplace(grey, mode="mirror").var())
    if name == "tenengrad":
        return float(sum(ndimage.sobel(grey, axis, mode="mirror") ** 2 for axis in (0, 1)).mean())
    if name == "brenner":
        return float(((grey[:, 2:] - grey[:, :-2]) ** 2).mean())
    return float((grey[:, :-1] * grey[:, 1:]).sum() - (grey[:, :-2] * grey[:, 2:]).sum())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SCORERS)
def test_measure_is_its_formula_in_every_dtype(name: str, dtype: str) -> None:
    image = noise((37, 50), dtype)
    assert SCORERS[name](image) == pytest.approx(reference(name, image), rel=1e-4)


@pytest.mark.parametrize("name", SCORERS)
def test_faint_16_bit_texture_survives_a_bright_background(name: str) -> None:
    image = (noise((64, 64), "uint16") % 8) + np.uint16(65_000)
    assert SCORERS[name](image) == pytest.approx(reference(name, image), rel=1e-3)


@pytest.mark.parametrize("offset", [2**31, 2**52])
def test_wide_integers_keep_their_texture(offset: int) -> None:
    image = noise((32, 32), "int64") + offset
    assert measures.variance(image) == pytest.approx(noise((32, 32)).var(), rel=1e-4)


def test_gaussian_variance_map_sees_faint_texture_beside_bright_16_bit_pixels() -> None:
    image = (noise((64, 200), "uint16") % 8) + np.uint16(1000)
    faint = measures.gaussian_variance_map(image[:, :80])
    image[:, 100:] = 65_535
    beside = measures.gaussian_variance_map(image)
    assert beside[:, 99].max() > 10_000
    assert beside[:, :70] == pytest.approx(faint[:, :70], rel=0.01)


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (1, 9)])
def test_tiny_tiles_do_not_crash(name: str, shape: tuple[int, int]) -> None:
    assert np.isfinite(SCORERS[name](noise(shape)))


@pytest.mark.parametrize("name", SCORERS)
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("subtiles", [1, 3])
def test_sharper_pixels_score_higher(name: str, step: int, subtiles: int) -> None:
    # Details of several pixels, for F4 compares pixels at one distance and at two.
    sharp = cv2.GaussianBlur(noise((128, 128, 3)).astype(np.float32), (0, 0), 2.5)
    soft = cv2.GaussianBlur(sharp, (0, 0), 4)
    assert score(sharp, name, step, subtiles) > score(soft, name, step, subtiles)


@pytest.mark.parametrize("name", [name for name in SCORERS if name != "vollath-f4"])
def test_an_even_image_scores_zero(name: str) -> None:
    assert SCORERS[name](np.full((40, 40), 200, np.uint8)) == 0


def test_luma_weights_three_channels_and_averages_others() -> None:
    pixels = noise((5, 4, 3))
    assert measures.luma(pixels) == pytest.approx(pixels @ [0.299, 0.587, 0.114], rel=1e-5)
    assert (measures.luma(pixels[:, :, :1]) == pixels[:, :, 0]).all()
    assert measures.luma(pixels[:, :, :2]) == pytest.approx(pixels[:, :, :2].mean(axis=2), rel=1e-5)
    assert measures.luma(noise((6, 7, 9))).shape == (6, 7)
    assert measures.luma(pixels.astype(">u2")).dtype == np.float32


def test_step_looks_at_every_nth_pixel_only() -> None:
    pixels = np.zeros((64, 64, 1), np.uint8)
    pixels[1::2] = 255
    assert score(pixels, "variance") > 0
    assert score(pixels, "variance", step=2) == 0


def test_a_small_structure_decides_in_a_split_cell() -> None:
    """A wide soft shadow outweighs one sharp speck, but not in the speck's own sub-tile."""
    x = np.linspace(0, 2 * np.pi, 128)
    shadow = (np.sin(x) * np.sin(x)[:, None] * 60)[..., None] + 100
    speck = np.full((128, 128, 1), 100.0)
    speck[8:16, 8:16] += noise((8, 8, 1)) * 1.5
    assert score(shadow, measures.variance) > score(speck, measures.variance)
    assert score(shadow, measures.variance, subtiles=8) < score(speck, measures.variance, subtiles=8)


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 2, 4, 8]), st.integers(1, 6))
def test_score_takes_cells_of_any_size(height: int, width: int, step: int, subtiles: int) -> None:
    assert score(noise((height, width, 3)), "blur-difference", step, subtiles) >= 0


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(OptionError, match=r"'sharpest'.*blur-difference, variance.*vollath-f4"):
        find_scorer("sharpest")
    with pytest.raises(OptionError, match="encoded-size"):
        find_scorer("encoded-size")
    with pytest.raises(OptionError, match="step 3"):
        score(noise((8, 8, 3)), "variance", step=3)
    with pytest.raises(OptionError, match="subtiles 0"):
        score(noise((8, 8, 3)), "variance", subtiles=0)
