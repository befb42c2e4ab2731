"""Cameras and channels are laid on each other far below a pixel, and strangers are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.lightsheet.alignment import NothingInCommon
from planish.lightsheet.camera_registration import CameraRegistrationOptions, register_cameras
from planish.lightsheet.channel_registration import ChannelRegistrationOptions, register_channels
from planish.lightsheet.phantom import PhantomOptions, TwoCameraPhantom
from planish.lightsheet.phantom_options import SecondChannel
from planish.lightsheet.transform import (
    CameraTransform,
    ChannelTransform,
    Rigid,
    apply_camera,
    apply_channel,
    covered,
    move_image,
    rigid,
)

SHAPE = (32, 192, 208)


def field_rms(found: NDArray[Any], true: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return how far two matrices put pixels apart: rms along x and y over 9 × 9 places, to the corners."""
    y, x = (np.linspace(0, edge - 1, 9) for edge in size)
    places = np.stack([*(grid.ravel() for grid in np.meshgrid(x, y)), np.ones(81)])
    return np.asarray(np.sqrt(np.mean(((found - true) @ places) ** 2, axis=1)))


def error_of(found: CameraTransform, options: PhantomOptions) -> float:
    true = Rigid(options.dx, options.dy, options.angle_deg)
    size = options.shape[1:]
    return float(np.hypot(*field_rms(found.rigid.matrix(size), true.matrix(size), size)))


def pair(options: PhantomOptions) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    phantom = TwoCameraPhantom(options)
    return phantom.view(0), phantom.view(1)


def turned_somehow(seed: int, **more: Any) -> PhantomOptions:
    dx, dy, angle = np.random.default_rng(seed).uniform(-1, 1, 3) * (45, 45, 1.8)
    return PhantomOptions(seed=seed, shape=SHAPE, dx=float(dx), dy=float(dy), angle_deg=float(angle), **more)


@pytest.mark.parametrize("seed", range(10, 14))
def test_cameras_are_registered_within_a_twentieth_of_a_pixel(seed: int) -> None:
    options = turned_somehow(seed)
    assert error_of(register_cameras(*pair(options)), options) <= 0.05


@pytest.mark.parametrize("signs", [(1, -1, 1), (-1, -1, -1)])
def test_cameras_are_registered_at_the_search_range_s_corners(signs: tuple[int, int, int]) -> None:
    x, y, turn = signs
    options = PhantomOptions(seed=20, dx=45.0 * x, dy=45.0 * y, angle_deg=1.8 * turn)
    assert error_of(register_cameras(*pair(options)), options) <= 0.05


@pytest.mark.parametrize("more", [{"tilt": 12.0}, {"blur": 8.0}])
@pytest.mark.parametrize("with_surface", [False, True])
def test_tilted_crossover_or_double_blur_costs_little(more: dict[str, float], with_surface: bool) -> None:
    options = turned_somehow(30, **more)
    phantom = TwoCameraPhantom(options)
    surface = np.where(phantom.truth.max(axis=0) > 20, phantom.surface, np.nan) if with_surface else None
    found = register_cameras(phantom.view(0), phantom.view(1), surface=surface)
    assert error_of(found, options) <= 0.15
    assert found.score > 0.5


def test_one_plane_is_enough_to_register() -> None:
    options = turned_somehow(40)
    first, second = (volume[15:16] for volume in pair(options))
    assert error_of(register_cameras(first, second), options) <= 0.15


def test_dim_view_with_an_offset_is_no_stranger() -> None:
    options = turned_somehow(41, gain=0.1)
    found = register_cameras(*pair(options))
    assert found.score > 0.8
    assert error_of(found, options) <= 0.15


def test_strangers_are_refused_with_what_to_do() -> None:
    first, second = pair(turned_somehow(50))[0], pair(turned_somehow(51))[1]
    with pytest.raises(NothingInCommon, match=r"nothing in common.*flip.*min_score"):
        register_cameras(first, second)


def test_view_that_was_not_flipped_is_refused() -> None:
    phantom = TwoCameraPhantom(turned_somehow(52))
    with pytest.raises(NothingInCommon):
        register_cameras(phantom.view(0), phantom.camera(1))


def test_empty_view_is_refused() -> None:
    first = pair(turned_somehow(53))[0]
    with pytest.raises(NothingInCommon, match=r"0\.00"):
        register_cameras(first, np.zeros_like(first))


def test_cameras_of_different_size_are_refused_with_both_sizes() -> None:
    with pytest.raises(OptionError, match=r"\(4, 32, 32\) and \(4, 32, 40\)"):
        register_cameras(np.zeros((4, 32, 32)), np.zeros((4, 32, 40)))


@pytest.mark.parametrize("options", [{"planes": 0}, {"half_slab": -1}, {"max_shift_px": -1.0}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        CameraRegistrationOptions(**options)


@pytest.mark.parametrize("voxel_um", [(0.40625, 0.40625, 0.40625), (1.0, 0.40625, 0.40625)])
def test_channels_are_registered_within_a_twentieth_of_a_plane(voxel_um: tuple[float, float, float]) -> None:
    options = PhantomOptions(seed=60, shape=(48, 160, 192), voxel_um=voxel_um, second_channel=SecondChannel(2.3, -1.1))
    phantom, ratio = TwoCameraPhantom(options), voxel_um[0] / voxel_um[2]
    found = register_channels(phantom.view(0, 0), phantom.view(0, 1), ChannelRegistrationOptions(axial_ratio=ratio))
    size = (48, 192)
    true = ChannelTransform(2.3, -1.1)
    assert field_rms(found.matrix(size, ratio), true.matrix(size, ratio), size)[1] <= 0.05
    assert found.angle_deg == pytest.approx(-1.1, abs=0.06)


def test_strange_channels_are_refused() -> None:
    first, second = pair(turned_somehow(61))[0], pair(turned_somehow(62))[0]
    with pytest.raises(NothingInCommon, match="channels"):
        register_channels(first, second)


def test_channels_of_different_size_are_refused() -> None:
    with pytest.raises(OptionError, match="channels"):
        register_channels(np.zeros((4, 32, 32)), np.zeros((5, 32, 32)))


def test_transforms_invert_and_compose() -> None:
    size = (40, 60)
    one, two = Rigid(3.0, -4.0, 2.0), Rigid(-1.5, 7.0, -0.7)
    whole = {name: np.vstack([each.matrix(size), (0, 0, 1)]) for name, each in (("one", one), ("two", two))}
    assert np.allclose(one.then(two).matrix(size), (whole["two"] @ whole["one"])[:2])
    assert np.allclose(one.then(one.inverse()).matrix(size), np.eye(3)[:2])
    back = rigid(one.matrix(size), size)
    assert (back.dx, back.dy, back.angle_deg) == pytest.approx((3.0, -4.0, 2.0))
    assert CameraTransform(1, 2, 3, 0.9).inverse().inverse().rigid.dx == pytest.approx(1)


def test_moved_camera_lies_on_the_first_one() -> None:
    options = replace(turned_somehow(70), dx=10.4, dy=-6.7, gain=1.0, blur=0.0, loss=0.0)
    phantom = TwoCameraPhantom(options)
    transform = CameraTransform(options.dx, options.dy, options.angle_deg)
    seen = covered(SHAPE[1:], transform)
    moved = apply_camera(phantom.clean(1), transform)
    assert 0.8 < seen.mean() < 0.95
    error = (moved - phantom.truth)[:, seen]
    # Sampled at one pixel's sigma, beads can be drawn anew to a few per cent.
    assert np.sqrt(np.mean(error**2)) < 0.01 * phantom.truth.max()
    assert not moved[:, ~covered(SHAPE[1:], replace(transform, dx=9.0))].all()


def test_moved_channel_lies_on_the_first_one() -> None:
    sheet = SecondChannel(dz=2.4, angle_deg=1.0, loss=0.0, reweight=0.0)
    phantom = TwoCameraPhantom(PhantomOptions(seed=71, shape=SHAPE, blur=0.0, loss=0.0, second_channel=sheet))
    moved = apply_channel(phantom.clean(0, 1), ChannelTransform(2.4, 1.0), 1 / 0.40625)
    error = (moved - phantom.clean(0, 0))[4:-4]
    assert np.sqrt(np.mean(error**2)) < 0.01 * phantom.truth.max()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "bool"])
def test_moving_keeps_dtype_and_whole_steps_are_exact(dtype: str) -> None:
    volume = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 200, (3, 20, 24)).astype(dtype)
    out = np.empty_like(volume)
    moved = apply_camera(volume, CameraTransform(3.0, -2.0), out=out, jobs=2)
    assert moved is out
    assert moved.dtype == volume.dtype
    assert np.array_equal(moved[:, 2:, :-3], volume[:, :-2, 3:])
    assert not moved[:, :2].any()


def test_labels_are_moved_without_new_values() -> None:
    labels = np.random.default_rng(1).choice([0, 7, 1000], (30, 30)).astype(np.uint16)
    moved = move_image(labels, Rigid(0.4, 0.3, 5.0).matrix((30, 30)), nearest=True)
    assert set(np.unique(moved)) <= {0, 7, 1000}


def test_planes_without_distance_are_refused() -> None:
    with pytest.raises(OptionError, match="axial ratio"):
        apply_channel(np.zeros((2, 3, 4)), ChannelTransform(), 0.0)
