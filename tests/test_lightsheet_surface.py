"""Where one view takes over from the other: from masks, and from the views' own focus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.lightsheet.mask import Foreground
from planish.lightsheet.padding import extended, pad
from planish.lightsheet.surface import FocusOptions, SurfaceOptions, focus_surface, transition_surface

PLAIN = SurfaceOptions(median=0)


@dataclass(frozen=True)
class Maps:
    """What of a foreground makes a surface."""

    z_yx: NDArray[Any]
    x_yz: NDArray[Any]


def maps(z_yx: list[list[float]], planes: int = 11) -> Maps:
    z = np.array(z_yx, np.float32)
    return Maps(z, np.full((z.shape[0], planes), np.nan, np.float32))


def crossing_views(seed: int, surface: NDArray[Any], planes: int = 32) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return views of one texture, whose contrast falls off on either side of a surface (Y, X)."""
    texture = np.random.default_rng(seed).normal(0, 100, (planes, *surface.shape))
    behind = np.arange(planes)[:, None, None] - surface
    fading = np.exp(-behind / 20)
    return 500 + texture * fading, 500 + texture / fading


def slope(height: int, width: int, rise: float, middle: float = 15.5) -> NDArray[np.float64]:
    return np.broadcast_to(middle + np.linspace(-rise / 2, rise / 2, width), (height, width))


def test_the_surface_is_the_mean_of_both_masks_middles() -> None:
    surface = transition_surface(maps([[2, 4]]), maps([[4, 5]]), options=PLAIN)
    assert surface.dtype == np.float32
    assert surface.tolist() == [[3, 4.5]]


def test_the_surface_of_real_masks_lies_halfway_through_them() -> None:
    masks = np.zeros((2, 20, 40, 40), bool)
    masks[0, 4:12, 5:35, 5:35] = True
    masks[1, 6:14, 5:35, 5:35] = True
    surface = transition_surface(Foreground.of(masks[0]), Foreground.of(masks[1]))
    assert np.allclose(surface[5:35, 5:35], 8.5)
    assert np.isnan(surface[:5]).all()


def test_channels_take_the_masks_middles_along_x() -> None:
    first, second = (Maps(np.zeros((3, 9), np.float32), np.full((3, 4), x, np.float32)) for x in (2, 5))
    surface = transition_surface(first, second, options=SurfaceOptions(axis="x"))
    assert surface.shape == (3, 4)
    assert np.allclose(surface, 3.5)


@pytest.mark.parametrize(("views", "expected"), [("either", [[2, 4, 7]]), ("both", [[np.nan, np.nan, 7]])])
def test_what_one_mask_alone_knows_counts_or_not(views: str, expected: list[list[float]]) -> None:
    first, second = maps([[2, np.nan, 6]]), maps([[np.nan, 4, 8]])
    surface = transition_surface(first, second, options=SurfaceOptions(views=views, median=0))
    assert np.array_equal(surface, expected, equal_nan=True)


@pytest.mark.parametrize(("axis", "middle"), [("z", 5.0), ("x", 1.0)])
def test_padding_with_the_centre_takes_the_volumes_middle(axis: str, middle: float) -> None:
    empty = maps([[np.nan] * 3] * 2)
    surface = transition_surface(empty, empty, "centre", SurfaceOptions(axis=axis))
    assert (surface == middle).all()


def test_no_mask_and_no_padding_is_an_unknown_surface() -> None:
    empty = maps([[np.nan] * 3] * 2)
    assert np.isnan(transition_surface(empty, empty)).all()
    assert np.isnan(transition_surface(empty, empty, "dilate")).all()


def test_dilating_reaches_as_far_as_the_disk() -> None:
    surface = np.full((121, 121), np.nan, np.float32)
    surface[60, 60] = 7
    padded = pad(surface, "dilate", 0)
    y, x = np.mgrid[-60:61, -60:61]
    assert np.array_equal(np.isfinite(padded), np.hypot(y, x) <= 50)
    assert np.allclose(padded[np.isfinite(padded)], 7)


def test_what_is_dilated_into_goes_on_smoothly_and_keeps_what_was_known() -> None:
    surface = np.broadcast_to(np.linspace(0, 20, 100, dtype=np.float32), (80, 100)).copy()
    known = np.zeros(surface.shape, bool)
    known[20:60, 20:80] = True
    known[35:45, 45:55] = False
    padded = pad(np.where(known, surface, np.nan), "dilate", 0)
    assert np.array_equal(padded[known], surface[known])
    assert np.abs(padded[35:45, 45:55] - surface[35:45, 45:55]).max() < 0.5
    assert np.abs(np.diff(padded[40])).max() < 1
    assert padded.min() >= surface[known].min() - 1e-4
    assert padded.max() <= surface[known].max() + 1e-4


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (2, 2), (7, 13)])
def test_extending_knows_no_smallest_surface(shape: tuple[int, int]) -> None:
    surface = np.full(shape, np.nan)
    surface[0, 0] = 3
    assert np.allclose(extended(surface), 3)


@pytest.mark.parametrize("median", [9, 100])
def test_the_median_takes_off_a_spike_and_keeps_a_slope(median: int) -> None:
    surface = slope(120, 160, 20).astype(np.float32).copy()
    surface[60, 80] = 500
    view = Maps(surface, np.zeros((120, 31), np.float32))
    found = transition_surface(view, view, options=SurfaceOptions(median=median))
    assert np.abs(found - slope(120, 160, 20)).max() < 1


def test_a_gaussian_keeps_a_slope_and_lessens_noise() -> None:
    surface = slope(60, 80, 20) + np.random.default_rng(0).normal(size=(60, 80))
    view = Maps(surface.astype(np.float32), np.zeros((60, 31), np.float32))
    found = transition_surface(view, view, options=SurfaceOptions(median=0, sigma=5))
    assert (found - slope(60, 80, 20)).std() < 0.2


def test_views_of_other_sizes_are_refused() -> None:
    with pytest.raises(OptionError, match="crop the views alike"):
        transition_surface(maps([[1]]), maps([[1, 2]]))


@pytest.mark.parametrize(
    "options", [{"axis": "y"}, {"views": "one"}, {"median": -1}, {"sigma": -1.0}, {"radius": -1.0}]
)
def test_surface_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        SurfaceOptions(**options)


def test_an_unknown_padding_is_refused() -> None:
    with pytest.raises(OptionError, match="use none, centre, dilate"):
        pad(np.zeros((2, 2)), "mirror", 0)


@pytest.mark.parametrize("rise", [0, 10])
@pytest.mark.parametrize("seed", range(5))
def test_the_focus_crossing_of_a_sloping_surface_is_found(seed: int, rise: float) -> None:
    truth = slope(128, 160, rise)
    found = focus_surface(*crossing_views(seed, truth))
    assert found.dtype == np.float32
    assert np.sqrt(np.mean((found - truth) ** 2)) < 0.5


def test_the_second_view_can_be_the_one_in_front() -> None:
    truth = slope(96, 96, 6)
    first, second = crossing_views(1, truth)
    assert np.abs(focus_surface(second, first, FocusOptions(front=1)) - truth).max() < 1


def test_light_sheets_cross_along_x() -> None:
    truth = slope(96, 32, 20, 80)
    views = [view.transpose(1, 2, 0) for view in crossing_views(2, truth[:, :], 160)]
    first, second = (np.ascontiguousarray(view.transpose(1, 0, 2)) for view in views)
    found = focus_surface(first, second, FocusOptions(axis="x"))
    assert found.shape == (96, 32)
    assert np.sqrt(np.mean((found - truth) ** 2)) < 8


def test_a_cell_of_wrong_crossings_does_not_bend_the_focus_surface() -> None:
    truth = slope(160, 160, 8)
    first, second = crossing_views(3, truth)
    first[:, 64:96, 64:96], second[:, 64:96, 64:96] = second[:, 64:96, 64:96].copy(), first[:, 64:96, 64:96].copy()
    assert np.abs(focus_surface(first, second) - truth).max() < 1


def test_pixels_that_stay_hot_do_not_matter() -> None:
    truth = slope(128, 128, 0)
    first, second = crossing_views(4, truth)
    hot = np.random.default_rng(0).random(truth.shape) < 0.002
    first[:, hot] += 2000
    assert np.abs(focus_surface(first, second) - truth).mean() < 2


def test_views_without_any_structure_cross_in_the_middle() -> None:
    flat = np.full((9, 40, 50), 7, np.uint16)
    assert (focus_surface(flat, flat) == 4).all()


def test_a_volume_smaller_than_a_cell_has_a_surface() -> None:
    found = focus_surface(*crossing_views(5, slope(20, 24, 0)))
    assert found.shape == (20, 24)
    assert np.abs(found - 15.5).max() < 3


def test_the_focus_is_told_of_by_planes() -> None:
    told: list[tuple[str, int, int]] = []
    flat = np.zeros((3, 40, 40), np.uint8)
    focus_surface(flat, flat, progress=lambda *step: told.append(step))
    assert told == [("focus", 1, 3), ("focus", 2, 3), ("focus", 3, 3)]


def test_views_of_other_shapes_have_no_focus_surface() -> None:
    with pytest.raises(OptionError, match="crop them alike"):
        focus_surface(np.zeros((3, 9, 9)), np.zeros((4, 9, 9)))


@pytest.mark.parametrize("options", [{"axis": "y"}, {"front": 2}, {"cell": 4}, {"sigma": 0.0}, {"jobs": -1}])
def test_focus_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        FocusOptions(**options)
