"""The samplers on simulated focus profiles: cost, agreement with scoring everything, and what they owe a caller."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from numpy.typing import NDArray
from scipy import ndimage, spatial

from planish.errors import OptionError
from planish.focus import profile
from planish.focus.background import fill_glass, like_glass
from planish.focus.bracket import BracketSampler, coarse_planes
from planish.focus.probe import SAMPLERS, Probe, choose_sampler, make_sampler
from planish.focus.recursive import RecursiveSampler
from planish.focus.sampler import DenseSampler, Sampler
from planish.planemap import How

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
SIZE, PLANES = 64, 15
EVERYWHERE = np.ones((SIZE, SIZE), bool)


def profiles(depth: Array, planes: int, seed: int, width: float = 1.5, noise: float = 0.02) -> NDArray[np.float32]:
    """Simulate scores: a bell over a pedestal, brightness 2-3 × between cells, noise as a share of peak to valley."""
    rng = np.random.default_rng(seed)
    bell = np.exp(-(((np.arange(planes) - depth[..., None]) / width) ** 2) / 2)
    pedestal = rng.uniform(0.15, 0.45, depth.shape)[..., None]
    brightness = 1000 * np.exp(rng.normal(0, 0.4, depth.shape))[..., None]
    return (brightness * (pedestal + bell + noise * rng.normal(size=bell.shape))).astype(np.float32)


def smooth(kind: str, seed: int, planes: int = PLANES) -> Array:
    """Return (64, 64) depths of a sheet of tissue that changes plane once per 6 cells along a row."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    depth: Array = x + y * rng.uniform(-0.7, 0.7)
    if kind == "wave":
        phases = rng.uniform(0, 2 * np.pi, 2)
        depth = 2.6 * np.sin(x / 9 + phases[0]) + 1.7 * np.sin(y / 10 + phases[1])
    elif kind == "hills":
        depth = ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE)), 9, mode="wrap")
    depth = depth / (6 * np.abs(np.diff(depth, axis=1)).mean())
    depth = depth - np.median(depth) + (planes - 1) / 2 + rng.uniform(-0.5, 0.5)
    return np.clip(depth, 0, planes - 1)


def clusters(seed: int, cells: int) -> tuple[Array, Mask]:
    """Return depths of cytology, (64, 64), with clusters of so many cells, each at a depth of its own, and its mask."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, SIZE, (SIZE * SIZE // cells, 2))
    _, cluster = spatial.cKDTree(centres).query(np.argwhere(EVERYWHERE))
    depth = rng.uniform(0, PLANES - 1, len(centres))[cluster] + rng.normal(0, 0.3, SIZE * SIZE)
    field = ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE)), 1.5)
    return np.clip(depth, 0, PLANES - 1).reshape(SIZE, SIZE), field > np.quantile(field, 0.65)


def run(sampler: Sampler, truth: NDArray[np.float32]) -> int:
    """Score what the sampler asks for until it is done; return how many cell-planes that were."""
    asked = 0
    while not sampler.done:
        cells = sampler.pending()
        index = tuple(cells.T)
        assert np.isnan(sampler.scores[index]).all(), "asked for what it knows"
        assert sampler.mask[index[:2]].all(), "asked for a cell without specimen"
        assert len(np.unique(cells, axis=0)) == len(cells), "asked twice at once"
        sampler.feed(cells, truth[index])
        asked += len(cells)
    return asked


def surveyed(truth: NDArray[np.float32], mask: Mask, seed: int) -> tuple[str, float, float]:
    """Probe, choose and run; return the sampler's name, agreement with scoring everything, and share scored."""
    probe = Probe(mask, truth.shape[2], seed)
    asked = run(probe, truth)
    sampler, choice = choose_sampler(probe, seed)
    asked += run(sampler, truth)
    agreement = (sampler.plane == truth.argmax(axis=2))[mask].mean()
    return choice.name, float(agreement), asked / (mask.sum() * truth.shape[2])


@pytest.mark.parametrize("noise", [0.01, 0.03])
@pytest.mark.parametrize("kind", ["tilt", "wave", "hills"])
@pytest.mark.parametrize("seed", range(3))
def test_smooth_tissue_is_surveyed_recursively_at_a_tenth_of_the_cost(kind: str, seed: int, noise: float) -> None:
    truth = profiles(smooth(kind, seed), PLANES, seed, noise=noise)
    name, agreement, cost = surveyed(truth, EVERYWHERE, seed)
    assert name == "recursive"
    assert agreement >= 0.99
    assert cost <= 0.10


@pytest.mark.parametrize("cells", [1, 4, 16])
@pytest.mark.parametrize("seed", range(3))
def test_cytology_is_surveyed_by_brackets(cells: int, seed: int) -> None:
    depth, mask = clusters(seed, cells)
    name, agreement, cost = surveyed(profiles(depth, PLANES, seed), mask, seed)
    assert name == "bracket"
    assert agreement >= 0.985
    assert cost <= 0.60


@pytest.mark.parametrize("seed", range(3))
def test_a_fold_is_noticed(seed: int) -> None:
    depth = smooth("hills", seed)
    depth[:, 30:] = np.clip(depth[:, 30:] + 5, 0, PLANES - 1)
    truth = profiles(depth, PLANES, seed)
    sampler = RecursiveSampler(EVERYWHERE, PLANES)
    assert run(sampler, truth) <= 0.12 * truth.size
    assert (sampler.plane == truth.argmax(axis=2)).mean() >= 0.99


def test_smooth_tissue_with_a_ragged_mask() -> None:
    field = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=(SIZE, SIZE)), 4)
    mask = field > np.median(field)
    name, agreement, cost = surveyed(profiles(smooth("hills", 5), PLANES, 5), mask, 5)
    assert name == "recursive"
    assert agreement >= 0.99
    assert cost <= 0.11


def test_a_second_maximum_is_bracketed_too() -> None:
    """The coarse planes see the lower hump at its top and the higher one beside it."""
    humps = np.array([1, 2, 5, 8, 9.6, 8, 5, 2, 1, 3, 9.5, 10, 9, 3, 1], np.float32)
    truth = np.broadcast_to(humps, (8, 8, PLANES))
    sampler = BracketSampler(np.ones((8, 8), bool), PLANES)
    run(sampler, truth)
    assert (sampler.plane == 11).all()


def test_small_components_are_scored_in_full() -> None:
    mask = np.zeros((12, 12), bool)
    mask[0, 0] = mask[1, 1] = True
    mask[4, 4:7] = True
    mask[8:10, 4:6] = True
    sampler = BracketSampler(mask, PLANES)
    run(sampler, profiles(np.full(mask.shape, 7.0), PLANES, 0))
    assert (sampler.how[mask[:, 0], 0] == How.DENSE).all()
    assert (sampler.how[4, 4:7] == How.DENSE).all()
    assert (sampler.how[8:10, 4:6] == How.SAMPLED).all()
    assert (sampler.how[~mask] == How.GLASS).all()


@pytest.mark.parametrize("planes", range(1, 40))
def test_coarse_planes_leave_no_plane_without_a_neighbour(planes: int) -> None:
    coarse = coarse_planes(planes)
    assert len(coarse) == -(-planes // 3)
    assert np.abs(np.arange(planes)[:, None] - coarse).min(axis=1).max() <= 1


SAMPLER: dict[str, Callable[[Mask, int], Sampler]] = {
    "dense": DenseSampler,
    "bracket": BracketSampler,
    "recursive": RecursiveSampler,
    "recursive, random start": lambda mask, planes: RecursiveSampler(mask, planes, seed=7),
    "probe": lambda mask, planes: Probe(mask, planes, seed=7),
}

masks = nps.arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 20)))


@given(st.sampled_from(list(SAMPLER)), masks, st.integers(1, 9), st.integers(0, 99), st.sampled_from([-5, 0, 1]))
@settings(max_examples=150, deadline=None)
def test_any_sampler_ends_on_any_scores_and_never_asks_twice(
    name: str, mask: Mask, planes: int, seed: int, low: int
) -> None:
    # Few values, so that ties and flat profiles come up; negative ones, as Vollath's measure has.
    truth = np.random.default_rng(seed).integers(low, 3, (*mask.shape, planes)).astype(np.float32)
    sampler = SAMPLER[name](mask, planes)
    run(sampler, truth)
    assert sampler.plane.dtype == np.int16
    assert ((sampler.plane >= 0) & (sampler.plane < planes)).all()
    how, scores = sampler.how, sampler.scores
    assert ((how == How.GLASS) == ~mask).all()
    assert ((how == How.DENSE) == mask & ~np.isnan(scores).any(axis=2)).all()
    dense = how == How.DENSE
    assert (sampler.plane[dense] == truth.argmax(axis=2)[dense]).all()
    margin = sampler.margin
    assert ((margin >= 0) & (margin <= 1) | np.isnan(margin)).all()
    assert np.isnan(margin[how == How.INFERRED]).all()


@given(masks, st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_dense_is_argmax(mask: Mask, planes: int, seed: int) -> None:
    truth = np.random.default_rng(seed).normal(size=(*mask.shape, planes)).astype(np.float32)
    sampler = DenseSampler(mask, planes)
    assert run(sampler, truth) == mask.sum() * planes
    assert (sampler.plane == truth.argmax(axis=2))[mask].all()
    assert np.array_equal(sampler.sharpness[mask], truth.max(axis=2)[mask])


@given(st.floats(0, 8), st.integers(0, 99), st.sampled_from(["bracket", "recursive"]), masks)
@settings(max_examples=60, deadline=None)
def test_every_sampler_is_exact_on_an_even_slide(depth: float, seed: int, name: str, mask: Mask) -> None:
    truth = np.broadcast_to(profiles(np.full((1, 1), depth), 9, seed, noise=0), (*mask.shape, 9))
    sampler = make_sampler(name, mask, 9, seed)
    run(sampler, truth)
    assert (sampler.plane[mask] == truth[0, 0].argmax()).all()


@pytest.mark.parametrize("name", ["bracket", "recursive"])
@pytest.mark.parametrize("seed", range(3))
def test_scores_that_come_along_are_used(name: str, seed: int) -> None:
    """One coarse tile yields 4 × 4 cells: fewer tiles are asked for than cells, and the planes are no worse."""
    truth = profiles(smooth("hills", seed), PLANES, seed)
    alone = make_sampler(name, EVERYWHERE, PLANES)
    asked_alone = run(alone, truth)
    sampler = make_sampler(name, EVERYWHERE, PLANES)
    asked = 0
    while not sampler.done:
        tiles = np.unique(sampler.pending() // (4, 4, 1), axis=0)
        asked += len(tiles)
        offsets = np.stack(np.meshgrid(range(4), range(4), 0), axis=-1).reshape(-1, 3)
        cells = (tiles[:, None] * (4, 4, 1) + offsets).reshape(-1, 3)
        sampler.feed(cells, truth[tuple(cells.T)])
    best = truth.argmax(axis=2)
    assert asked < asked_alone
    assert (sampler.plane == best).mean() >= (alone.plane == best).mean() - 0.002
    assert (sampler.plane == best).mean() >= 0.99


@given(st.integers(0, 99), st.floats(0, 0.5))
@settings(max_examples=25, deadline=None)
def test_known_scores_are_never_asked_for_and_decide_where_they_are_complete(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    truth = profiles(smooth("hills", seed)[:32, :32], PLANES, seed)
    mask = EVERYWHERE[:32, :32]
    extra = np.argwhere(rng.random(mask.shape) < share)
    cells = np.concatenate([np.insert(extra, 2, plane, axis=1) for plane in range(PLANES)])
    sampler = RecursiveSampler(mask, PLANES)
    sampler.feed(cells, truth[tuple(cells.T)])
    run(sampler, truth)
    known = tuple(extra.T)
    assert (sampler.plane[known] == truth.argmax(axis=2)[known]).all()
    assert (sampler.plane == truth.argmax(axis=2)).mean() >= 0.98


def test_probe_saves_the_chosen_sampler_its_work() -> None:
    truth = profiles(smooth("wave", 0), PLANES, 0)
    probe = Probe(EVERYWHERE, PLANES, seed=1)
    probed = run(probe, truth)
    sampler, choice = choose_sampler(probe, seed=1)
    assert choice.name == "recursive"
    assert "of 128 neighbours of 64 probed cells" in choice.why
    afresh = run(make_sampler("recursive", EVERYWHERE, PLANES, seed=1), truth)
    assert run(sampler, truth) < afresh - 0.5 * probed


@pytest.mark.parametrize(("size", "planes", "why"), [(64, 4, "4 planes"), (20, 9, "3600 cell-planes"), (64, 1, "1 p")])
def test_little_to_score_is_scored_densely(size: int, planes: int, why: str) -> None:
    probe = Probe(np.ones((size, size), bool), planes)
    assert probe.done
    sampler, choice = choose_sampler(probe)
    assert isinstance(sampler, DenseSampler)
    assert why in choice.why


def test_cells_without_neighbours_are_bracketed() -> None:
    mask = np.zeros((200, 200), bool)
    mask[::5, ::5] = True
    probe = Probe(mask, PLANES)
    run(probe, profiles(np.full(mask.shape, 7.0), PLANES, 0))
    assert choose_sampler(probe)[1].name == "bracket"


def test_unknown_sampler_and_bad_scores_are_refused() -> None:
    with pytest.raises(OptionError, match=", ".join(SAMPLERS)):
        make_sampler("clever", EVERYWHERE, PLANES)
    sampler = DenseSampler(EVERYWHERE, PLANES)
    with pytest.raises(ValueError, match="finite"):
        sampler.feed([(0, 0, 0)], [np.nan])
    with pytest.raises(ValueError, match="2 cell-planes"):
        sampler.feed([(0, 0, 0), (0, 0, 1)], [1.0])


def test_peak_offset_is_the_vertex_of_a_parabola() -> None:
    def parabola(vertex: float) -> NDArray[np.float32]:
        return (100 - (np.arange(5) - vertex) ** 2).astype(np.float32)

    whole = parabola(2.3)
    assert profile.peak_offset(whole, 0) == pytest.approx(0.3, abs=1e-4)
    left, right = whole.copy(), whole.copy()
    left[3:], right[:2] = np.nan, np.nan
    bend = float(profile.curvature(whole))
    assert profile.peak_offset(left, bend) == pytest.approx(0.3, abs=1e-4)
    assert profile.peak_offset(right, bend) == pytest.approx(0.3, abs=1e-4)
    beyond = parabola(3.6)
    beyond[3:] = np.nan
    assert profile.peak_offset(beyond, bend) == 1
    assert profile.peak_offset(np.full(5, np.nan, np.float32), bend) == 0


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([4, 1, 3], 0.25), ([0, 0, 0], 0), ([-1, -2, -4], 1), ([5, np.nan, np.nan], np.nan), ([7], np.nan)],
)
def test_margin(scores: list[float], expected: float) -> None:
    assert profile.margin(np.array(scores, np.float32)) == pytest.approx(expected, nan_ok=True)


def glassy(seed: int) -> tuple[NDArray[np.float32], Mask]:
    """Return scores of a slide whose lower third is glass: quiet, and the same whatever the focus."""
    truth = profiles(smooth("hills", seed), PLANES, seed)
    glass = np.indices((SIZE, SIZE))[0] >= 43
    quiet = np.random.default_rng(seed).normal(50, 0.5, truth.shape)
    return np.where(glass[..., None], quiet, truth).astype(np.float32), glass


def test_glass_inside_the_mask_is_found() -> None:
    scores, glass = glassy(0)
    known = scores[glass][::100]
    assert (like_glass(scores, EVERYWHERE, known) == glass).mean() > 0.99
    assert not like_glass(scores, ~glass, known).any()
    scores[:, :, 4:] = np.nan
    assert not like_glass(scores, EVERYWHERE, known).any(), "four planes are too few to judge by"


def test_without_glass_to_compare_with_everything_is_specimen() -> None:
    scores = np.random.default_rng(0).normal(500, 5, (SIZE, SIZE, PLANES)).astype(np.float32)
    none = np.empty((0, PLANES), np.float32)
    assert not like_glass(scores, EVERYWHERE, none).any()
    assert not like_glass(np.full_like(scores, np.nan), EVERYWHERE, scores[0]).any()


def test_glass_takes_the_plane_of_the_nearest_specimen() -> None:
    specimen = np.zeros((3, 9), bool)
    specimen[1, [1, 7]] = True
    plane = np.full(specimen.shape, 5, np.int16)
    plane[1, 1], plane[1, 7] = 2, 9
    filled = fill_glass(plane, specimen, 11)
    assert (filled[:, :4] == 2).all()
    assert (filled[:, 5:] == 9).all()
    assert (fill_glass(plane, np.zeros_like(specimen), 11) == 5).all()
