"""Selective fusion: as the reference with ``compat``, nearer to the truth without, tiles equal to the whole."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from planish.errors import OptionError
from planish.focus.measures import luma
from planish.fuse.host import HostBackend
from planish.fuse.method import Window
from planish.fuse.planes import ArrayPlanes
from planish.fuse.selective import Selective
from planish.fuse.stack import fuse_stack
from planish.fuse.tiles import fuse_box
from planish.model import Box

Image = NDArray[Any]


def fused(stack: Image, tile_size: int | None = None, **options: Any) -> Image:
    return fuse_stack(stack, Selective(**options), backend="numpy", jobs=1, tile_size=tile_size).image


def noise(shape: tuple[int, ...], dtype: Any = np.uint16, seed: int = 0) -> Image:
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    return (np.random.default_rng(seed).random(shape) * top).astype(dtype)


def texture(size: int, random: np.random.Generator, *sigmas: float) -> Image:
    parts = [ndimage.gaussian_filter(random.standard_normal((size, size)), sigma) for sigma in sigmas]
    return np.asarray(sum(part / part.std() for part in parts))


def tissue(seed: int) -> tuple[Image, Image]:
    """Return planes of texture that lies on a slope, 9 of 16 bits, and the truth."""
    random = np.random.default_rng(seed)
    sharp = 20000 + 2500 * texture(160, random, 1, 3, 10)
    depth = np.broadcast_to(np.linspace(0, 8, 160), (160, 160))
    stack = np.empty((9, 160, 160))
    for plane in range(9):
        steps = np.rint(4 * np.abs(plane - depth)).astype(int)
        for step in np.unique(steps):
            stack[plane][steps == step] = ndimage.gaussian_filter(sharp, 1.2 * step / 4)[steps == step]
    stack += random.normal(0, 300, stack.shape)
    return stack.round().clip(0, 65535).astype(np.uint16), sharp


def clumps(seed: int, planes: int = 7) -> tuple[Image, Image]:
    """Return planes of cells that absorb light above bright glass, RGB, and the truth."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:160, :160]
    glass = np.array([236.0, 232, 238])
    logs = np.zeros((planes + 1, 160, 160))
    for column, row in random.integers(0, 160, (7, 2)):
        disc = (np.hypot(x - column, y - row) < random.integers(9, 22)) * 0.25
        drawn = disc * (2 + 0.7 * texture(160, random, 1.2, 3)).clip(0.2)
        z = random.uniform(0, planes - 1)
        logs += [drawn, *(ndimage.gaussian_filter(drawn, 1.2 * abs(plane - z) + 1e-3) for plane in range(planes))]
    colours = glass * np.exp(-logs[..., None] * [0.6, 1, 0.5])
    stack = colours[1:] + random.normal(0, 3, colours[1:].shape)
    return stack.round().clip(0, 255).astype(np.uint8), colours[0]


def psnr(image: Image, truth: Image) -> float:
    return float(10 * np.log10(np.iinfo(image.dtype).max ** 2 / np.square(image.astype(float) - truth).mean()))


def plainly(stack: Image, window: int = 9, alpha: float = 0.2, threshold: float = 13) -> Image:
    """Return what the documentation says, computed pixel by pixel in double precision."""
    grey = np.stack([luma(plane.reshape(*plane.shape[:2], -1)) for plane in stack]).astype(float)
    size, z = (1, window, window), np.arange(len(stack))
    measure = ndimage.uniform_filter(
        (grey - ndimage.uniform_filter(grey, size, mode="nearest")) ** 2, size, mode="nearest"
    )
    measure += 1 / 12
    profiles = measure / measure.max(axis=0)
    error = np.empty(profiles.shape[1:])
    for row, column in np.ndindex(error.shape):
        profile = profiles[:, row, column]
        peak = int(profile.argmax())
        around = sorted({max(peak - 2, 0), peak, min(peak + 2, len(stack) - 1)})
        t, logs = z[around] - peak, np.log(profile[around])
        if len(around) < 3:
            t, logs = np.append(t, -t[t != 0]), np.append(logs, logs[t != 0])
        error[row, column] = np.abs(profile - np.exp(np.polyval(np.polyfit(t, logs, 2), z - peak))).mean()
    error = ndimage.uniform_filter(error, window, mode="nearest") + 2 / (np.sqrt(np.pi) * window) * min(1, 3 / len(z))
    contrast = ndimage.uniform_filter(2 * (1 - profiles.min(axis=0)), window, mode="nearest")
    phi = (1 + np.tanh(alpha * (20 * np.log10(contrast / error) - threshold))) / (2 * alpha)
    phi = ndimage.median_filter(phi, 3, mode="nearest")
    weights = (0.5 + 0.5 * np.tanh(phi * (profiles - 1))).reshape(profiles.shape + (1,) * (stack.ndim - 3))
    return np.asarray((weights * stack).sum(axis=0) / weights.sum(axis=0))


@pytest.mark.parametrize(("kind", "equal"), [("rgb", 0.999), ("gray16", 0.995)])
@pytest.mark.parametrize("tile_size", [None, 75])
def test_compat_is_within_a_level_of_the_reference(
    golden: Callable[[str], Any], kind: str, equal: float, tile_size: int | None
) -> None:
    known = golden("selective_all_in_focus.npz")
    image = fused(known[f"{kind}_stack"], tile_size, compat=True)
    away = np.abs(image.astype(int) - known[f"{kind}_image"])
    assert image.dtype == known[f"{kind}_stack"].dtype
    assert away.max() <= 1
    # Single precision is sure of 16-bit levels to about a thousandth: so often, a half is rounded the other way.
    assert (away == 0).mean() >= equal


@pytest.mark.parametrize("phantom", [tissue, clumps])
@pytest.mark.parametrize("seed", [1, 2])
def test_nearer_to_the_truth_than_the_reference(phantom: Any, seed: int) -> None:
    stack, truth = phantom(seed)
    own, reference = (psnr(fused(stack, compat=compat), truth) for compat in (False, True))
    assert own > reference + 0.1
    assert own > max(psnr(plane, truth) for plane in stack) + 3


@pytest.mark.parametrize("planes", [2, 3, 4])
def test_few_planes_are_fused_well(planes: int) -> None:
    stack, truth = clumps(3, planes)
    own = psnr(fused(stack), truth)
    assert own > psnr(fuse_stack(stack, "pick", backend="numpy").image, truth)
    assert own > max(psnr(plane, truth) for plane in stack) + 1


@pytest.mark.parametrize("shape", [(2, 24, 31), (3, 24, 31), (4, 25, 30), (5, 23, 30), (8, 20, 26), (6, 20, 21, 3)])
def test_as_documented(shape: tuple[int, ...]) -> None:
    stack = noise(shape, np.uint8)
    stack[len(stack) // 2, :15] //= 3
    stack[0, :, :12] //= 2
    stack[-1, :, 18:] //= 4
    assert np.abs(fused(stack) - plainly(stack)).max() <= 0.51
    other = np.abs(fused(stack, window=5, alpha=0.5, threshold=9) - plainly(stack, 5, 0.5, 9))
    assert other.max() <= 0.51


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [(), (2,), (3,)])
def test_one_plane_comes_out_as_it_is(channels: tuple[int, ...], dtype: Any) -> None:
    stack = noise((1, 20, 31, *channels), dtype)
    assert np.array_equal(fused(stack), stack[0])


@pytest.mark.parametrize(("planes", "compat"), [*product((2, 3, 4, 5, 6, 40), [False]), *product((5, 6, 40), [True])])
def test_equal_planes_come_out_as_one(planes: int, compat: bool) -> None:
    plane = noise((40, 31))
    assert np.abs(fused(np.stack([plane] * planes), compat=compat).astype(int) - plane).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_flat_planes_come_out_as_their_mean(dtype: Any) -> None:
    levels = np.array([0.9, 1, 0.3, 0, 0.7, 0.2]) * np.iinfo(dtype).max
    stack = np.ones((6, 40, 31), dtype) * levels.astype(dtype)[:, None, None]
    assert np.abs(fused(stack) - stack.mean(axis=0)).max() <= 1


def test_compat_has_no_nan_where_all_is_flat() -> None:
    stack = np.zeros((6, 60, 60), np.uint16)
    stack[:, 30, 30] = 1000, 3000, 5000, 4000, 2000, 0
    image = fused(stack, compat=True)
    assert (image[:20] == 0).all()
    assert 2500 < image[30, 30] <= 5000


@pytest.mark.parametrize("planes", [2, 3, 6])
def test_flat_planes_of_floats_stay_flat(planes: int) -> None:
    stack = (
        np.ones((planes, 40, 31), np.float32) * np.array([0.9, 1, 0.3, 0, 0.7, 0.2], np.float32)[:planes, None, None]
    )
    for offset in (0, 1e-12, 1e4):
        image = fused((stack + offset).astype(np.float32))
        assert image.min() == image.max()
        assert (stack + offset).min() <= image.max() <= (stack + offset).max() + 1e-6


def test_noise_on_glass_is_averaged() -> None:
    stack = np.random.default_rng(4).normal(220, 4, (9, 90, 90)).round().astype(np.uint8)
    assert fused(stack).std() < 1.15 * stack.mean(axis=0).std()


def test_saturated_glass_shows_no_speckle() -> None:
    stack, _ = clumps(5)
    bright = (stack.astype(int) + 40).clip(0, 255).astype(np.uint8)
    glass = (bright == 255).all(axis=(0, 3))
    assert glass.mean() > 0.1
    assert (fused(bright)[glass] == 255).all()
    assert (fused(bright, compat=True)[glass] >= 254).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(9, 90),
    st.integers(9, 120),
    st.integers(1, 8),
    st.sampled_from([(), (3,)]),
    st.sampled_from([np.uint8, np.uint16, np.float32]),
    st.booleans(),
    st.data(),
)
def test_any_box_is_as_in_the_whole(
    height: int, width: int, planes: int, channels: tuple[int, ...], dtype: Any, compat: bool, data: st.DataObject
) -> None:
    stack = noise((planes, height, width, *channels), dtype, seed=planes)
    method = Selective(window=data.draw(st.sampled_from([3, 5, 9])), compat=compat and planes > 4)
    whole = fuse_box(ArrayPlanes(stack), method, Box(0, 0, width, height), HostBackend()).image
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    box = Box(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    part = fuse_box(ArrayPlanes(stack), method, box, HostBackend()).image
    assert np.array_equal(part, whole[y : y + box.height, x : x + box.width])


@pytest.mark.parametrize("compat", [False, True])
def test_tiles_are_as_the_whole_on_textured_planes(compat: bool) -> None:
    for stack, _ in (tissue(6), clumps(6)):
        assert np.array_equal(fused(stack, 61, compat=compat), fused(stack, 1000, compat=compat))


@pytest.mark.parametrize("window", [3, 9])
def test_nothing_beyond_the_margin_shows(window: int) -> None:
    method, stack = Selective(window=window), noise((5, 81, 81), np.float32)
    changed = stack.copy()
    changed[2, 40, 40] += 50
    before, after = (fused(planes, window=window) for planes in (stack, changed))
    farthest = np.abs(np.argwhere(before != after) - 40).max()
    assert method.margin == 3 * (window // 2) + 1
    assert method.margin - 1 <= farthest <= method.margin


def test_positions_of_planes_count_not_their_unit() -> None:
    stack, _ = tissue(7)
    even = fused(stack)
    scaled = fused(stack, focus=tuple(12000.5 + 0.25 * z for z in range(9)))
    assert np.abs(scaled.astype(int) - even).max() <= 1
    assert not np.array_equal(fused(stack, focus=np.array([0, 1, 2, 3, 4, 5, 6, 7, 30])), even)
    assert Selective(focus=(1, 2)).focus == (1.0, 2.0)


class CountingPlanes(ArrayPlanes):
    """Counts how often each plane is read."""

    def __init__(self, stack: Image) -> None:
        super().__init__(stack)
        self.reads = [0] * len(stack)

    def read(self, plane: int, box: Box) -> Image:
        """Count, and read."""
        self.reads[plane] += 1
        return super().read(plane, box)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("planes", "compat"), [(3, False), (7, False), (30, False), (7, True), (30, True)])
def test_memory_and_visits_as_stated(channels: int, planes: int, compat: bool) -> None:
    counted, method = CountingPlanes(noise((planes, 300, 400, channels))), Selective(compat=compat)
    window = Window(counted, Box(0, 0, 400, 300), HostBackend())
    tracemalloc.start()
    try:
        result = method.fuse(window)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (result.plane_index, result.depth) == (None, None)
    assert counted.reads == [method.visits] * planes
    stated = method.float_planes + method.channel_planes * (channels - 1)
    assert stated - 3 < (peak - result.image.nbytes) / (4 * 300 * 400) <= stated


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_compat_needs_five_planes(planes: int) -> None:
    with pytest.raises(OptionError, match=rf"^compat=True: .* fails on {planes}; at least 5 are needed"):
        fused(noise((planes, 40, 40)), compat=True)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("window", value) for value in (0, 8, -9, 1, 9.0, "9", float("nan"))),
        *(("alpha", value) for value in (0, -0.2, 1e-4, 101, float("nan"), float("inf"), "0.2", None)),
        *(("threshold", value) for value in (float("nan"), float("-inf"), 1e6, "13", None)),
        *(("focus", (0, value, 2)) for value in (0, 3, float("nan"), float("inf"), "1", 1e-9)),
    ],
)
def test_bad_options_are_named(option: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"^{option}="):
        Selective(**{option: value})


@pytest.mark.parametrize(("options", "named"), [({"window": 41}, "window"), ({"focus": (0, 1)}, "focus")])
def test_options_that_do_not_fit_the_planes_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=f"^{named}: "):
        fused(noise((3, 40, 50)), **options)
