"""The foreground mask: against its formula, whatever the slab, and what becomes of small objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from planish.errors import OptionError
from planish.lightsheet.gaussian import Gaussian, smooth_planes
from planish.lightsheet.mask import Foreground, MaskOptions, apply_mask, foreground, merge_masks
from planish.lightsheet.smallobjects import remove_small

SHAPE = (24, 70, 90)


def volume(seed: int = 1) -> NDArray[np.uint16]:
    """Return an ellipsoid of 300 counts on 100, with noise."""
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    inside = ((z - 11) / 8) ** 2 + ((y - 30) / 20) ** 2 + ((x - 50) / 25) ** 2 < 1
    return np.random.default_rng(seed).poisson(100 + 300 * inside).astype(np.uint16)


def whole(mask: NDArray[np.bool_], smallest: int) -> NDArray[np.bool_]:
    """Return what `remove_small` should: by labels of the whole volume."""
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    return np.asarray(mask & (sizes >= smallest)[labels])


@pytest.mark.parametrize(
    ("gaussian", "sigma"),
    [(Gaussian(), (2, 2, 2)), (Gaussian(axial_ratio=5), (1, 2, 2)), (Gaussian(3, 1.5), (2, 3, 3))],
)
def test_a_precise_gaussian_is_one(gaussian: Gaussian, sigma: tuple[float, ...]) -> None:
    expected = ndimage.gaussian_filter(volume().astype(np.float64), sigma, mode="nearest", truncate=4)
    found = np.stack(list(smooth_planes(volume(), gaussian, 5, 2)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(("ratio", "planes"), [(1.0, 5), (2.0, 3), (5.0, 1), (10.0, 1)])
def test_a_quick_gaussian_is_as_short_as_in_the_original(ratio: float, planes: int) -> None:
    gaussian = Gaussian(2, ratio, precise=False)
    assert gaussian.lateral.shape == (5,)
    assert gaussian.axial.shape == (planes,)
    assert gaussian.axial.sum() == pytest.approx(1)


@pytest.mark.parametrize("slab", [1, 2, 5, 24, 100])
@pytest.mark.parametrize("precise", [True, False])
@pytest.mark.parametrize("depth", [1, 3, 24])
def test_smoothing_does_not_depend_on_the_slab(slab: int, precise: bool, depth: int) -> None:
    gaussian = Gaussian(precise=precise)
    expected = np.stack(list(smooth_planes(volume()[:depth], gaussian, depth, 1)))
    np.testing.assert_array_equal(np.stack(list(smooth_planes(volume()[:depth], gaussian, slab, 2))), expected)


def test_the_mask_is_what_the_formula_says() -> None:
    smooth = np.stack(list(smooth_planes(volume(), Gaussian(), 24, 1)))
    sample = smooth.ravel()[::100].astype(np.float64)
    dark = np.percentile(sample, 1, method="hazen")
    expected = smooth > dark + 0.4 * (sample.mean() - dark)
    np.testing.assert_array_equal(foreground(volume(), MaskOptions(smallest=0)).mask, expected)


def test_the_specimen_is_found() -> None:
    mask = foreground(volume(), MaskOptions(level=1.0)).mask
    z, y, x = (round(float(at)) for at in ndimage.center_of_mass(mask))
    assert (z, y, x) == (11, 30, 50)


@pytest.mark.parametrize("slab", [1, 3, 7, 24])
@pytest.mark.parametrize("jobs", [1, 3])
def test_the_foreground_does_not_depend_on_the_slab(slab: int, jobs: int) -> None:
    expected = foreground(volume(), MaskOptions(slab=100, jobs=1, smallest=1e-3))
    found = foreground(volume(), MaskOptions(slab=slab, jobs=jobs, smallest=1e-3))
    np.testing.assert_array_equal(found.mask, expected.mask)
    np.testing.assert_array_equal(found.z_yx, expected.z_yx)
    np.testing.assert_array_equal(found.x_yz, expected.x_yz)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.9])
@pytest.mark.parametrize("slab", [1, 2, 5, 20])
def test_small_objects_are_those_of_the_whole_volume(share: float, slab: int) -> None:
    mask = np.random.default_rng().random((13, 20, 25)) < share
    for smallest in (0, 1, 2, 5, 40, 10_000):
        found = mask.copy()
        remove_small(found, smallest, slab, 2)
        np.testing.assert_array_equal(found, whole(mask, smallest))


def test_an_object_that_winds_through_many_slabs_is_one() -> None:
    mask = np.zeros((9, 10, 12), bool)
    mask[:, 2, 3] = mask[8, 2, 3:9] = mask[:, 2, 9] = True
    mask[0, 7:9, 1] = True
    found = mask.copy()
    remove_small(found, 20, 2, 1)
    np.testing.assert_array_equal(found, whole(mask, 20))
    assert found[0, 2, 9] and not found[0, 8, 1]


def test_maps_are_means_over_the_mask() -> None:
    mask = np.random.default_rng(3).random(SHAPE) < 0.02
    found = Foreground.of(mask)
    z, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]][[0, 2]].astype(np.float64)
    z[~mask] = x[~mask] = np.nan
    seen_z, seen_x = mask.any(axis=0), mask.any(axis=2).T
    assert found.z_yx.dtype == found.x_yz.dtype == np.float32
    np.testing.assert_allclose(found.z_yx[seen_z], np.nanmean(z[:, seen_z], axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.x_yz[seen_x], np.nanmean(x.transpose(2, 1, 0)[:, seen_x], axis=0), rtol=1e-6)
    assert np.isnan(found.z_yx[~seen_z]).all() and np.isnan(found.x_yz[~seen_x]).all()


@pytest.mark.parametrize("value", [0, 100, 100.3])
def test_a_volume_without_contrast_has_no_foreground(value: float) -> None:
    found = foreground(np.full((5, 40, 50), value, np.float32))
    assert not found.mask.any()
    assert np.isnan(found.z_yx).all()


def test_volumes_are_read_by_planes() -> None:
    class Lazy:
        shape = SHAPE

        def __getitem__(self, index: int) -> NDArray[Any]:
            plane: NDArray[Any] = volume()[int(index)]
            return plane

    np.testing.assert_array_equal(foreground(Lazy()).mask, foreground(volume()).mask)


def test_masks_are_merged_into_their_union() -> None:
    masks = [np.random.default_rng(seed).random((3, 4, 5)) < 0.2 for seed in range(4)]
    union = merge_masks(mask.astype(np.uint8) for mask in masks)
    np.testing.assert_array_equal(union, np.any(masks, axis=0))
    assert union.dtype == bool


def test_masks_of_other_shapes_or_none_are_refused() -> None:
    with pytest.raises(OptionError, match="mask 1 is"):
        merge_masks([np.zeros((3, 4, 5)), np.zeros((3, 4, 6))])
    with pytest.raises(OptionError, match="no masks"):
        merge_masks([])


def test_outside_the_mask_is_zero() -> None:
    planes, mask = volume(), volume() > 200
    applied = apply_mask(planes, mask)
    assert applied.dtype == planes.dtype
    np.testing.assert_array_equal(applied, planes * mask)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "all"},
        {"gaussian": Gaussian(sigma=0)},
        {"gaussian": Gaussian(axial_ratio=-1)},
        {"level": -0.1},
        {"smallest": 2},
        {"slab": 0},
        {"jobs": 0},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        MaskOptions(**options)
