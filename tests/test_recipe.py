"""What is done in each cell: how it is judged, which cells give way, and what of it a file may say."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from arrays import ArraySlide
from layers import GLASS, PyramidSlide, layered, map_of, recipe_of
from planish.convert import ConvertOptions, convert
from planish.errors import OptionError, PlanishError
from planish.fuse.assess import Assessment, assess
from planish.fuse.cover import hybrid_recipe, vertex_cover
from planish.fuse.decide import decide
from planish.fuse.flat import flatten
from planish.fuse.hybrid import Hybrid
from planish.fuse.options import FuseOptions
from planish.planemap import How, PlaneMap
from planish.recipe import FULL_RAMP, HALF_RAMP, NEIGHBOURS, Action, Recipe

HYBRID, FEATHER = FuseOptions(), FuseOptions("feather")


def recipe(focus: PlaneMap) -> Recipe:
    assert focus.recipe is not None
    return focus.recipe


def two_structures(size: int = 512, above: int = 4) -> NDArray[np.uint8]:
    """Return a slide sharp in plane 1, but for a corner of its first cell of 128 px that is sharp in plane `above`."""
    depth = np.full((size, size), 1)
    depth[:64, :64] = above
    return layered(depth)


@pytest.mark.parametrize(
    ("size", "downsamples"), [(512, (1, 4)), (512, (1,)), (512, (1, 3)), (256, (1, 2)), (128, (1,))]
)
def test_two_structures_in_a_cell_are_fused_and_uniform_cells_copied(size: int, downsamples: tuple[int, ...]) -> None:
    slide = PyramidSlide(two_structures(size), downsamples=downsamples)
    found = recipe(decide(slide, map_of(slide, 1), HYBRID))
    assert found.action[0, 0] == Action.FUSE
    assert found.lowest[0, 0] <= 1
    assert found.highest[0, 0] == 4
    assert np.argwhere(found.overlap).tolist() == [[0, 0]]
    assert found.count(Action.FUSE) == 1
    # A plane that is next to the cell's own is a slope, no other structure.
    slide = PyramidSlide(two_structures(size, above=2), downsamples=downsamples)
    assert not recipe(decide(slide, map_of(slide, 1), HYBRID)).overlap.any()


def test_without_glass_texture_does_not_pass_for_noise() -> None:
    depth = np.full((512, 512), 1)
    depth[:128, :128] = 4
    slide = ArraySlide(layered(depth))
    found = assess(slide, map_of(slide, 1, 256))
    assert found.noise < 0.1
    assert found.lowest.tolist() == [[1, 1], [1, 1]]
    assert found.highest.tolist() == [[4, 1], [1, 1]]


def test_a_border_that_shows_is_ramped_in_one_of_its_cells_and_one_that_does_not_is_left() -> None:
    depth = np.full((512, 512), 1)
    depth[:256, 256:] = 3
    depth[256:] = GLASS
    slide = ArraySlide(layered(depth), tile=128)
    focus = map_of(slide, np.where(np.arange(4) < 2, 1, 3))
    focus.how[2:] = How.GLASS
    found = recipe(decide(slide, focus, HYBRID))
    assert found.count(Action.FUSE) == 0
    assert (found.action[:2, 1:3] == Action.RAMP).sum(axis=1).tolist() == [1, 1]
    assert found.count(Action.RAMP) == 2  # none on glass, where the planes differ as well


def test_noise_is_neither_fused_nor_blended() -> None:
    random = np.random.default_rng(0)
    for noise, planes in ((1.0, 3), (6.0, 9)):
        stack = np.clip(235 + random.standard_normal((planes, 512, 512, 3), np.float32) * noise, 0, 255)
        slide = ArraySlide(stack.astype(np.uint8), tile=128)
        anywhere = map_of(slide, random.integers(0, planes, (4, 4)))
        assert recipe(decide(slide, anywhere, HYBRID)).count(Action.COPY) == 16


def test_glass_is_not_looked_at_and_nothing_is_decoded_twice() -> None:
    stack = two_structures()
    for downsamples, tile, tiles in (((1, 4), 32, 12), ((1,), 128, 12), ((1, 4), 128, 1)):
        slide = PyramidSlide(stack, (tile, tile), downsamples)
        focus = map_of(slide, 1)
        focus.how[:, 3] = How.GLASS
        for jobs in (1, 3):
            before = slide.decoded.total()
            found = assess(slide, focus, jobs)
            assert found.decoded == slide.decoded.total() - before == tiles * 5
            assert not found.loss[:, 3].any()
            assert (found.plane == 1).all()
            assert found.loss[0, 0] > 1.1
        assert set(slide.decoded) == {len(downsamples) - 1}
    focus.how[:] = How.GLASS
    assert assess(slide, focus).decoded == 0
    assert recipe(decide(slide, focus, HYBRID)).count(Action.COPY) == 16


def test_threads_do_not_change_what_is_found() -> None:
    slide = PyramidSlide(two_structures(), (32, 32), (1, 4))
    focus = map_of(slide, 1)
    told: list[tuple[str, int, int]] = []
    first, second = (assess(slide, focus, jobs, lambda *now: told.append(now), correct=True) for jobs in (1, 4))
    assert told == [("looking inside cells", done, 4) for done in range(1, 5)] * 2
    for name in ("plane", "loss", "lowest", "highest", "shows"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_sixteen_bits_are_judged_like_eight() -> None:
    stack = two_structures()
    eight, sixteen = ArraySlide(stack, tile=128), ArraySlide(stack.astype(np.uint16) * 257, tile=128)
    first, second = (recipe(decide(slide, map_of(slide, 1), HYBRID)) for slide in (eight, sixteen))
    for name in ("action", "ramp", "lowest", "highest", "overlap"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert second.noise == pytest.approx([value * 257**2 for value in first.noise], rel=1e-3)


def test_planes_are_corrected_where_asked_for_and_never_otherwise() -> None:
    slide = PyramidSlide(two_structures())
    focus = map_of(slide, 1)
    focus.plane[2, 2], focus.plane[3, 0] = 3, 0
    assert np.array_equal(decide(slide, focus, HYBRID).plane, focus.plane)
    corrected = decide(slide, focus, HYBRID, correct=True)
    assert (corrected.plane == 1).all()
    assert np.isnan(corrected.sharpness[2, 2])
    assert corrected.how[2, 2] == How.DENSE
    assert np.array_equal(decide(slide, focus, FEATHER, correct=True).plane, focus.plane)


def test_cells_narrower_than_their_parts_are_judged() -> None:
    for width in (257, 258, 265):
        depth = np.full((260, width), 1)
        for downsamples in ((1,), (1, 2), (1, 4)):
            slide = PyramidSlide(layered(depth), (512, 512), downsamples)
            found = assess(slide, map_of(slide, 1))
            assert np.isfinite(found.loss).all()
            if width == 265:
                wrong = map_of(slide, [[1, 1, 4], [1, 1, 4], [1, 1, 1]])
                assert (assess(slide, wrong, correct=True).plane[:2, 2] == 1).all()


def test_a_missing_plane_does_not_draw_its_neighbours_to_it() -> None:
    stack = two_structures()
    stack[3, 256:384, 256:384] = 255
    slide = PyramidSlide(stack)
    found = assess(slide, map_of(slide, 1), correct=True)
    assert (found.plane == 1).all()
    assert found.loss[0, 0] > 1.1


def test_feather_ramps_every_border_between_planes_halfway() -> None:
    slide = ArraySlide(np.zeros((3, 300, 500, 1), np.uint8))
    plane = np.random.default_rng(1).integers(0, 3, (3, 4))
    found = recipe(decide(slide, map_of(slide, plane), FEATHER))
    for row, column in np.ndindex(plane.shape):
        for side, (down, across) in enumerate(NEIGHBOURS):
            other = row + down, column + across
            inside = 0 <= other[0] < 3 and 0 <= other[1] < 4
            differs = inside and plane[other] != plane[row, column]
            assert found.ramp_at(row, column, side) == (HALF_RAMP if differs else 0)
    assert slide.decoded.total() == 0


def test_fused_cells_pass_into_those_that_are_not_and_ramped_ones_meet_halfway() -> None:
    slide = ArraySlide(two_structures(), tile=128)
    found = recipe(decide(slide, map_of(slide, 1), HYBRID))
    assert [found.ramp_at(0, 0, side) for side in range(4)] == [0, FULL_RAMP, 0, FULL_RAMP]
    assert not found.ramp[1:].any()
    assert not found.ramp[0, 1:].any()


def test_fused_neighbours_are_fused_of_each_others_planes_and_nobody_elses() -> None:
    random = np.random.default_rng(2)
    plane = random.integers(2, 7, (5, 6)).astype(np.int16)
    loss = random.choice([0.0, 2.0], plane.shape).astype(np.float32)
    lowest, highest = plane - random.integers(0, 2, plane.shape), plane + random.integers(0, 2, plane.shape)
    shows = np.zeros((4, 5, 6), np.float32)
    wants = Assessment(
        plane, loss, lowest.astype(np.int16), highest.astype(np.int16), np.zeros(plane.shape, np.uint8), shows, 0.0, 0
    )
    found = hybrid_recipe(9, wants, Hybrid(enough=1), (0.1,))
    for row, column in np.ndindex(plane.shape):
        cells = [(row, column), *((row + down, column + across) for down, across in NEIGHBOURS)]
        inside = [cell for cell in cells if 0 <= cell[0] < 5 and 0 <= cell[1] < 6 and loss[cell]]
        wanted = range(plane[row, column], plane[row, column] + 1)
        if loss[row, column]:
            wanted = range(min(lowest[cell] for cell in inside) - 1, max(highest[cell] for cell in inside) + 2)
        assert range(found.lowest[row, column], found.highest[row, column] + 1) == wanted
    assert found.suits(plane)


def is_cover(cells: set[tuple[int, int]], edges: list[Any]) -> bool:
    return all(first in cells or second in cells for first, second in edges)


def test_the_cover_touches_every_edge_and_is_the_same_whatever_their_order() -> None:
    random = np.random.default_rng(0)
    sizes, least = 0, 0
    for _ in range(60):
        rows, columns = random.integers(1, 5, 2).tolist()
        grid = list(np.ndindex(rows, columns))
        every = [((r, c), (r + d, c + 1 - d)) for r, c in grid for d in (0, 1) if r + d < rows and c + 1 - d < columns]
        edges = [edge for edge in every if random.random() < 0.6]
        cover = vertex_cover(edges)
        assert is_cover(cover, edges)
        shuffled = [edges[index][:: random.choice([-1, 1])] for index in random.permutation(len(edges))]
        assert vertex_cover(shuffled) == cover
        best = next(n for n in range(len(grid) + 1) if any(is_cover(set(c), edges) for c in combinations(grid, n)))
        assert best <= len(cover) <= 2 * best
        sizes, least = sizes + len(cover), least + best
    assert sizes <= 1.1 * least


def test_the_cover_of_a_large_slide_is_quick_and_complete() -> None:
    edges = [((row, column), (row, column + 1)) for row in range(200) for column in range(199)]
    cover = vertex_cover(edges)
    assert is_cover(cover, edges)
    assert len(cover) <= 1.05 * 200 * 99.5


def saved(folder: Path, **changes: Any) -> Path:
    """Save a map of 2 × 3 cells with a recipe, some fields changed."""
    slide = ArraySlide(np.zeros((5, 250, 380, 1), np.uint8))
    focus = map_of(slide, [[0, 1, 2], [3, 4, 0]])
    action, ramp = np.array([[1, 2, 0], [0, 0, 0]], np.uint8), np.array([[30, 54, 0], [0, 0, 0]], np.uint8)
    lowest, highest = focus.plane.copy(), focus.plane.copy()
    highest[0, 0] = 2
    parameters = asdict(Hybrid())
    made = recipe_of(focus.plane, parameters, action=action, ramp=ramp, lowest=lowest, highest=highest, noise=(0.1,))
    path = folder / "map.json"
    replace(focus, recipe=made).save(path)
    data = json.loads(path.read_text(encoding="utf-8"))
    head = {name: changes.pop(name) for name in ("method", "parameters", "noise") if name in changes}
    data = data | {"recipe": data["recipe"] | head} | changes
    if "recipe" not in changes:
        data["recipe"] = {key: value for key, value in data["recipe"].items() if value is not ...}
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not ...}), encoding="utf-8")
    return path


NONE = [[0, 0, 0], [0, 0, 0]]
BROKEN: list[dict[str, Any]] = [
    {"action": [[1, 2, 0]]}, {"action": []}, {"action": 1}, {"action": [[3, 0, 0], [0, 0, 0]]}, {"action": ...},
    {"action": [[0.5, 0, 0], [0, 0, 0]]}, {"action": [[None, 0, 0], [0, 0, 0]]}, {"action": [[1, 0], [1]]},
    {"ramp": [[81, 0, 0], [0, 0, 0]]}, {"ramp": [[256, 0, 0], [0, 0, 0]]}, {"ramp": [[-1, 0, 0], [0, 0, 0]]},
    {"ramp": [[1, 0, 0], [0, 0, 0]]}, {"ramp": [[0, 0, 3], [0, 0, 0]]}, {"ramp": [[9, 0, 0], [0, 0, 0]]},
    {"ramp": [[0, 0, 0], [0, 27, 0]]}, {"ramp": [[0, 0, 0], [0, 54, 0]]},
    {"lowest": [[5, 0, 0], [0, 0, 0]]}, {"lowest": [[0, 1, 2], [3, 4, 1]]}, {"lowest": [[-1, 1, 2], [3, 4, 0]]},
    {"highest": [[0, 1, 2], [3, 5, 0]]}, {"highest": [[0, 1, 2], [3, 10**9, 0]]}, {"highest": ...},
    {"overlap": [[2, 0, 0], [0, 0, 0]]}, {"overlap": "none"}, {"overlap": None},
    {"method": 3}, {"method": ...}, {"method": "feather"}, {"parameters": [1]}, {"parameters": None},
    {"noise": None}, {"noise": [-0.1]}, {"noise": [float("nan")]}, {"noise": [float("inf")]}, {"noise": ["0.1"]},
    {"noise": [10**400]}, {"noise": ...}, {"recipe": 5}, {"recipe": "hybrid"}, {"recipe": [1]},
    {"recipe": {"method": "hybrid"}},
]  # fmt: skip


@pytest.mark.parametrize("changes", BROKEN, ids=lambda changes: str(changes)[:50])
def test_a_recipe_that_does_not_fit_is_refused_in_one_line_with_the_files_name(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(PlanishError, match=r"map\.json") as refused:
        PlaneMap.load(saved(tmp_path, **changes))
    assert "\n" not in str(refused.value)
    assert "reduction" not in str(refused.value)


def test_a_recipe_is_the_same_after_saving() -> None:
    for fuse in (HYBRID, FEATHER):
        slide = ArraySlide(two_structures(), tile=128)
        plane = np.ones((4, 4), np.int16)
        plane[3, 3] = 2
        made = decide(slide, map_of(slide, plane), fuse)
        kept = recipe(made)
        again = Recipe.from_fields(json.loads(json.dumps(kept.to_fields())))
        assert (again.method, again.parameters, again.noise) == (kept.method, kept.parameters, kept.noise)
        for name in ("action", "ramp", "lowest", "highest", "overlap"):
            assert np.array_equal(getattr(again, name), getattr(kept, name))
            assert getattr(again, name).dtype == getattr(kept, name).dtype


@pytest.mark.parametrize("fuse", [HYBRID, FEATHER], ids=["hybrid", "feather"])
def test_a_map_in_which_no_cell_is_fused_can_be_read_back(fuse: FuseOptions, tmp_path: Path) -> None:
    np.save(tmp_path / "stack.npy", layered(np.full((300, 300), 2)))
    result = convert(tmp_path / "stack.npy", tmp_path / "flat.tif", ConvertOptions(fuse=fuse))
    assert recipe(PlaneMap.load(result.map)).noise == ()


def test_a_recipe_is_kept_for_its_own_method_parameters_and_planes_and_made_anew_for_others(tmp_path: Path) -> None:
    slide = ArraySlide(np.zeros((5, 250, 380, 1), np.uint8))
    focus = PlaneMap.load(saved(tmp_path))
    assert decide(slide, focus, HYBRID) is focus
    assert slide.decoded.total() == 0
    assert decide(slide, focus, FuseOptions("select")).recipe is None
    assert decide(slide, focus, FuseOptions("soft")).recipe is None
    assert recipe(decide(slide, focus, FEATHER)).method == "feather"
    other = recipe(decide(slide, focus, FuseOptions(parameters={"tau": 3.0})))
    assert other.parameters["tau"] == 3.0
    assert other.count(Action.COPY) == 6
    # A person may fuse a cell or leave it, or choose among the planes that it is fused of …
    for changes in ({"action": NONE}, {"plane": [[2, 1, 2], [3, 4, 0]]}):
        edited = PlaneMap.load(saved(tmp_path, **changes))
        assert decide(slide, edited, HYBRID) is edited
        flatten(slide, edited).read_tile(0, 0, 0, 0)
    # … but with another plane, its borders are other ones.
    edited = PlaneMap.load(saved(tmp_path, plane=[[0, 1, 2], [3, 1, 0]]))
    assert recipe(decide(slide, edited, HYBRID)) is not edited.recipe
    unknown = PlaneMap.load(saved(tmp_path, method="of tomorrow", parameters={"strength": 1}))
    assert recipe(decide(slide, unknown, HYBRID)).method == "hybrid"


def test_a_recipe_made_by_hand_is_checked_too(tmp_path: Path) -> None:
    focus = PlaneMap.load(saved(tmp_path))
    made = recipe(focus)
    for changes in (
        {"action": np.full((2, 3), 7, np.uint8)}, {"ramp": np.full((2, 3), 80, np.uint8)}, {"noise": (float("nan"),)},
        {"lowest": np.full((2, 3), 4, np.int16)}, {"overlap": np.zeros((0, 0), np.uint8)},
    ):  # fmt: skip
        with pytest.raises(OptionError, match="plane map: recipe"):
            replace(focus, recipe=replace(made, **changes))


def test_cells_are_fused_in_the_order_of_what_it_changes_until_it_is_enough() -> None:
    loss = np.array([[3.0, 2.0, 2.0, 1.5], [1.5, 1.3, 1.0, 0.0]], np.float32)
    plane, nothing = np.zeros(loss.shape, np.int16), np.zeros(loss.shape, np.uint8)
    wants = Assessment(plane, loss, plane, plane, nothing, np.zeros((4, 2, 4), np.float32), 0.0, 0)

    def fused(**options: float) -> list[float]:
        recipe = hybrid_recipe(5, wants, Hybrid(**options), (0.1,))  # type: ignore[arg-type]  # ramp is whole
        return sorted(loss[recipe.action == Action.FUSE].tolist())

    assert fused(tau=1.0, enough=0.6) == [2, 2, 3]  # 17 of 24.2 in squares
    assert fused(tau=0.5, enough=1) == pytest.approx([1, 1.3, 1.5, 1.5, 2, 2, 3])
    assert fused(tau=1.4, enough=1) == [1.5, 1.5, 2, 2, 3]  # never those below tau
    assert fused(tau=0.7, enough=0.1) == [1.5, 1.5, 2, 2, 3]  # and always those above 2 tau
