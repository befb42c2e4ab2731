"""Two views made one: against a literal loop, and on the made two-camera microscope."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.lightsheet.badpixels import replace_bad_pixels
from planish.lightsheet.blend import METHODS, NUMBERS, BlendOptions, blend, weights
from planish.lightsheet.phantom import PhantomOptions, TwoCameraPhantom
from planish.lightsheet.transform import CameraTransform, apply_camera

SEEDS = range(300, 305)
TILTED = 30.0


def volumes(seed: int, dtype: str = "uint16", shape: tuple[int, int, int] = (23, 13, 17)) -> list[NDArray[Any]]:
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 60000, shape).astype(dtype) for _ in range(2)]


def rough_surface(seed: int, shape: tuple[int, int], length: int) -> NDArray[np.float32]:
    surface = np.random.default_rng((seed, 1)).uniform(-3, length + 3, shape).astype(np.float32)
    surface[0, :4] = np.nan, 0, 5, length
    return surface


def literal(first: Any, second: Any, surface: Any, ramp: float, axis: str = "z", front: int = 0) -> NDArray[Any]:
    """Blend voxel by voxel, as the ramp is defined."""
    result: NDArray[Any] = np.empty_like(first)
    for z, y, x in np.ndindex(first.shape):
        behind = z - float(surface[y, x]) if axis == "z" else x - float(surface[y, z])
        behind = -behind if front else behind
        one, other = float(first[z, y, x]), float(second[z, y, x])
        if np.isnan(behind) or behind == 0:
            share = 0.5
        elif behind <= -ramp:
            share = 1.0
        elif behind >= ramp:
            share = 0.0
        else:
            share = (ramp - behind) / (2 * ramp)
        value = share * one + (1 - share) * other
        result[z, y, x] = round(value) if first.dtype.kind in "iu" else value
    return result


@pytest.mark.parametrize("front", [0, 1])
@pytest.mark.parametrize(("axis", "ramp"), [("z", None), ("x", None), ("z", 0.0), ("z", 2.5)])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_adaptive_equals_a_literal_loop_exactly(dtype: str, axis: str, ramp: float | None, front: int) -> None:
    first, second = volumes(1, dtype)
    surface = rough_surface(1, (13, 17) if axis == "z" else (13, 23), 23 if axis == "z" else 17)
    options = BlendOptions("adaptive", ramp, front, axis)
    expected = literal(first, second, surface, options.ramp, axis, front)
    found = blend(first, second, surface, options)
    assert found.dtype == first.dtype
    assert np.array_equal(found.read(), expected)


@pytest.mark.parametrize(("method", "plane"), [("geometric", None), ("geometric", 4.25), ("focus", None)])
def test_the_other_surfaces_take_the_same_ramp(method: str, plane: float | None) -> None:
    first, second = volumes(2)
    surface = np.full((13, 17), 11 if plane is None else plane)
    found = blend(first, second, surface, BlendOptions(method, plane=plane))
    assert np.array_equal(found.read(), literal(first, second, surface, 4))


def test_average_is_the_mean_rounded_to_even() -> None:
    first, second = (np.full((1, 1, 3), 0, np.uint16) + values for values in ([1, 2, 65535], [2, 3, 65535]))
    found = blend(first.astype(np.uint16), second.astype(np.uint16), options=BlendOptions("average"))
    assert found.read().tolist() == [[[2, 2, 65535]]]


def test_wavelet_of_a_view_with_itself_is_that_view() -> None:
    first, _ = volumes(3, shape=(2, 61, 75))
    assert np.array_equal(blend(first, first, options=BlendOptions("wavelet")).read(), first)


def test_wavelet_takes_each_half_from_the_view_that_has_its_details() -> None:
    truth = np.random.default_rng(0).normal(1000, 100, (1, 256, 256))
    left, right = truth.copy(), truth.copy()
    left[..., 128:], right[..., :128] = 1000, 1000
    found = blend(left, right, options=BlendOptions("wavelet")).read()
    inner = np.r_[8:112, 144:248]
    assert np.abs((found - truth)[..., inner]).mean() < 0.2 * np.abs((left + right) / 2 - truth)[..., inner].mean()


def test_wavelet_clips_what_overshoots() -> None:
    first = np.zeros((1, 64, 64), np.uint8)
    first[..., 31:] = 255
    second = np.roll(first, 3, axis=2)
    found = blend(first, second, options=BlendOptions("wavelet")).read()
    assert found.dtype == np.uint8
    assert {int(found.min()), int(found.max())} == {0, 255}


@pytest.mark.parametrize("method", METHODS)
def test_parts_equal_the_same_parts_of_the_whole(method: str) -> None:
    first, second = volumes(4, shape=(19, 40, 44))
    found = blend(first, second, rough_surface(4, (40, 44), 19), BlendOptions(method))
    whole = found.read(jobs=2)
    assert found.shape == whole.shape == first.shape
    assert np.array_equal(np.asarray(found), whole)
    for index in (3, -1, slice(5, 16, 3), (slice(None), 7), (..., slice(4, 9)), slice(0, 0)):
        assert np.array_equal(found[index], whole[index])


def test_a_plane_reads_no_other_plane() -> None:
    first, second = volumes(5)

    class Watched:
        shape, dtype = first.shape, first.dtype

        def __getitem__(self, key: slice) -> NDArray[Any]:
            assert (key.start, key.stop) == (6, 7)
            return first[key]

    assert np.array_equal(
        blend(Watched(), second, options=BlendOptions("geometric", plane=6))[6],
        blend(first, second, options=BlendOptions("geometric", plane=6)).read()[6],
    )


@pytest.mark.parametrize("method", ["adaptive", "geometric", "average"])
def test_weights_are_what_the_blend_takes(method: str) -> None:
    options, surface = BlendOptions(method, front=1), rough_surface(6, (13, 17), 23)
    share = weights((23, 13, 17), surface, options)
    ones, zeros = (np.full((23, 13, 17), value, np.float32) for value in (1, 0))
    assert share.dtype == np.float32
    assert np.array_equal(share.read(), blend(ones, zeros, surface, options).read())


def test_a_second_view_of_another_dtype_is_rounded_and_clipped() -> None:
    first = np.full((3, 2, 2), 10, np.uint8)
    second = np.full((3, 2, 2), 300.7, np.float32)
    found = blend(first, second, options=BlendOptions("geometric", range=0)).read()
    assert found[:, 0, 0].tolist() == [10, 155, 255]
    assert blend(first, np.full((3, 2, 2), -4.0), options=BlendOptions("geometric")).read().min() >= 0


def test_blending_is_told_of_by_planes() -> None:
    told: list[tuple[str, int, int]] = []
    first, second = volumes(7)
    blend(first, second, options=BlendOptions("average")).read(1, lambda *step: told.append(step))
    assert told == [("blend", 8, 23), ("blend", 16, 23), ("blend", 23, 23)]


def test_default_ranges_and_numbers_are_those_of_matlab() -> None:
    assert (BlendOptions().ramp, BlendOptions(axis="x").ramp) == (4, 20)
    assert NUMBERS == {0: "adaptive", 1: "geometric", 2: "wavelet", 3: "average"}


def test_what_does_not_fit_is_refused() -> None:
    first, second = volumes(8)
    with pytest.raises(OptionError, match="crop them alike"):
        blend(first, second[1:], options=BlendOptions("average"))
    with pytest.raises(OptionError, match="adaptive needs the surface"):
        blend(first, second, options=BlendOptions("adaptive"))
    with pytest.raises(OptionError, match=r"\(13, 17\) does"):
        blend(first, second, np.zeros((17, 13)), BlendOptions("adaptive"))
    with pytest.raises(OptionError, match="not \\(13, 17\\)"):
        blend(first[0], second[0], options=BlendOptions("average"))
    with pytest.raises(OptionError, match="no weights to show"):
        weights(first.shape, None, BlendOptions("wavelet"))


@pytest.mark.parametrize("options", [{"method": "max"}, {"axis": "y"}, {"front": 2}, {"range": -1}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        BlendOptions(**options)


@cache
def seen(seed: int, tilt: float) -> tuple[TwoCameraPhantom, NDArray[Any], NDArray[Any]]:
    """Return a made microscope and its views, corrected, registered with the true parameters and of one brightness."""
    phantom = TwoCameraPhantom(PhantomOptions(seed=seed, tilt=tilt))
    options = phantom.options
    first, second = (
        replace_bad_pixels(phantom.camera(camera), phantom.bad(camera)).astype(np.float32) - options.sensor.offset
        for camera in (0, 1)
    )
    second = apply_camera(
        np.ascontiguousarray(second[:, :, ::-1]), CameraTransform(options.dx, options.dy, options.angle_deg)
    )
    return phantom, first, second / np.float32(options.gain)


def psnr(volume: NDArray[Any], truth: NDArray[Any], *, outer: bool) -> float:
    """Return the peak signal-to-noise ratio in dB, of the whole volume or of its first and last third."""
    error = volume.astype(np.float64) - truth
    if outer:
        third = len(error) // 3
        error = np.concatenate([error[:third], error[-third:]])
    return float(10 * np.log10(float(truth.max()) ** 2 / np.mean(error**2)))


@pytest.mark.parametrize("method", ["focus", "geometric"])
@pytest.mark.parametrize("seed", SEEDS)
def test_outer_thirds_gain_6_db_on_one_camera_and_1_db_on_the_average(seed: int, method: str) -> None:
    phantom, first, second = seen(seed, 0.0)
    fused, average = (
        psnr(blend(first, second, options=BlendOptions(name)).read(), phantom.truth, outer=True)
        for name in (method, "average")
    )
    single = max(psnr(view, phantom.truth, outer=True) for view in (first, second))
    assert fused >= single + 6
    assert fused >= average + 1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tilted_crossover_is_met_to_0_1_db_and_gains_0_25_db_on_a_plane(seed: int) -> None:
    phantom, first, second = seen(seed, TILTED)
    focus = psnr(blend(first, second).read(), phantom.truth, outer=False)
    oracle = psnr(blend(first, second, phantom.surface, BlendOptions("adaptive")).read(), phantom.truth, outer=False)
    plane = psnr(blend(first, second, options=BlendOptions("geometric")).read(), phantom.truth, outer=False)
    assert focus >= oracle - 0.1
    assert focus >= plane + 0.25
