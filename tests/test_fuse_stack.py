"""Fusing arrays: as CLIJ2 does it, tiles equal to the whole, memory and visits as stated, errors by argument."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from planish import fuse_stack
from planish.errors import Cancelled, OptionError
from planish.fuse.backend import half_widths
from planish.fuse.clij2 import Clij2
from planish.fuse.host import HostBackend
from planish.fuse.methods import PIXEL_METHODS, make_method
from planish.fuse.planes import ArrayPlanes
from planish.fuse.prior import Prior
from planish.fuse.soft import Soft
from planish.fuse.stack import fuse_planes
from planish.fuse.tiles import Tiling, fuse_box, window_around
from planish.model import Box

RANDOM = np.random.default_rng(0)
NOISE16 = RANDOM.integers(0, 65536, (4, 230, 317)).astype(np.uint16)
COLOUR8 = RANDOM.integers(0, 256, (3, 150, 211, 3)).astype(np.uint8)
MAP = RANDOM.integers(0, 4, (4, 5))
EXACT: list[tuple[str, dict[str, Any]]] = [
    ("clij2", {"radius": 2, "sigma": 3}),
    ("clij2", {"radius": (3.5, 1), "sigma": 2.2}),
    ("clij2", {"radius": 2, "sigma": 6, "decimation": 4}),
    ("clij2", {"radius": 1, "sigma": 0}),
    ("pick", {}),
    ("pick", {"sigma": 1.5, "fine_sigma": 0.7}),
    ("soft", {}),
    ("soft", {"depth": True, "power": 3}),
    ("soft", {"prior": Prior(MAP, 64, 64)}),
]


@pytest.mark.parametrize("stack", ["pcb", "tissue"])
@pytest.mark.parametrize(("radius", "sigma"), [(5, 20), (2, 10)])
def test_clij2_equals_clij2_at_every_pixel(golden: Callable[[str], Any], stack: str, radius: int, sigma: int) -> None:
    known = golden("clij2_variance_projection.npz")
    name = f"{stack}_r{radius}_s{sigma}"
    for tile_size in (None, 100):
        fused = fuse_stack(known[f"{stack}_stack"], "clij2", radius=radius, sigma=sigma, tile_size=tile_size)
        assert fused.plane_index is not None
        assert np.array_equal(fused.plane_index, known[f"{name}_plane"])
        assert np.array_equal(fused.image, known[f"{name}_image"])


@pytest.mark.parametrize(("radius", "sigma"), [(5, 20), (2, 10)])
def test_clij2_decimated_hardly_differs(golden: Callable[[str], Any], radius: int, sigma: int) -> None:
    known = golden("clij2_variance_projection.npz")
    fused = fuse_stack(known["tissue_stack"], "clij2", radius=radius, sigma=sigma, decimation=4)
    assert (fused.plane_index == known[f"tissue_r{radius}_s{sigma}_plane"]).mean() >= 0.995


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("radii", [(1, 1), (2, 5), (4.3, 2.5)])
def test_variance_is_that_of_the_ellipse(dtype: Any, radii: tuple[float, float]) -> None:
    image = (NOISE16[0, :40, :50] // 256).astype(dtype) + (60000 if dtype == np.uint16 else 0)
    image = image.astype(dtype)
    reach_x, reach_y = int(radii[0]), int(radii[1])
    y, x = np.mgrid[-reach_y : reach_y + 1, -reach_x : reach_x + 1]
    inside = (x / radii[0]) ** 2 + (y / radii[1]) ** 2 <= 1
    padded = np.pad(image.astype(np.float64), ((reach_y, reach_y), (reach_x, reach_x)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, inside.shape)
    expected = windows[..., inside].var(axis=-1)
    assert np.allclose(HostBackend().variance(image, *radii), expected, rtol=1e-6, atol=1e-6)
    assert half_widths(*radii)[0] == reach_x


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_tiles_equal_the_whole_bit_for_bit(data: st.DataObject) -> None:
    name, parameters = data.draw(st.sampled_from(EXACT))
    planes = ArrayPlanes(NOISE16)
    whole, method, _ = _whole(name, tuple(sorted(parameters.items(), key=str)))
    left, top = data.draw(st.integers(0, 316)), data.draw(st.integers(0, 229))
    box = Box(left, top, data.draw(st.integers(1, 317 - left)), data.draw(st.integers(1, 230 - top)))
    part = fuse_box(planes, method, box, HostBackend())
    for name, pixels in vars(part).items():
        expected = vars(whole)[name]
        assert (pixels is None) == (expected is None)
        if pixels is not None:
            assert np.array_equal(pixels, expected[top : top + box.height, left : left + box.width]), name


_KNOWN: dict[Any, Any] = {}


def _whole(name: str, parameters: tuple[tuple[str, Any], ...]) -> Any:
    key = name, tuple((option, id(value)) for option, value in parameters)
    if key not in _KNOWN:
        _KNOWN[key] = fuse_planes(ArrayPlanes(NOISE16), make_method(name, **dict(parameters)), Tiling(10_000), jobs=1)
    return _KNOWN[key]


@pytest.mark.parametrize(("name", "parameters"), EXACT)
def test_no_setting_of_the_tiling_matters(name: str, parameters: dict[str, Any], tmp_path: Path) -> None:
    whole = fuse_stack(NOISE16, name, **parameters)
    method = make_method(name, **parameters)
    for tiling in (Tiling(97), Tiling((400, 31)), Tiling(128, overlap=method.margin + 9)):
        part, _, _ = fuse_planes(ArrayPlanes(NOISE16), method, tiling, jobs=3, scratch=tmp_path)
        assert np.array_equal(part.image[..., 0], whole.image)
        assert isinstance(part.image, np.memmap)


@pytest.mark.parametrize("name", list(PIXEL_METHODS))
def test_colour_planes_get_one_choice(name: str) -> None:
    fused = fuse_stack(COLOUR8, name)
    assert fused.image.shape == COLOUR8.shape[1:]
    assert fused.image.dtype == np.uint8
    if fused.plane_index is not None:
        assert np.array_equal(fused.image, np.take_along_axis(COLOUR8, fused.plane_index[None, ..., None], 0)[0])


@pytest.mark.parametrize("name", list(PIXEL_METHODS))
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_few_planes_of_any_dtype(name: str, count: int, dtype: Any) -> None:
    stack = (NOISE16[:count, :100, :90] >> 8).astype(dtype)
    fused = fuse_stack(stack, name)
    assert fused.image.dtype == dtype
    if count == 1:
        assert np.abs(fused.image.astype(float) - stack[0]).max() <= 1
    assert float(stack.min()) - 64 <= float(fused.image.min()) <= float(fused.image.max()) <= float(stack.max()) + 64


@pytest.mark.parametrize("name", ["clij2", "pick"])
def test_of_equal_planes_the_lowest_is_taken(name: str) -> None:
    fused = fuse_stack(np.repeat(NOISE16[:1], 3, axis=0), name)
    assert fused.plane_index is not None
    assert not fused.plane_index.any()


@pytest.mark.parametrize("name", list(PIXEL_METHODS))
def test_planes_of_nothing_give_nothing(name: str) -> None:
    assert (fuse_stack(np.full((6, 80, 90), 7, np.uint8), name).image == 7).all()


def test_sequences_of_planes_and_mapped_files(tmp_path: Path) -> None:
    np.save(tmp_path / "stack.npy", NOISE16)
    mapped = np.load(tmp_path / "stack.npy", mmap_mode="r")
    expected = fuse_stack(NOISE16, "pick").image
    assert np.array_equal(fuse_stack(mapped, "pick").image, expected)
    assert np.array_equal(fuse_stack(list(NOISE16), "pick").image, expected)


class CountingPlanes(ArrayPlanes):
    """Counts the pixels that are read of each plane."""

    def __init__(self, stack: NDArray[Any]) -> None:
        super().__init__(stack)
        self.pixels: Counter[int] = Counter()

    def read(self, plane: int, box: Box) -> NDArray[Any]:
        """Count, and read."""
        self.pixels[plane] += box.width * box.height
        return super().read(plane, box)


@pytest.mark.parametrize("name", list(PIXEL_METHODS))
def test_planes_are_visited_as_often_as_stated(name: str) -> None:
    planes, method = CountingPlanes(NOISE16), PIXEL_METHODS[name]()
    tiling = Tiling(120)
    fuse_planes(planes, method, tiling, jobs=1)
    boxes = tiling.boxes(method, 317, 230, 1)
    windows = [window_around(box, method.margin, method.align, planes) for box in boxes]
    assert set(planes.pixels.values()) == {method.visits * sum(box.width * box.height for box in windows)}


@pytest.mark.parametrize(
    ("name", "parameters"), [*((name, {}) for name in ("clij2", "pick", "soft")), ("clij2", {"decimation": 4})]
)
def test_no_more_float_planes_are_held_than_stated(name: str, parameters: dict[str, Any]) -> None:
    method = make_method(name, **parameters)
    assert method.float_planes <= 6
    size = 768
    stack = np.random.default_rng(1).integers(0, 65536, (3, size, size)).astype(np.uint16)
    tracemalloc.start()
    fuse_box(ArrayPlanes(stack), method, Box(0, 0, size, size), HostBackend())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    image, index, strip = 2 * size**2, 2 * size**2, 8 << 20
    assert peak <= 4 * method.float_planes * size**2 + image + index + strip


def test_soft_gives_the_depth_where_asked() -> None:
    sharp = NOISE16[0]
    stack = np.stack([np.full_like(sharp, 30000), sharp, np.full_like(sharp, 30000)])
    fused = fuse_stack(stack, "soft", depth=True)
    assert fused.plane_index is None
    assert fused.depth is not None
    assert np.allclose(fused.depth, 1, atol=1e-3)
    assert fuse_stack(stack, "soft").depth is None


def test_a_prior_decides_where_there_is_nothing_to_see() -> None:
    """Glass with noise: without a prior planes are mixed, with one its plane comes through."""
    noise = np.random.default_rng(2).normal(200, 2, (5, 160, 160))
    noise[:, :16, :16] += np.random.default_rng(3).normal(0, 40, (1, 16, 16))
    stack = noise.round().clip(0, 255).astype(np.uint8)
    expected = np.full((160, 160), 3, np.int16)
    fused = fuse_stack(stack, "soft", prior=Prior(expected, weight=100))
    glass = np.s_[40:, 40:]
    assert np.abs(fused.image[glass].astype(int) - stack[3][glass]).mean() < 0.1
    assert np.abs(fuse_stack(stack, "soft").image[glass].astype(int) - stack[3][glass]).mean() > 1
    assert isinstance(fused.method, Soft)
    assert fused.method.prior
    assert fused.method.prior.noise


def test_the_default_backend_works_without_a_gpu() -> None:
    assert fuse_stack(NOISE16, "pick", backend="numpy").backend == "numpy"


def test_progress_counts_tiles_and_can_cancel() -> None:
    told: list[tuple[str, int, int]] = []
    fuse_stack(NOISE16, "pick", tile_size=100, progress=lambda *step: told.append(step))
    assert told == [("fuse", done, 12) for done in range(1, 13)]

    def cancel(stage: str, done: int, total: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        fuse_stack(NOISE16, "pick", tile_size=100, progress=cancel)


SMALL = NOISE16[:, :64, :64]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: fuse_stack(np.full((2, 9, 9), np.nan, np.float32)), "stack: plane 0 holds NaN"),
        (lambda: fuse_stack(np.full((2, 9, 9), np.inf)), "stack: plane 0 holds NaN or infinite"),
        (lambda: fuse_stack(np.zeros((0, 64, 64), np.uint8)), "stack: holds no plane"),
        (lambda: fuse_stack([]), "stack: holds no plane"),
        (lambda: fuse_stack(np.zeros((3, 0, 64), np.uint8)), "stack: of shape"),
        (lambda: fuse_stack(np.zeros((64, 64), np.uint8)), "stack: of shape"),
        (lambda: fuse_stack([SMALL[0], SMALL[1, :32]]), "stack: plane 1 is"),
        (lambda: fuse_stack([SMALL[0], SMALL[1].astype(np.uint8)]), "stack: plane 1 is"),
        (lambda: fuse_stack(SMALL.astype(np.int32)), "uint8, uint16"),
        (lambda: fuse_stack(SMALL.astype(complex)), "uint8, uint16"),
        (lambda: fuse_stack(SMALL, "clij"), "method='clij': choose one of"),
        (lambda: fuse_stack(SMALL, "clij2", window=3), "window: clij2 has no such parameter"),
        (lambda: fuse_stack(SMALL, Clij2(), radius=3), "radius: give parameters"),
        (lambda: fuse_stack(SMALL, "clij2", radius=0), "radius=0"),
        (lambda: fuse_stack(SMALL, "clij2", radius=0.5), "radius=0.5"),
        (lambda: fuse_stack(SMALL, "clij2", radius=(1, 2, 3)), "radius=(1, 2, 3)"),
        (lambda: fuse_stack(SMALL, "clij2", radius="5"), "radius='5'"),
        (lambda: fuse_stack(SMALL, "clij2", radius=float("nan")), "radius=nan"),
        (lambda: fuse_stack(SMALL, "clij2", radius=40), "radius: makes a window of 81 px"),
        (lambda: fuse_stack(SMALL, "clij2", sigma=-1), "sigma=-1"),
        (lambda: fuse_stack(SMALL, "clij2", decimation=3), "decimation=3"),
        (lambda: fuse_stack(SMALL, "clij2", sigma=1, decimation=8), "choose sigma above"),
        (lambda: fuse_stack(SMALL, "pick", sigma=0), "sigma=0"),
        (lambda: fuse_stack(SMALL, "soft", power=-2), "power=-2"),
        (lambda: fuse_stack(SMALL, "soft", prior=Prior(np.full((64, 64), 9))), "prior: names planes 9 to 9"),
        (lambda: fuse_stack(SMALL, "soft", prior=Prior(np.zeros((9, 9), int))), "do not cover"),
        (lambda: Prior(np.zeros((9, 9)).astype(object)), "prior: object values"),
        (lambda: fuse_stack(SMALL, tile_size=0), "tile_size=0"),
        (lambda: fuse_stack(SMALL, "clij2", overlap=10), "overlap=10: clij2 needs at least 85 px"),
        (lambda: fuse_stack(SMALL, backend="torch"), "backend='torch': choose one of auto, numpy, cupy"),
        (lambda: fuse_stack(SMALL, jobs=0), "jobs=0"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], named: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    assert isinstance(caught.value, OptionError)
    assert named in str(caught.value)


def test_too_little_memory_is_said_before_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planish.fuse.tiles.available_memory", lambda: 1 << 20)
    with pytest.raises(OptionError, match=r"tile_size=None: needs 0\.0 GiB in memory"):
        fuse_stack(NOISE16, "pick")
    huge = np.lib.stride_tricks.as_strided(SMALL, (2, 1 << 20, 1 << 20), (0, 0, 0))
    monkeypatch.setattr("planish.fuse.tiles.available_memory", lambda: 1 << 30)
    with pytest.raises(OptionError, match=r"stack=1048576 × 1048576 px: needs 4.* GiB"):
        fuse_stack(huge, "pick")
