"""Fusing in a Laplacian pyramid: exact where there is one plane, tiles equal to the whole, memory as stated."""

from __future__ import annotations

import tracemalloc
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.focus.measures import luma
from planish.fuse.host import HostBackend
from planish.fuse.laplacian import Laplacian
from planish.fuse.method import Window
from planish.fuse.planes import ArrayPlanes
from planish.fuse.stack import fuse_stack
from planish.fuse.tiles import fuse_box
from planish.model import Box

RANDOM = np.random.default_rng(11)
DTYPES = [np.uint8, np.uint16, np.float32]


def noise(shape: tuple[int, ...], dtype: Any = np.float32, seed: int = 0) -> NDArray[Any]:
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1000
    return (np.random.default_rng(seed).random(shape) * top).astype(dtype)


def fused(stack: NDArray[Any], method: Any = None, **tiling: Any) -> NDArray[Any]:
    image: NDArray[Any] = fuse_stack(stack, method or Laplacian(), backend="numpy", jobs=1, **tiling).image
    return image


def texture(size: int, *sigmas: float) -> NDArray[np.float32]:
    parts = [cv2.GaussianBlur(RANDOM.standard_normal((size, size)).astype(np.float32), (0, 0), s) for s in sigmas]
    return np.asarray(sum(part / part.std() for part in parts), np.float32)


def defocused(sharp: NDArray[Any], depth: NDArray[Any], planes: int, blur: float) -> NDArray[np.float64]:
    """Blur every pixel by its distance from each plane, in quarters of a plane."""
    stack = np.empty((planes, *sharp.shape))
    for plane in range(planes):
        steps = np.rint(4 * np.abs(plane - depth)).astype(int)
        for step in np.unique(steps):
            image = cv2.GaussianBlur(sharp, (0, 0), blur * step / 4) if step else sharp
            stack[plane][steps == step] = image[steps == step]
    return stack


def tissue() -> tuple[NDArray[np.uint16], NDArray[Any]]:
    """Textured everywhere, on a slope of depth: 9 planes of 16 bits."""
    sharp = 20000 + 3000 * texture(192, 1, 3, 10)
    depth = np.broadcast_to(np.linspace(0.5, 7.5, 192), (192, 192))
    stack = defocused(sharp, depth, 9, 0.9)
    stack += RANDOM.normal(0, 200, stack.shape)
    return stack.round().clip(0, 65535).astype(np.uint16), sharp


def clumps() -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Discs on glass, each at its own depth: 5 RGB planes."""
    sharp, depth = np.full((192, 192, 3), 230, np.float32), np.full((192, 192), 2.0)
    y, x = np.mgrid[:192, :192]
    grain = texture(192, 1, 2)
    for column, row, level in ((50, 45, 0.4), (140, 60, 3.6), (60, 145, 2.9), (145, 140, 1.2)):
        disc = (x - column) ** 2 + (y - row) ** 2 < 30**2
        sharp[disc] = np.array([150, 90, 160]) + 12 * grain[disc][:, None] * np.array([1, 0.8, 0.9])
        depth[(x - column) ** 2 + (y - row) ** 2 < 40**2] = level
    stack = defocused(sharp, depth, 5, 1.5)
    stack += RANDOM.normal(0, 2, stack.shape)
    return stack.round().clip(0, 255).astype(np.uint8), sharp


def error(image: NDArray[Any], truth: NDArray[Any]) -> float:
    """Return the mean square error in dB; less is better."""
    return 10 * float(np.log10(np.square(image.astype(float) - truth).mean()))


@pytest.mark.parametrize("phantom", [tissue, clumps])
def test_sharper_than_any_plane_and_near_to_pick(phantom: Any) -> None:
    stack, sharp = phantom()
    image = fused(stack)
    assert error(image, sharp) < min(error(plane, sharp) for plane in stack) - 1.5
    assert error(image, sharp) < error(fuse_stack(stack, "pick", backend="numpy").image, sharp) + 0.5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 150, 131), (1, 97, 64, 3), (1, 40, 33, 2)])
def test_one_plane_comes_out_as_it_is(shape: tuple[int, ...], dtype: Any) -> None:
    stack = noise(shape, dtype)
    image = fused(stack)
    assert image.dtype == dtype
    assert np.abs(image.astype(float) - stack[0]).max() <= 1e-3


@pytest.mark.parametrize("planes", [1, 2, 3, 4, 5, 12])
def test_equal_planes_come_out_as_one(planes: int) -> None:
    plane = noise((70, 51), np.uint16)
    assert np.abs(fused(np.stack([plane] * planes)).astype(int) - plane).max() <= 1


def test_each_detail_comes_from_the_plane_that_shows_it() -> None:
    sharp = noise((128, 256), np.uint8)
    flat = cv2.blur(sharp, (31, 31))
    left, right = np.where(np.arange(256) < 128, sharp, flat), np.where(np.arange(256) < 128, flat, sharp)
    image = fused(np.stack([left, right])).astype(int)
    middle = np.abs(np.arange(256) - 128) < 16
    assert np.abs(image - sharp)[:, ~middle].mean() < 6 < np.abs(left.astype(int) - sharp)[:, ~middle].mean() / 4


def test_of_equal_energies_the_lowest_plane_wins() -> None:
    plane = noise((64, 80)) - 500
    image = fused(np.stack([plane, -plane]))
    assert np.array_equal(image, -fused(np.stack([-plane, plane])))
    assert np.corrcoef(image.ravel(), plane.ravel())[0, 1] > 0.9


def test_all_channels_follow_the_luma() -> None:
    stack = noise((4, 90, 75, 3))
    assert np.allclose(luma(fused(stack)), fused(np.stack([luma(plane) for plane in stack])), atol=0.01)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_rounded_and_never_wrap_around(dtype: Any) -> None:
    top = np.iinfo(dtype).max
    stack = (top * np.random.default_rng(3).integers(0, 2, (5, 100, 90))).astype(dtype)
    unbounded = fused(stack.astype(np.float32))
    assert unbounded.min() < 0
    assert unbounded.max() > top
    assert np.array_equal(fused(stack), np.rint(unbounded).clip(0, top).astype(dtype))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 330),
    st.integers(1, 330),
    st.integers(1, 5),
    st.sampled_from([0.1, 0.6, 1.0, 2.0]),
    st.sampled_from([(), (2,), (3,)]),
    st.sampled_from(DTYPES),
    st.data(),
)
def test_any_box_is_as_in_the_whole(
    height: int, width: int, levels: int, sigma: float, channels: tuple[int, ...], dtype: Any, data: st.DataObject
) -> None:
    stack, method, backend = (
        noise((2, height, width, *channels), dtype),
        Laplacian(levels=levels, sigma=sigma),
        HostBackend(),
    )
    whole = fuse_box(ArrayPlanes(stack), method, Box(0, 0, width, height), backend).image
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    box = Box(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    part = fuse_box(ArrayPlanes(stack), method, box, backend).image
    assert np.array_equal(part, whole[y : y + box.height, x : x + box.width])


@pytest.mark.parametrize("channels", [(), (3,)])
def test_tiles_with_the_default_options_are_as_the_whole(channels: tuple[int, ...]) -> None:
    stack = noise((3, 701, 823, *channels), np.float32)
    assert np.array_equal(fused(stack, tile_size=(97, 130)), fused(stack, tile_size=1000))


@pytest.mark.parametrize(("levels", "sigma"), [(1, 2.0), (2, 0.6), (3, 1.0), (4, 0.3), (5, 2.0)])
def test_nothing_beyond_the_margin_shows(levels: int, sigma: float) -> None:
    method = Laplacian(levels=levels, sigma=sigma)
    size = 2 * method.margin + 3 * method.align
    line, whole = noise((2, 1, size)), Box(0, 0, size, 1)
    before, farthest = fuse_box(ArrayPlanes(line), method, whole, HostBackend()).image, 0
    for at in range(size // 2, size // 2 + method.align):
        changed = line.copy()
        changed[at % 2, 0, at] += 1e5
        after = fuse_box(ArrayPlanes(changed), method, whole, HostBackend()).image
        farthest = max(farthest, int(np.abs(np.nonzero(after != before)[1] - at).max()))
    assert method.margin / 2 < farthest <= method.margin


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 5), (1, 40), (31, 7), (33, 33)])
def test_images_smaller_than_the_pyramid(size: tuple[int, int], dtype: Any) -> None:
    one, two = noise((1, *size), dtype), noise((3, *size), dtype, seed=1)
    assert np.abs(fused(one, Laplacian(levels=10)).astype(float) - one[0]).max() <= 1e-3
    whole = fused(two)
    assert whole.shape == size
    assert np.array_equal(fused(two, tile_size=4), whole)
    if max(size) == 1:
        assert np.allclose(whole, two.mean(axis=0), atol=0.5)


def test_levels_that_an_image_is_too_small_for_are_left_out() -> None:
    stack = noise((3, 20, 16), np.float32)
    assert np.array_equal(fused(stack, Laplacian(levels=10)), fused(stack, Laplacian(levels=5)))
    assert not np.allclose(fused(stack, Laplacian(levels=3)), fused(stack, Laplacian(levels=5)))


class CountingPlanes(ArrayPlanes):
    """Counts how often each plane is read."""

    def __init__(self, stack: NDArray[Any]) -> None:
        super().__init__(stack)
        self.reads = [0] * len(stack)

    def read(self, plane: int, box: Box) -> NDArray[Any]:
        """Count, and read."""
        self.reads[plane] += 1
        return super().read(plane, box)


@pytest.mark.parametrize(("height", "width"), [(768, 768), (741, 701)])
@pytest.mark.parametrize("channels", [1, 3])
def test_memory_and_visits_as_stated(height: int, width: int, channels: int) -> None:
    planes, method = CountingPlanes(noise((4, height, width, channels), np.uint16)), Laplacian()
    window = Window(planes, Box(0, 0, width, height), HostBackend())
    tracemalloc.start()
    try:
        result = method.fuse(window)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.plane_index is None
    assert planes.reads == [method.visits] * 4
    stated = method.float_planes + 2.6 * (channels - 1)
    assert stated - 2 < (peak - result.image.nbytes) / (4 * height * width) <= stated


@pytest.mark.parametrize("name", ["levels", "sigma"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "5", None])
def test_bad_options_are_named(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"^{name}="):
        Laplacian(**{name: value})


@pytest.mark.parametrize("levels", [2.5, 11])
def test_levels_must_be_a_few_whole_ones(levels: Any) -> None:
    with pytest.raises(OptionError, match="from 1 to 10"):
        Laplacian(levels=levels)


@pytest.mark.parametrize("shape", [(37, 52), (1, 1), (2, 1), (1, 9), (24, 31, 3), (5, 6, 1)])
def test_reduce_and_expand_as_defined(shape: tuple[int, ...]) -> None:
    backend, image = HostBackend(), noise(shape)
    small = image.astype(float)
    for axis in (0, 1):
        lines = edged(small, axis, 2)
        taps = enumerate((1, 4, 6, 4, 1))
        small = np.moveaxis(sum((tap * lines[k : k + shape[axis]] for k, tap in taps), np.zeros(1))[::2] / 16, 0, axis)
    reduced = backend.reduce(image)
    assert reduced.dtype == np.float32
    assert reduced.shape == small.shape
    assert np.allclose(reduced, small, rtol=1e-6)
    large = small
    for axis in (0, 1):
        lines = edged(large, axis, 1)
        even, odd = (lines[:-2] + 6 * lines[1:-1] + lines[2:]) / 8, (lines[1:-1] + lines[2:]) / 2
        both = np.stack([even, odd], axis=1).reshape(-1, *even.shape[1:])
        large = np.moveaxis(both[: shape[axis]], 0, axis)
    expanded = backend.expand(reduced, (shape[0], shape[1]))
    assert expanded.dtype == np.float32
    assert expanded.shape == shape
    assert np.allclose(expanded, large, rtol=1e-6)


def edged(image: NDArray[Any], axis: int, width: int) -> NDArray[Any]:
    """Return the image with an axis first, and this one's ends repeated."""
    lines = np.moveaxis(image, axis, 0)
    return np.concatenate([lines[:1].repeat(width, axis=0), lines, lines[-1:].repeat(width, axis=0)])
