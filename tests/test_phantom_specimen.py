"""The phantom: drawn from its options alone, seamless, and true to the depth and the sharp image it claims."""

from __future__ import annotations

import itertools
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.focus.measures import blur_difference, luma
from planish.model import Box
from planish.phantom.blocks import BLOCK, CACHE_BYTES
from planish.phantom.cache import Cache
from planish.phantom.deposit import layered
from planish.phantom.specimen import MARGIN, SPECTRA_BYTES, Kind, PhantomOptions, PhantomSlide, specimen
from planish.phantom.texture import fractal

KINDS = get_args(Kind)
SMALL = PhantomOptions(width=600, height=520, planes=4, band=1400.0, seed=11)
TILE = 256


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_depend_neither_on_order_nor_on_threads(kind: Kind) -> None:
    options = replace(SMALL, kind=kind)
    one, other = PhantomSlide(options), PhantomSlide(options)
    grid = one.levels[0]
    places = list(itertools.product([0], range(len(one.planes)), range(grid.columns), range(grid.rows)))
    expected = {place: one.read_tile(*place) for place in places}
    random.Random(0).shuffle(places)
    with ThreadPoolExecutor(4) as pool:
        for place, pixels in zip(places, pool.map(lambda place: other.read_tile(*place), places), strict=True):
            np.testing.assert_array_equal(pixels, expected[place], err_msg=str(place))


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_do_not_depend_on_the_tile_size(kind: Kind) -> None:
    one, other = (PhantomSlide(replace(SMALL, kind=kind, tile=tile)) for tile in (64, 96))
    for level, box in enumerate([(37, 21, 500, 480), (9, 5, 130, 120)]):
        np.testing.assert_array_equal(one.read_region(level, 1, *box), other.read_region(level, 1, *box))
    np.testing.assert_array_equal(one.truth_region(37, 21, 500, 480), other.truth_region(37, 21, 500, 480))


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_join_without_a_seam(kind: Kind) -> None:
    """A block drawn half a block further on shows what the four blocks show that it lies across."""
    slide = PhantomSlide(replace(SMALL, kind=kind, noise=0))
    start, side = BLOCK // 2 - MARGIN, BLOCK + 2 * MARGIN
    box = Box(start, start, side, side)
    spectra = slide._optics.spectra(layered(slide._specimen.deposits(box), box))
    for plane in slide.planes:
        across = slide._optics.image(spectra, slide._specimen.stains, plane.z_um)
        region = slide.read_region(0, plane.index, BLOCK // 2, BLOCK // 2, BLOCK, BLOCK)
        assert region.std() > 3
        # Rounding makes half a grey level.
        assert np.abs(across - region).max() < 0.75


@pytest.mark.parametrize("mpp", [0.25, 2.0])
def test_a_box_misses_nothing_that_reaches_into_it(mpp: float) -> None:
    cells = specimen(PhantomOptions(mpp=mpp, seed=3))
    large = Box(0, 0, round(512 / mpp), round(384 / mpp))
    whole = sum(layered(cells.deposits(large), large).values())
    side = round(24 / mpp)
    for x, y in itertools.product(range(0, large.width - side, side), range(0, large.height - side, side)):
        small = Box(x, y, side, side)
        part = sum(layered(cells.deposits(small), small).values(), np.zeros((side, side), np.float32))
        np.testing.assert_allclose(part, np.asarray(whole)[y : y + side, x : x + side], atol=1e-5)


def test_seeds_give_other_specimens() -> None:
    for kind in ("cytology-dense", "tissue"):
        one, other = (PhantomSlide(replace(SMALL, kind=kind, seed=seed)) for seed in (11, 12))
        assert not np.array_equal(one.truth_region(0, 0, 600, 520), other.truth_region(0, 0, 600, 520))


def test_noise_has_the_strength_asked_for_and_is_independent_everywhere() -> None:
    noisy, clean = (PhantomSlide(replace(SMALL, kind="tissue", noise=noise)) for noise in (3.0, 0.0))
    places = [(0, 2, 0, 0), (0, 1, 0, 0), (0, 2, 1, 0), (0, 2, 0, 1)]
    errors = [(noisy.read_tile(*place).astype(float) - clean.read_tile(*place)).ravel() for place in places]
    for error in errors:
        assert error.std() == pytest.approx(3.0, rel=0.03)
        assert abs(error.mean()) < 0.05
    assert np.abs(np.corrcoef(errors) - np.eye(4)).max() < 0.02


def test_upper_levels_are_area_averages() -> None:
    slide = PhantomSlide(replace(SMALL, tile=32, width=1030, height=517))
    assert [(level.width, level.height) for level in slide.levels] == [(1030, 517), (257, 129), (64, 32)]
    assert slide.levels[1].downsample_x == pytest.approx(1030 / 257)
    full = slide.read_region(0, 3, 0, 0, 512, 512).astype(float)
    for level, shrink in ((1, 4), (2, 16)):
        side = 512 // shrink
        expected = full.reshape(side, shrink, side, shrink, 3).mean((1, 3))
        assert np.abs(slide.read_region(level, 3, 0, 0, side, side) - expected).max() <= 0.51


@pytest.mark.parametrize("kind", KINDS)
def test_truth_is_sharper_than_any_plane(kind: Kind) -> None:
    slide = PhantomSlide(replace(SMALL, kind=kind, noise=0))
    truth = blur_difference(luma(slide.truth_region(0, 0, 600, 520)))
    planes = [blur_difference(luma(slide.read_region(0, p.index, 0, 0, 600, 520))) for p in slide.planes]
    assert truth > max(planes)
    assert max(planes) > 1.02 * min(planes)


def specimen_tiles(slide: PhantomSlide, share: float) -> list[tuple[int, int, NDArray[np.float32]]]:
    """Return column, row and the true depths of all tiles with that share of specimen in the focal range."""
    found = []
    top = (len(slide.planes) - 1) * slide.options.plane_spacing_um
    for row, column in itertools.product(range(slide.levels[0].rows), range(slide.levels[0].columns)):
        depth = slide.depth_region(column * TILE, row * TILE, TILE, TILE)
        inside = depth[(depth >= 0) & (depth <= top)]
        if inside.size >= share * depth.size:
            found.append((column, row, inside))
    return found


@pytest.mark.parametrize(("kind", "least"), [("cytology-dense", 0.85), ("tissue", 0.95)])
def test_the_plane_nearest_to_the_true_depth_has_the_least_error(kind: Kind, least: float) -> None:
    slide = PhantomSlide(PhantomOptions(kind=kind, width=1280, height=1280, seed=2, band=1400.0))
    hits = []
    for column, row, depth in specimen_tiles(slide, 0.1):
        truth = slide.truth.read_tile(0, 0, column, row).astype(float)
        errors = [((slide.read_tile(0, p.index, column, row) - truth) ** 2).mean() for p in slide.planes]
        # Where objects lie at several depths, any of their planes may be the best one.
        low, high = np.percentile(depth, (10, 90))
        hits.append(low - 0.75 <= np.argmin(errors) <= high + 0.75)
    assert len(hits) >= 15
    assert np.mean(hits) >= least


def test_sharpness_has_one_peak_over_z_and_falls_measurably_beside_it() -> None:
    slide = PhantomSlide(PhantomOptions(width=1280, height=1280, seed=2))
    single, falls = [], []
    for column, row, _ in specimen_tiles(slide, 0.1):
        stack = np.stack([slide.read_tile(0, p.index, column, row) for p in slide.planes])
        quarter = stack.reshape(len(stack), 64, 4, 64, 4, 3).mean((2, 4))
        scores = np.array([blur_difference(luma(plane)) for plane in quarter]) / quarter[0, ..., 0].size
        best = int(scores.argmax())
        rising, falling = np.diff(scores[: best + 1]), np.diff(scores[best:])
        single.append((rising > -0.02).all() and (falling < 0.02).all())
        falls.append(scores[best] - max(scores[max(best - 1, 0) : best + 2][[0, -1]]))
    assert np.mean(single) >= 0.8
    assert np.median(falls) > 0.02


@pytest.mark.parametrize(("kind", "low", "high"), [("cytology-dense", 0.6, 0.95), ("cytology-sparse", 0.15, 0.3)])
def test_coverage(kind: Kind, low: float, high: float) -> None:
    """The share of tiles with specimen on more than 1 % of their pixels; the rest is glass."""
    options = PhantomOptions(kind=kind, width=2560, height=2560)
    for seed in (0, 1):
        slide = PhantomSlide(replace(options, seed=seed))
        share = len(specimen_tiles(slide, 0.01)) / (slide.levels[0].columns * slide.levels[0].rows)
        assert low <= share <= high


def test_glass_is_bright_and_has_no_depth() -> None:
    slide = PhantomSlide(PhantomOptions(kind="cytology-sparse", width=1024, height=1024, noise=0))
    depth, truth = slide.depth_region(0, 0, 1024, 1024), slide.truth_region(0, 0, 1024, 1024)
    assert np.isnan(depth).mean() > 0.7
    np.testing.assert_array_equal(np.median(truth[np.isnan(depth)], axis=0), (243, 241, 242))
    assert truth[~np.isnan(depth)].mean() < truth[np.isnan(depth)].mean() - 30


def plane_map(options: PhantomOptions, cells: int) -> NDArray[np.int_]:
    """Return the plane nearest to the tissue's depth in the middle of every cell (= tile)."""
    slide = PhantomSlide(options)
    side = options.tile
    rows = [
        slide.depth_region(0, row * side + side // 2, cells * side, 1)[0, side // 2 :: side] for row in range(cells)
    ]
    return np.asarray(np.rint(np.array(rows) / options.plane_spacing_um), int)


@pytest.mark.parametrize("planes", [9, 15])
@pytest.mark.parametrize("tile", [64, 256])
def test_tissue_changes_its_plane_at_least_every_six_cells_along_a_row(planes: int, tile: int) -> None:
    for seed in range(4):
        options = PhantomOptions(kind="tissue", width=64 * tile, height=64 * tile, tile=tile, planes=planes, seed=seed)
        nearest = plane_map(options, 64)
        assert nearest.min() >= 0
        assert nearest.max() < planes
        assert np.count_nonzero(np.diff(nearest, axis=1), axis=1).mean() >= 64 / 6
        # Smooth: never a jump over more than two planes; rows beside each other are much alike.
        assert np.abs(np.diff(nearest, axis=1)).max() <= 2
        assert np.count_nonzero(np.diff(nearest, axis=0)) < 0.1 * nearest.size


def test_folds_are_a_second_layer_at_another_depth_with_sharp_boundaries() -> None:
    options = PhantomOptions(kind="folded", width=2048, height=1024, noise=0)
    folded, flat = PhantomSlide(options), PhantomSlide(replace(options, kind="tissue"))
    lift = folded.depth_region(0, 0, 2048, 1024) - flat.depth_region(0, 0, 2048, 1024)
    assert 0.05 < np.mean(lift != 0) < 0.5
    np.testing.assert_allclose(np.abs(lift[lift != 0]), 3.0, atol=1e-5)
    row, column = np.argwhere(lift != 0)[0]
    x, y = int(column) // TILE * TILE, int(row) // TILE * TILE
    fold = lift[y : y + TILE, x : x + TILE] != 0
    assert folded.truth_region(x, y, TILE, TILE)[fold].mean() < flat.truth_region(x, y, TILE, TILE)[fold].mean() - 20


def test_pickles_by_its_options() -> None:
    for slide in (PhantomSlide(SMALL), PhantomSlide(SMALL).truth):
        copy = pickle.loads(pickle.dumps(slide))
        assert (type(copy), copy.options) == (type(slide), SMALL)
        np.testing.assert_array_equal(copy.read_tile(0, 0, 1, 1), slide.read_tile(0, 0, 1, 1))


def test_uint16_shows_the_same() -> None:
    narrow, wide = (PhantomSlide(replace(SMALL, dtype=dtype)).read_tile(0, 1, 0, 0) for dtype in ("uint8", "uint16"))
    assert wide.dtype == np.uint16
    assert wide.shape == narrow.shape
    assert np.abs(wide / 257 - narrow).max() <= 0.51


def test_planes_lie_at_their_spacing_and_one_plane_is_flat() -> None:
    assert [plane.z_um for plane in PhantomSlide(replace(SMALL, planes=3, plane_spacing_um=2.0)).planes] == [0, 2, 4]
    assert PhantomSlide(replace(SMALL, kind="tissue", planes=1)).depth_region(0, 0, 10, 10).max() == 0


def test_caches_stay_within_their_bounds() -> None:
    slide = PhantomSlide(PhantomOptions(kind="tissue", width=1536, height=1024, noise=0))
    for stack in slide.stacks(0):
        assert stack.pixels.shape == (9, TILE, TILE, 3)
        assert slide._spectra.size <= SPECTRA_BYTES
        assert [cache.limit for cache in slide._blocks] == list(CACHE_BYTES)
        assert all(cache.size <= cache.limit for cache in slide._blocks)
    # 24 blocks of 9 planes are more than the cache of level 0 holds, so the first ones must be gone.
    assert slide._blocks[0].get((0, 0, 0)) is None


def test_all_planes_of_a_tile_share_one_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    slide = PhantomSlide(replace(SMALL, width=768, height=512, tile=128))
    drawn: list[Box] = []
    deposits = slide._specimen.deposits

    def counted(box: Box) -> Any:
        drawn.append(box)
        return deposits(box)

    monkeypatch.setattr(slide._specimen, "deposits", counted)
    for level in range(len(slide.levels)):
        for _ in slide.stacks(level):
            pass
    assert len(slide.levels) == 2
    assert len(drawn) == 6


def test_cache_lets_go_of_what_was_used_longest_ago() -> None:
    cache: Cache[str] = Cache(10)
    for key in "abc":
        cache.put(key, key.upper(), 3)
    assert cache.get("a") == "A"
    cache.put("d", "D", 4)
    assert [cache.get(key) for key in "abcd"] == ["A", None, "C", "D"]
    cache.put("a", "again", 1)
    assert (cache.get("a"), cache.size) == ("again", 8)
    cache.put("huge", "", 11)
    assert (cache.get("huge"), cache.size) == (None, 0)


def test_texture_depends_on_position_alone_and_is_normalised() -> None:
    whole = fractal(Box(-300, -200, 900, 700), (2, 4, 8.5, 16), 7)
    np.testing.assert_array_equal(fractal(Box(-50, 13, 100, 80), (2, 4, 8.5, 16), 7), whole[213:293, 250:350])
    assert whole.mean() == pytest.approx(0, abs=0.03)
    assert whole.std() == pytest.approx(1, rel=0.05)
    assert abs(np.corrcoef(whole.ravel(), fractal(Box(-300, -200, 900, 700), (2, 4, 8.5, 16), 8).ravel())[0, 1]) < 0.05


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "blood"},
        {"dtype": "float32"},
        {"width": 0},
        {"planes": 0},
        {"plane_spacing_um": 0.0},
        {"noise": -1.0},
        {"seed": -1},
        {"band": 0.0},
        {"mpp": 9.0},
    ],
)
def test_options_out_of_range_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong)).split("_")[0]):
        PhantomOptions(**wrong)


@pytest.mark.parametrize("mpp", [0.2, 0.5])
def test_specimen_keeps_its_size_in_micrometres(mpp: float) -> None:
    """The same field of view at another magnification shows the same objects."""
    width = round(256 / mpp)
    slide = PhantomSlide(PhantomOptions(width=width, height=width, mpp=mpp))
    share = np.isfinite(slide.depth_region(0, 0, width, width)).mean()
    assert share == pytest.approx(
        np.isfinite(PhantomSlide(PhantomOptions()).depth_region(0, 0, 1024, 1024)).mean(), rel=0.1
    )
