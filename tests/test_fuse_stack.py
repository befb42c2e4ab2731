"""Fusing arrays: as CLIJ2 does it, tiles equal to the whole, memory and visits as stated."""

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
from planish.errors import Cancelled
from planish.fuse.backend import half_widths
from planish.fuse.budget import tile_bytes
from planish.fuse.clij2 import Clij2
from planish.fuse.host import HostBackend
from planish.fuse.method import Window
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
    ("soft", {"decimation": 2}),
    ("soft", {"decimation": 4, "prior": Prior(MAP, 64, 64)}),
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


HALVES = Prior(np.array([[0, 1]]), 384, 768)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        *((name, {}) for name in PIXEL_METHODS),
        ("clij2", {"decimation": 4}),
        ("soft", {"depth": True}),
        ("soft", {"prior": HALVES}),
        ("soft", {"prior": HALVES, "depth": True, "decimation": 4}),
    ],
)
def test_no_more_memory_is_taken_than_stated(name: str, parameters: dict[str, Any], channels: int) -> None:
    size = 768
    planes = ArrayPlanes(np.random.default_rng(1).integers(0, 65536, (3, size, size, channels), np.uint16))
    method = make_method(name, **parameters).prepare(planes, HostBackend())
    tracemalloc.start()
    fuse_box(planes, method, Box(0, 0, size, size), HostBackend())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.6 * tile_bytes(planes, method, 0, size, size) <= peak <= tile_bytes(planes, method, 0, size, size)


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


@pytest.mark.parametrize("white", [0.6, 1.0])
def test_a_prior_decides_where_glass_is_clipped_to_white(white: float) -> None:
    stack = np.full((4, 120, 200), 255, np.uint8)
    tissue = np.s_[:, :, round(200 * white) :]
    stack[tissue] = np.random.default_rng(2).integers(60, 200, stack[tissue].shape)
    stack[:, :, :40] -= np.arange(4, dtype=np.uint8)[:, None, None]
    glass = np.s_[:, :20]
    fused = fuse_stack(stack, prior=Prior(np.full((1, 1), 2), 200, 120))
    assert (fused.image[glass] == stack[2][glass]).all()
    assert not (fuse_stack(stack).image[glass] == stack[2][glass]).all()


def test_decimated_clij2_is_as_good_on_dark_stacks_of_16_bits() -> None:
    """Sums of float32 about the middle of 16 bits would round away the noise of 100 grey levels."""
    random = np.random.default_rng(5)
    planes = ArrayPlanes(random.poisson(100 + 20 * random.random((5, 200, 300))).astype(np.uint16))
    method, whole, computer = Clij2(sigma=6, decimation=2), Box(0, 0, 300, 200), HostBackend()
    exact, found = (fuse_box(planes, each, whole, computer) for each in (method, method.prepare(planes, computer)))
    assert exact.plane_index is not None
    assert found.plane_index is not None
    assert (exact.plane_index == found.plane_index).mean() > 0.9995


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


def test_results_are_told_in_short_and_compared_as_objects() -> None:
    fused, again = (fuse_stack(NOISE16, "pick", sigma=2) for _ in range(2))
    assert fused == fused
    assert fused != again
    assert repr(fused) == (
        "FusedStack(image=<uint16 (230, 317)>, plane_index=<int16 (230, 317)>, depth=None, "
        "method=Pick(sigma=2, fine_sigma=1.0, decimation=1), backend='numpy')"
    )


@pytest.mark.parametrize("name", list(PIXEL_METHODS))
def test_a_window_shows_its_span_of_planes_alone(name: str) -> None:
    stack, box = np.concatenate([NOISE16, NOISE16[:, ::-1]]), Box(0, 0, 317, 230)
    some = PIXEL_METHODS[name]().fuse(Window(ArrayPlanes(stack), box, HostBackend(), range(2, 7)))
    alone = PIXEL_METHODS[name]().fuse(Window(ArrayPlanes(stack[2:7]), box, HostBackend()))
    assert np.array_equal(some.image, alone.image)
    assert (some.plane_index is None) == (alone.plane_index is None)
    if some.plane_index is not None and alone.plane_index is not None:
        assert np.array_equal(some.plane_index, alone.plane_index + 2)


def test_an_empty_span_is_nothing_and_not_all() -> None:
    assert not list(Window(ArrayPlanes(NOISE16), Box(0, 0, 9, 9), HostBackend(), []).read())
