"""What may be given to `fuse_stack`: what cannot be fused is refused by the argument's name, all else is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arrays import ArraySlide
from planish import fuse_stack
from planish.errors import OptionError
from planish.fuse.backend import gaussian_kernel
from planish.fuse.clij2 import Clij2
from planish.fuse.fused import FusedSlide
from planish.fuse.planes import SlidePlanes
from planish.fuse.prior import Prior
from planish.fuse.stack import fuse_planes
from planish.fuse.take import take_planes
from planish.fuse.tiles import Tiling
from planish.model import Box, Level
from planish.slide.open import open_slide

fuse: Any = fuse_stack
"""Without its types, for arguments of wrong ones."""
SMALL = np.random.default_rng(0).integers(0, 65536, (4, 64, 64), np.uint16)
PRIOR = Prior(np.zeros((64, 64), int), sigma=2)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: fuse(np.full((2, 9, 9), np.nan, np.float32)), "stack: plane 0 holds NaN"),
        (lambda: fuse(np.full((2, 9, 9), np.inf)), "stack: plane 0 holds NaN or infinite"),
        (lambda: fuse(np.zeros((0, 64, 64), np.uint8)), "stack: holds no plane"),
        (lambda: fuse([]), "stack: holds no plane"),
        (lambda: fuse(np.zeros((3, 0, 64), np.uint8)), "stack: of shape"),
        (lambda: fuse(np.zeros((64, 64), np.uint8)), "stack: of shape"),
        (lambda: fuse([SMALL[0], SMALL[1, :32]]), "stack: plane 1 is"),
        (lambda: fuse([SMALL[0], SMALL[1].astype(np.uint8)]), "stack: plane 1 is"),
        (lambda: fuse(SMALL.astype(np.int32)), "uint8, uint16"),
        (lambda: fuse(SMALL.astype(complex)), "uint8, uint16"),
        (lambda: fuse(SMALL, "clij"), "method='clij': choose one of"),
        (lambda: fuse(SMALL, "clij2", window=3), "window: clij2 has no such parameter"),
        (lambda: fuse(SMALL, Clij2(), radius=3), "radius: give parameters"),
        (lambda: fuse(SMALL, "clij2", radius=0), "radius=0"),
        (lambda: fuse(SMALL, "clij2", radius=0.5), "radius=0.5"),
        (lambda: fuse(SMALL, "clij2", radius=(1, 2, 3)), "radius=(1, 2, 3)"),
        (lambda: fuse(SMALL, "clij2", radius="5"), "radius='5'"),
        (lambda: fuse(SMALL, "clij2", radius=float("nan")), "radius=nan"),
        (lambda: fuse(SMALL, "clij2", radius=40), "radius: makes a window of 81 × 81 px"),
        (lambda: fuse(SMALL, "clij2", sigma=-1), "sigma=-1"),
        (lambda: fuse(SMALL, "clij2", decimation=3), "decimation=3"),
        (lambda: fuse(SMALL, "clij2", sigma=1, decimation=8), "choose sigma above"),
        (lambda: fuse(SMALL, "pick", sigma=0), "sigma=0"),
        (lambda: fuse(SMALL, "soft", power=-2), "power=-2"),
        (lambda: fuse(SMALL, "soft", prior=Prior(np.full((64, 64), 9))), "prior: names planes 9 to 9"),
        (lambda: fuse(SMALL, "soft", prior=Prior(np.zeros((9, 9), int))), "do not cover"),
        (lambda: Prior(np.zeros((9, 9)).astype(object)), "prior: object values"),
        (lambda: fuse(SMALL, tile_size=0), "tile_size=0"),
        (lambda: fuse(SMALL, "clij2", overlap=10), "overlap=10: clij2 needs at least 85 px"),
        (lambda: fuse(SMALL, backend="torch"), "backend='torch': choose one of auto, numpy, cupy"),
        (lambda: fuse(SMALL, jobs=0), "jobs=0: needs a whole number of at least 1"),
        (lambda: fuse(SMALL, jobs="2"), "jobs='2'"),
        (lambda: fuse(SMALL, jobs=1.5), "jobs=1.5"),
        (lambda: fuse(SMALL, jobs=True), "jobs=True"),
        (lambda: fuse(SMALL, tile_size=1.5), "tile_size=1.5"),
        (lambda: fuse(SMALL, tile_size="100"), "tile_size='100'"),
        (lambda: fuse(SMALL, tile_size=float("nan")), "tile_size=nan"),
        (lambda: fuse(SMALL, tile_size=True), "tile_size=True"),
        (lambda: fuse(SMALL, tile_size=(100,)), "tile_size=(100,): needs one whole number of pixels, or two"),
        (lambda: fuse(SMALL, tile_size=(64, None)), "tile_size=None"),
        (lambda: fuse(SMALL, "pick", overlap="9"), "overlap='9'"),
        (lambda: fuse(SMALL, "pick", overlap=90.5), "overlap=90.5"),
        (lambda: fuse(SMALL, ["pick"]), "method=['pick']: choose one of"),
        (lambda: fuse(None), "stack: of NoneType; needed is an array"),
        (lambda: fuse(7), "stack: of int"),
        (lambda: fuse(np.array(7, np.uint8)), "stack: of shape ()"),
        (lambda: fuse("stack.tif"), "stack='stack.tif': needed are pixels"),
        (lambda: fuse(Path("stack.tif")), "`planish fuse` takes files"),
        (lambda: fuse([[[1, 2], [3]]]), "stack: of list; needed is an array"),
        (lambda: fuse(SMALL.transpose(1, 0, 2)[None]), "channels go last, at most 32"),
        (lambda: fuse(np.zeros((2, 3, 400, 500), np.uint8)), "channels go last, at most 32"),
        (lambda: fuse(np.broadcast_to(np.uint8(1), (32768, 4, 4))), "stack: has 32768 planes; at most 32767"),
        (lambda: fuse(np.full((2, 9, 9), 2e15)), "stack: plane 0 holds values from 2e+15 to 2e+15"),
        (lambda: fuse(np.full((2, 9, 9), -1e300)), "lie within ±1e+15"),
        (lambda: fuse(SMALL, "clij2", radius=(60, 3)), "radius: makes a window of 121 × 7 px"),
        (lambda: fuse(SMALL, "clij2", radius=True), "radius=True"),
        (lambda: fuse(SMALL, "clij2", sigma=1001), "sigma=1001: needs a number from 0, and at most 1000"),
        (lambda: fuse(SMALL, "clij2", decimation=True), "decimation=True"),
        (lambda: fuse(SMALL, "clij2", decimation=4, about="dark"), "about='dark'"),
        (lambda: fuse(SMALL, "pick", sigma=float("inf")), "sigma=inf: needs a number above 0, and at most 1000"),
        (lambda: fuse(SMALL, "pick", fine_sigma=1e4), "fine_sigma=10000.0"),
        (lambda: fuse(SMALL, "laplacian", levels=True), "levels=True"),
        (lambda: fuse(SMALL, "laplacian", sigma=1e4), "sigma=10000.0"),
        (lambda: fuse(SMALL, "soft", power=float("inf")), "power=inf: needs a finite number above 0"),
        (lambda: fuse(SMALL, "soft", depth="false"), "depth='false': needs True or False"),
        (lambda: fuse(SMALL, "soft", prior=3), "prior: of int; needed is a planish.fuse.prior.Prior"),
        (lambda: fuse(SMALL, "soft", prior="map"), "prior: of str"),
        (lambda: fuse(SMALL, "soft", prior=np.zeros((64, 64), int)), "prior: of ndarray"),
        (lambda: fuse(SMALL, "soft", sigma=9, decimation=8, prior=PRIOR), "choose prior sigma above 4.0"),
        (lambda: Prior([[1]]), "prior: of list"),  # type: ignore[arg-type]
        (lambda: Prior(np.zeros((9, 9), int), sigma=2000), "prior sigma=2000"),
        (lambda: Prior(np.zeros((9, 9), int), weight=1e7), "prior weight=10000000.0"),
        (lambda: Prior(np.zeros((9, 9), int), cell_width="5"), "prior cell_width='5'"),  # type: ignore[arg-type]
        (lambda: fuse(SMALL, "selective", focus=5), "focus=5: needs the positions of all planes"),
        (lambda: fuse(SMALL, "selective", focus="1234"), "focus='1234'"),
        (lambda: fuse(SMALL, "selective", focus=np.array(5.0)), "focus=array(5.)"),
        (lambda: fuse(SMALL, "selective", focus=[1, [2], 3, 4]), "focus=[2]: needs a number from -1e+09 to 1e+09"),
        (lambda: fuse(SMALL, "selective", window=True), "window=True"),
        (lambda: fuse(SMALL, "selective", compat="false"), "compat='false': needs True or False"),
        (lambda: fuse(SMALL, "selective", compat=0), "compat=0"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], named: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    assert isinstance(caught.value, OptionError)
    assert named in str(caught.value)


def test_files_of_too_many_planes_or_channels_are_named() -> None:
    for shape, said in (((2, 8, 8, 33), "array: has 33 channels"), ((32768, 4, 4, 1), "array: has 32768 planes")):
        with pytest.raises(OptionError, match=said):
            SlidePlanes(ArraySlide(np.broadcast_to(np.uint8(1), shape)))


def test_numpy_numbers_are_numbers() -> None:
    expected = fuse(SMALL, "clij2", radius=2, sigma=6, decimation=4).image
    found = fuse(
        SMALL,
        "clij2",
        radius=np.float32(2),
        sigma=np.int16(6),
        decimation=np.int64(4),
        tile_size=(np.int64(40), np.uint8(30)),
        jobs=np.int32(1),
    )
    assert np.array_equal(found.image, expected)


def test_an_ellipse_needs_to_fit_each_side_by_itself() -> None:
    tall = np.random.default_rng(1).integers(0, 256, (2, 200, 40), np.uint8)
    assert fuse(tall, "clij2", radius=(3, 60), sigma=1).image.shape == (200, 40)
    with pytest.raises(OptionError, match="window of 121 × 7 px, larger than the image, which is 40 × 200 px"):
        fuse(tall, "clij2", radius=(60, 3))


def test_the_smallest_sigma_is_no_blur_and_the_largest_is_computed() -> None:
    assert gaussian_kernel(1e-200).tolist() == [1]
    assert fuse(SMALL, "clij2", sigma=1e-200).image.shape == (64, 64)
    assert fuse(SMALL, "clij2", sigma=1000, jobs=1).image.shape == (64, 64)


@pytest.mark.parametrize("scale", [1e15, 1e-12])
@pytest.mark.parametrize("name", ["soft", "pick", "clij2", "selective", "laplacian"])
def test_floats_of_any_scale_that_is_taken_stay_finite(name: str, scale: float) -> None:
    stack = np.random.default_rng(2).random((4, 64, 64, 3)) * scale
    stack[0, :9] = scale
    assert np.isfinite(fuse(stack, name).image).all()


def test_pixels_of_the_other_byte_order_are_read(tmp_path: Path) -> None:
    swapped = SMALL.astype(">u2")
    expected = fuse(SMALL, "pick").image
    for given in (swapped, list(swapped), [swapped[0], *SMALL[1:]]):
        found = fuse(given, "pick").image
        assert found.dtype.isnative
        assert np.array_equal(found, expected)
    np.save(tmp_path / "swapped.npy", swapped)
    with open_slide(tmp_path / "swapped.npy") as slide:
        assert slide.dtype.isnative
        fused, *_ = fuse_planes(SlidePlanes(slide), Clij2(radius=2, sigma=3), Tiling())
    assert np.array_equal(fused.image[..., 0], fuse(SMALL, "clij2", radius=2, sigma=3).image)


class Chunked:
    """Stands for Zarr: counts the pixels read, and knows no plane as a whole."""

    def __init__(self, pixels: Any) -> None:
        self._pixels, self.read = pixels, 0
        self.shape, self.dtype = pixels.shape, pixels.dtype

    def __getitem__(self, where: tuple[int, slice, slice]) -> Any:
        """Read a window of a plane."""
        plane, rows, columns = where
        part = self._pixels[plane, rows, columns]
        self.read += part.size
        return part


class Lazy:
    """Stands for a plane that is loaded when sliced."""

    def __init__(self, pixels: Any) -> None:
        self._pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype

    def __getitem__(self, where: tuple[slice, slice]) -> Any:
        """Read a window."""
        return self._pixels[where]

    def __array__(self, *_: Any, **__: Any) -> Any:
        """Refuse to be loaded."""
        raise AssertionError("loaded as a whole")


def test_of_what_is_sliced_windows_are_read_and_no_more() -> None:
    chunked, method = Chunked(SMALL), Clij2(radius=1, sigma=0)
    assert np.array_equal(fuse(chunked, method, jobs=1).image, fuse(SMALL, method).image)
    assert chunked.read == SMALL.size
    fuse(chunked, method, tile_size=32, jobs=1)
    assert chunked.read == SMALL.size + 4 * 4 * 33 * 33
    assert np.array_equal(take_planes(chunked, np.ones((64, 64), int)), SMALL[1])


def test_planes_are_loaded_when_they_are_read() -> None:
    expected = fuse(SMALL, "pick").image
    assert np.array_equal(fuse([Lazy(plane) for plane in SMALL], "pick").image, expected)


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_stacks_may_come_plane_by_plane(channels: tuple[int, ...]) -> None:
    stack = np.random.default_rng(3).integers(0, 256, (3, 50, 60, *channels), np.uint8)

    def planes() -> Iterator[Any]:
        yield from stack

    expected = fuse(stack, "pick").image
    assert expected.shape == (50, 60, *channels)
    assert np.array_equal(fuse(planes(), "pick").image, expected)
    assert np.array_equal(take_planes(planes(), np.ones((50, 60), int)), stack[1])


class Pyramid(ArraySlide):
    """Has a second level, an eighth of the size."""

    def __init__(self, stack: Any) -> None:
        super().__init__(stack)
        full = self.levels[0]
        self.levels = (full, Level(full.width // 8, full.height // 8, 256, 256, 8.0, 8.0))

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> Any:
        x, y, width, height = self.levels[level].tile_box(column, row)
        step = 8**level
        return self.stack[plane, ::step, ::step][y : y + height, x : x + width]


def test_a_level_smaller_than_the_window_is_fused() -> None:
    stack = np.random.default_rng(4).integers(0, 256, (3, 392, 520, 1), np.uint8)
    with FusedSlide(Pyramid(stack), Clij2(radius=60, sigma=1), "numpy") as flat:
        assert flat.read_region(1, 0, *Box(0, 0, 65, 49)).shape == (49, 65, 1)
