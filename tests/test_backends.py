"""One contract for all backends: NumPy with OpenCV, plain array functions on NumPy, and CuPy where there is a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import scipy.ndimage
from numpy.typing import NDArray

import skips
from planish.errors import OptionError
from planish.fuse.arrays import ArrayBackend
from planish.fuse.backend import Backend, gaussian_kernel
from planish.fuse.device import open_device
from planish.fuse.host import HostBackend
from planish.fuse.methods import PIXEL_METHODS, make_method
from planish.fuse.planes import ArrayPlanes
from planish.fuse.prior import Prior
from planish.fuse.tiles import fuse_box
from planish.model import Box

DTYPES = [np.uint8, np.uint16, np.float32, np.float64]
RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.random((96, 139), np.float32)
COLOURS = RANDOM.random((95, 139, 3), np.float32)


@pytest.fixture(params=["host", "arrays", "device"], scope="module")
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "host":
        return HostBackend()
    if request.param == "arrays":
        return ArrayBackend(np, scipy.ndimage)
    try:
        return open_device()
    except OptionError as error:
        pytest.skip(f"{skips.GPU}: {error}")


def levels(*shape: int, dtype: Any) -> NDArray[Any]:
    """Return noise over the whole range of a dtype."""
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    noise = np.random.default_rng(1).random(shape) * top
    return (np.rint(noise) if top > 1 else noise).astype(dtype)


def near(found: NDArray[Any], expected: NDArray[Any], tolerance: float = 2e-6) -> bool:
    """Tell whether float32 images are equal but for rounding; of the largest value."""
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    return bool(np.abs(found - expected).max() <= tolerance * np.abs(expected).max())


def shifted(image: NDArray[Any], offsets: list[tuple[int, int]]) -> NDArray[Any]:
    """Return the image as seen from each offset (dy, dx), borders repeating the edge."""
    reach = max(max(map(abs, offset)) for offset in offsets)
    padded = np.pad(image, reach, mode="edge")
    height, width = image.shape
    return np.stack([padded[reach + y : reach + y + height, reach + x : reach + x + width] for y, x in offsets])


def square(reach: int) -> list[tuple[int, int]]:
    return [(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]


def along_both(image: NDArray[Any], step: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
    """Do something to each row, then to each column, in float64."""
    return np.apply_along_axis(step, 0, np.apply_along_axis(step, 1, np.asarray(image, np.float64)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_grey_is_luma(backend: Backend, channels: int, dtype: Any) -> None:
    pixels = levels(50, 67, channels, dtype=dtype)
    weights = [0.299, 0.587, 0.114] if channels == 3 else [1 / channels] * channels
    assert near(backend.get(backend.grey(backend.put(pixels))), pixels.astype(np.float64) @ weights)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("radii", [(5, 5), (1, 3.5), (2.9, 1)])
def test_variance_is_that_of_an_ellipse(backend: Backend, radii: tuple[float, float], dtype: Any) -> None:
    image = levels(40, 53, dtype=dtype)
    inside = [(y, x) for y, x in square(5) if (x / radii[0]) ** 2 + (y / radii[1]) ** 2 <= 1]
    found = backend.get(backend.variance(backend.put(image), *radii))
    assert near(found, shifted(image.astype(np.float64), inside).var(axis=0))
    if image.dtype.kind == "u":
        values, count = shifted(image.astype(np.int64), inside), len(inside)
        exact = count * (values**2).sum(axis=0) - values.sum(axis=0) ** 2
        assert np.array_equal(found, (exact * (1 / count**2)).astype(np.float32))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("level", [0.001, 0.5, 0.9])
def test_variance_about_a_grey_level_is_near_to_it_at_any_brightness(
    backend: Backend, level: float, dtype: Any
) -> None:
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    image = (level * top + 0.001 * levels(40, 53, dtype=dtype)).astype(dtype)
    exact = backend.get(backend.variance(backend.put(image), 5, 3))
    assert near(backend.get(backend.variance(backend.put(image), 5, 3, about=level * top)), exact, 2e-5)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0, 20.0])
def test_gaussian_reaches_four_sigma(backend: Backend, sigma: float) -> None:
    taps = gaussian_kernel(sigma).astype(np.float64)
    expected = along_both(IMAGE, lambda line: np.convolve(np.pad(line, len(taps) // 2, mode="edge"), taps, "valid"))
    assert near(backend.get(backend.gaussian(backend.put(IMAGE), sigma)), expected)


@pytest.mark.parametrize("window", [3, 9])
def test_mean_is_over_a_box(backend: Backend, window: int) -> None:
    expected = shifted(IMAGE.astype(np.float64), square(window // 2)).mean(axis=0)
    assert near(backend.get(backend.mean(backend.put(IMAGE), window)), expected)


def test_median_is_over_nine_pixels(backend: Backend) -> None:
    expected = np.median(shifted(IMAGE, square(1)), axis=0)
    assert np.array_equal(backend.get(backend.median(backend.put(IMAGE))), expected)


def test_laplacian_has_four_neighbours(backend: Backend) -> None:
    own, *others = shifted(IMAGE.astype(np.float64), [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])
    assert near(backend.get(backend.laplacian(backend.put(IMAGE))), sum(others) - 4 * own)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_shrink_takes_means_of_blocks(backend: Backend, factor: int) -> None:
    image = IMAGE[:, :136]
    expected = image.astype(np.float64).reshape(96 // factor, factor, 136 // factor, factor).mean(axis=(1, 3))
    assert near(backend.get(backend.shrink(backend.put(image.copy()), factor)), expected)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_grow_is_linear_between_centres(backend: Backend, factor: int) -> None:
    def enlarged(line: NDArray[Any]) -> NDArray[Any]:
        places = (np.arange(len(line) * factor) + 0.5) / factor - 0.5
        return np.asarray(np.interp(places, np.arange(len(line)), line))

    assert near(backend.get(backend.grow(backend.put(IMAGE), factor)), along_both(IMAGE, enlarged))


@pytest.mark.parametrize("image", [IMAGE, IMAGE[:1, :1], IMAGE[:7, :2], COLOURS])
def test_reduce_and_expand_are_steps_of_a_pyramid(backend: Backend, image: NDArray[Any]) -> None:
    def reduced(line: NDArray[Any]) -> NDArray[Any]:
        return np.convolve(np.pad(line, 2, mode="edge"), np.array([1, 4, 6, 4, 1]) / 16, "valid")[::2]

    def expanded(line: NDArray[Any]) -> NDArray[Any]:
        around = np.pad(line, 1, mode="edge")
        even = np.convolve(around, np.array([1, 6, 1]) / 8, "valid")
        return np.stack([even, (around[1:-1] + around[2:]) / 2], axis=-1).ravel()

    small = along_both(image, reduced)
    given = np.ascontiguousarray(image)
    assert near(backend.get(backend.reduce(backend.put(given))), small)
    large = along_both(small, expanded)
    for height, width in (large.shape[:2], (large.shape[0] - 1, large.shape[1] - 1)):
        found = backend.expand(backend.put(small.astype(np.float32)), (height, width))
        assert near(backend.get(found), large[:height, :width])


@pytest.mark.parametrize("dtype", DTYPES)
def test_sharpest_keeps_the_first_of_equal_ones(backend: Backend, dtype: Any) -> None:
    stack = levels(5, 40, 51, 3, dtype=dtype)
    measures = np.random.default_rng(2).integers(0, 3, (5, 48, 56)).astype(np.float32)
    best = backend.sharpest(40, 51, 3, np.dtype(dtype))
    for plane, (measure, pixels) in enumerate(zip(measures, stack, strict=True)):
        best.add(backend.put(measure)[:40, :51], backend.put(pixels), plane)
    expected = measures[:, :40, :51].argmax(axis=0)
    index = backend.get(best.index)
    assert index.dtype == np.int16
    assert np.array_equal(index, expected)
    assert np.array_equal(backend.get(best.image), np.take_along_axis(stack, expected[None, ..., None], 0)[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("power", [4, 2.5, 8])
@pytest.mark.parametrize("scale", [1e-12, 1, 1e12])
def test_blend_is_a_weighted_mean(backend: Backend, scale: float, power: float, dtype: Any) -> None:
    stack = levels(4, 40, 51, 3, dtype=dtype)
    measures = (np.random.default_rng(2).random((4, 40, 51)) * scale * 10.0 ** np.arange(4)[:, None, None]).astype("f4")
    measures[:, :9] = 0
    weights = np.where(measures > 0, measures / measures.max(axis=0).clip(1e-30), 1).astype(np.float64) ** power
    weights[:, :9] = 1
    for depth in (False, True):
        blend = backend.blend(40, 51, 3, np.dtype(dtype), power, depth=depth)
        for plane, (measure, pixels) in enumerate(zip(measures, stack, strict=True)):
            blend.add(backend.put(measure.copy()), backend.put(pixels), plane)
        image, mean_plane = backend.get(blend.image()), blend.depth()
        mean = (weights[..., None] * stack).sum(axis=0) / weights.sum(axis=0)[..., None]
        assert image.dtype == dtype
        assert np.abs(image - mean).max() <= (0.51 if image.dtype.kind == "u" else 1e-5)
        assert (mean_plane is not None) == depth
        if mean_plane is not None:
            expected = (weights * np.arange(4)[:, None, None]).sum(axis=0) / weights.sum(axis=0)
            assert near(backend.get(mean_plane), expected, 1e-5)


@pytest.mark.parametrize(
    ("operation", "scale"),
    [
        (lambda backend, image: backend.variance(image, 5, 3), 1),
        (lambda backend, image: backend.variance(image, 5, 3, about=0.4), 1),
        (lambda backend, image: backend.gaussian(image, 2.2), 1),
        (lambda backend, image: backend.mean(image, 9), 1),
        (lambda backend, image: backend.median(image), 1),
        (lambda backend, image: backend.laplacian(image), 1),
        (lambda backend, image: backend.grey(backend.xp.stack([image, image * image, 1 - image], axis=2)), 1),
        (lambda backend, image: backend.shrink(image, 4), 0.25),
        (lambda backend, image: backend.grow(image, 4), 4),
        (lambda backend, image: backend.reduce(image), 0.5),
        (lambda backend, image: backend.expand(image, (2 * image.shape[0], 2 * image.shape[1])), 2),
    ],
)
@pytest.mark.parametrize("width", [72, 88, 100])
def test_a_pixel_has_the_same_bits_in_any_window(
    backend: Backend, width: int, operation: Callable[[Backend, Any], Any], scale: float
) -> None:
    image = IMAGE[:, :136]
    whole = backend.get(operation(backend, backend.put(image.copy())))
    part = backend.get(operation(backend, backend.put(image[16:80, 24 : 24 + width].copy())))
    margin = int(16 * scale)
    inner = part[margin:-margin, margin:-margin]
    top, left = int(32 * scale), int(40 * scale)
    assert np.array_equal(inner, whole[top : top + inner.shape[0], left : left + inner.shape[1]])


def focal_stack(dtype: Any, channels: int) -> NDArray[Any]:
    """Return six planes of noise, sharp from left to right in one after the other."""
    random = np.random.default_rng(3)
    sharp = random.random((90, 120, channels), np.float32)
    blurred = np.stack([cv2.GaussianBlur(sharp, (0, 0), 0.3 + away) for away in range(6)]).reshape(6, *sharp.shape)
    planes = [blurred[np.abs(np.arange(120) // 20 - plane), :, np.arange(120)].swapaxes(0, 1) for plane in range(6)]
    noisy = np.stack(planes) * 200 + 20 + random.normal(0, 1, (6, 90, 120, channels))
    return (noisy * (257 if dtype == np.uint16 else 1)).astype(dtype)


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 3), (np.uint16, 1), (np.float32, 2)])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        *((name, {}) for name in PIXEL_METHODS),
        *(("clij2", {"sigma": 8, "decimation": decimation}) for decimation in (2, 4, 8)),
        ("soft", {"depth": True, "power": 2.5}),
        ("soft", {"depth": True, "prior": Prior(np.arange(6).reshape(1, 6), 20, 90)}),
    ],
)
def test_methods_agree_with_the_host(
    backend: Backend, method: str, options: dict[str, Any], dtype: Any, channels: int
) -> None:
    planes = ArrayPlanes(focal_stack(dtype, channels))
    found, expected = (
        fuse_box(planes, make_method(method, **options).prepare(planes, each), Box(0, 0, 120, 90), each)
        for each in (backend, HostBackend())
    )
    same = np.ones((90, 120), bool)
    if expected.plane_index is not None:
        same = found.plane_index == expected.plane_index
        assert same.mean() >= 0.999  # the backends round in different orders
    off = np.abs(found.image.astype(np.float64) - expected.image)[same]
    assert found.image.dtype == dtype
    assert off.max() <= (1 if planes.dtype.kind == "u" else 1e-3)
    assert np.mean(off > 0.5) <= 0.01
    if expected.depth is not None:
        assert found.depth is not None
        assert near(found.depth, expected.depth, 1e-5)
