"""Bad pixels with and without a dark frame, and the background that a camera gives."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from planish.errors import OptionError
from planish.lightsheet.background import background_level, dark_level
from planish.lightsheet.badpixels import BadPixelOptions, find_bad_pixels, replace_bad_pixels
from planish.lightsheet.knee import knee
from planish.lightsheet.phantom import PhantomOptions, TwoCameraPhantom

FRESH = [int(seed) for seed in np.random.default_rng().integers(2**31, size=3)]


def recall_and_precision(found: NDArray[np.bool_], bad: NDArray[np.bool_]) -> tuple[float, float]:
    hits = float((found & bad).sum())
    return hits / bad.sum(), hits / max(1, found.sum())


def dark_frame(seed: int, noise: float = 1.6, glow: float = 0.0) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Return a dark frame with 0.1 % of hot pixels, and which they are."""
    random = np.random.default_rng(seed)
    size = (400, 500)
    bad = random.random(size) < 1e-3
    level = 100 + glow * np.linspace(0, 1, size[1]) ** 2 + random.normal(0, noise, size)
    return np.rint(level + bad * random.uniform(30 + 10 * noise, 3000, size)).astype(np.uint16), bad


@pytest.mark.parametrize("seed", FRESH, ids=["a", "b", "c"])  # a worker of pytest-xdist draws its own
@pytest.mark.parametrize("camera", [0, 1])
def test_with_a_dark_frame_bad_pixels_are_found(seed: int, camera: int) -> None:
    phantom = TwoCameraPhantom(PhantomOptions(seed=seed, shape=(2, 256, 256)))
    found = find_bad_pixels(np.empty((2, 256, 256)), phantom.dark(camera))
    recall, precision = recall_and_precision(found, phantom.bad(camera))
    assert recall >= 0.99
    assert precision >= 0.99


@pytest.mark.parametrize("seed", FRESH, ids=["a", "b", "c"])  # a worker of pytest-xdist draws its own
@pytest.mark.parametrize("noise", [0.1, 0.5, 1.0, 1.6, 2.2, 6.0])
@pytest.mark.parametrize("glow", [0.0, 40.0])
def test_dark_frames_of_any_noise_and_with_a_glow_do(seed: int, noise: float, glow: float) -> None:
    dark, bad = dark_frame(seed, noise, glow)
    recall, precision = recall_and_precision(find_bad_pixels(np.empty((1, *bad.shape)), dark), bad)
    assert recall >= 0.99
    assert precision >= 0.97  # one or two of 200 by chance


def test_several_dark_frames_count_by_their_median() -> None:
    dark, bad = dark_frame(1)
    frames = np.stack([dark, dark, dark])
    frames[0, :50] += 500
    np.testing.assert_array_equal(find_bad_pixels(np.empty((1, *bad.shape)), frames), bad)


def test_two_dark_frames_with_little_noise_have_halves() -> None:
    frames = np.full((2, 60, 70), 100, np.uint16)
    frames[0, ::7, ::3] += 1
    frames[:, 3, 4] += 20
    assert np.argwhere(find_bad_pixels(np.empty((1, 60, 70)), frames)).tolist() == [[3, 4]]


def test_a_dark_frame_without_any_noise_shows_what_differs() -> None:
    dark = np.full((60, 70), 100.1, np.float32)
    dark[3, 4] = 101
    assert np.argwhere(find_bad_pixels(np.empty((1, 60, 70)), dark)).tolist() == [[3, 4]]


@pytest.mark.parametrize("seed", FRESH, ids=["a", "b", "c"])  # a worker of pytest-xdist draws its own
@pytest.mark.parametrize("depth", [64, 12])
def test_without_a_dark_frame_bad_pixels_are_found_among_few_others(seed: int, depth: int) -> None:
    phantom = TwoCameraPhantom(PhantomOptions(seed=seed, shape=(64, 256, 256)))
    volume = phantom.camera(seed % 2)
    recall, precision = recall_and_precision(find_bad_pixels(volume[:depth]), phantom.bad(seed % 2))
    assert recall >= 0.99
    assert precision >= 0.4


def specimen(seed: int) -> NDArray[np.uint16]:
    """Return smooth blobs, (40, 100, 120), with Poisson noise on 100 counts."""
    random = np.random.default_rng(seed)
    light = ndimage.gaussian_filter(random.gamma(0.2, 1, (40, 100, 120)), (1, 4, 4))
    return np.asarray(100 + random.poisson(400 * light / light.max()), np.uint16)


def test_a_pixel_that_flickers_or_is_stuck_is_bad() -> None:
    volume = specimen(4)
    volume[::5, 20, 30] += 3000
    bright = np.unravel_index(volume.std(axis=0).argmax(), volume.shape[1:])
    volume[:, 60, 60:70] = specimen(5)[:, 60, 60:70]
    volume[:, 50, 50] = np.where(np.arange(40) % 2, 3, 400)
    found = find_bad_pixels(volume)
    assert found[20, 30] and found[50, 50] and found[bright]


def test_a_camera_without_bad_pixels_has_next_to_none() -> None:
    assert find_bad_pixels(specimen(6)).mean() < 1e-3


def test_the_scale_of_the_counts_plays_no_part() -> None:
    volume = specimen(7)
    volume[:, 20, 30] += 900
    found = find_bad_pixels(volume)
    np.testing.assert_array_equal(found, find_bad_pixels(volume.astype(np.float64) / 2**14))


@pytest.mark.parametrize("value", [0, 7])
def test_a_volume_without_contrast_has_no_bad_pixels(value: int) -> None:
    assert not find_bad_pixels(np.full((20, 30, 40), value, np.uint16)).any()


def test_a_dark_frame_of_another_size_is_refused() -> None:
    with pytest.raises(OptionError, match="dark frame is 8 × 6 px, the volume 8 × 7"):
        find_bad_pixels(np.zeros((3, 7, 8)), np.zeros((6, 8)))


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(OptionError, match="threshold"):
        BadPixelOptions(threshold=0)
    with pytest.raises(OptionError, match="median range"):
        BadPixelOptions(median_range=0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_replaced_pixels_have_the_median_around_them_and_others_stay(dtype: str) -> None:
    volume = np.random.default_rng(8).integers(0, 200, (3, 20, 30)).astype(dtype)
    bad = np.random.default_rng(9).random((20, 30)) < 0.2
    bad[0, 0] = bad[-1, -1] = True
    replaced = replace_bad_pixels(volume, bad)
    expected = np.stack([ndimage.median_filter(plane, 3, mode="reflect") for plane in volume])
    np.testing.assert_array_equal(replaced[:, bad], expected[:, bad])
    np.testing.assert_array_equal(replaced[:, ~bad], volume[:, ~bad])
    np.testing.assert_array_equal(replace_bad_pixels(volume[1], bad), replaced[1])
    assert replaced.dtype == volume.dtype


def test_the_knee_is_farthest_from_the_chord() -> None:
    values = np.random.default_rng(10).permutation(np.concatenate([np.linspace(0, 1, 900), np.linspace(1, 50, 100)]))
    assert knee(values) == pytest.approx(1, abs=0.01)


def test_a_knee_of_many_values_is_that_of_a_sample() -> None:
    values = np.concatenate([np.linspace(0, 1, 900_000), np.linspace(1, 50, 100_000)])
    assert knee(values) == pytest.approx(1, abs=0.01)


def test_the_background_of_a_dark_frame_is_its_third_percentile() -> None:
    dark = np.arange(1000, dtype=np.uint16)
    assert dark_level(dark) == pytest.approx(29.5)


@pytest.mark.parametrize("step", [1, 7, 100])
def test_the_background_is_a_percentile_of_every_so_many_voxels_that_are_not_zero(step: int) -> None:
    volume = np.random.default_rng(11).integers(0, 3, (7, 40, 50)) * np.arange(2000).reshape(40, 50)
    taken = volume[volume != 0][::step]
    assert background_level(volume, 5, step) == np.percentile(taken, 5, method="hazen")


def test_a_volume_of_zeros_has_background_zero() -> None:
    assert background_level(np.zeros((2, 3, 4))) == 0


@pytest.mark.parametrize(("percentile", "step"), [(-1, 100), (101, 100), (5, 0)])
def test_a_background_out_of_range_is_refused(percentile: float, step: int) -> None:
    with pytest.raises(OptionError):
        background_level(np.zeros((2, 3, 4)), percentile, step)
