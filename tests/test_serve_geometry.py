"""Deep Zoom's levels and tiles, XYZ's zooms, and which level of a slide stands for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planish.model import Box, Level
from planish.serve.geometry import LARGEST_OUTPUT, MOST_HELD, SLOWER, Grid, Rung, check_cost, rungs
from planish.serve.wanted import Refused
from planish.write.levels import LevelPlan, Segment

SIZES = st.integers(1, 5000)
TILES = st.sampled_from([128, 240, 256, 512])


def plan(levels: Sequence[Level], natives: dict[int, int]) -> LevelPlan:
    firsts = [*natives, len(levels)]
    segments = [Segment(natives[first], first, stop) for first, stop in pairwise(firsts)]
    return LevelPlan(tuple(levels), tuple(segments))


@given(width=SIZES, height=SIZES, tile=TILES)
def test_levels_halve_down_to_one_pixel(width: int, height: int, tile: int) -> None:
    grid = Grid(width, height, tile)
    assert grid.levels == math.ceil(math.log2(max(width, height))) + 1
    assert grid.size(grid.last) == (width, height)
    assert grid.size(0) == (1, 1)
    for level in range(grid.last):
        above = grid.size(level + 1)
        assert grid.size(level) == (-(-above[0] // 2), -(-above[1] // 2))


@settings(max_examples=50)
@given(width=SIZES, height=SIZES, tile=TILES)
def test_tiles_cover_each_level_once(width: int, height: int, tile: int) -> None:
    grid = Grid(width, height, tile)
    for level in range(grid.levels):
        columns, rows = grid.tiles(level)
        boxes = [grid.tile_box(level, column, row) for row in range(rows) for column in range(columns)]
        assert sum(box.width * box.height for box in boxes) == math.prod(grid.size(level))
        assert (boxes[-1].x + boxes[-1].width, boxes[-1].y + boxes[-1].height) == grid.size(level)
        assert max(max(box.width, box.height) for box in boxes) <= tile


@pytest.mark.parametrize(("level", "column", "row"), [
    (-1, 0, 0), (11, 0, 0), (10, -1, 0), (10, 0, -1), (10, 4, 0), (10, 0, 3), (0, 1, 0), (10, 1 << 70, 0),
])  # fmt: skip
def test_tiles_that_are_not_there_are_refused(level: int, column: int, row: int) -> None:
    with pytest.raises(Refused, match="not there") as caught:
        Grid(1000, 700, 256).tile_box(level, column, row)
    assert caught.value.kind == "range"


@given(width=SIZES, height=SIZES, tile=TILES)
def test_zoom_0_is_one_tile_and_the_last_is_full_size(width: int, height: int, tile: int) -> None:
    grid = Grid(width, height, tile)
    assert grid.tiles(grid.level_of_zoom(0)) == (1, 1)
    assert grid.level_of_zoom(grid.last - grid.lowest_tiled) == grid.last
    for zoom in (-1, grid.last - grid.lowest_tiled + 1):
        with pytest.raises(Refused, match="zoom"):
            grid.level_of_zoom(zoom)


def test_zoom_is_the_level_less_the_tiles_logarithm() -> None:
    assert Grid(5000, 3000, 256).level_of_zoom(2) == 10


@settings(max_examples=30)
@given(width=SIZES, height=SIZES, tile=TILES)
def test_regions_that_are_tiles_are_known(width: int, height: int, tile: int) -> None:
    grid = Grid(width, height, tile)
    for level in range(grid.levels):
        scale = 1 << grid.step(level)
        columns, rows = grid.tiles(level)
        for column, row in ((0, 0), (columns - 1, rows - 1), (columns // 2, rows // 2)):
            box = grid.tile_box(level, column, row)
            x, y = box.x * scale, box.y * scale
            region = Box(x, y, min(box.width * scale, width - x), min(box.height * scale, height - y))
            found = grid.tile_of(region, box.width, box.height)
            # A few pixels at the edge may stand for several levels alike.
            assert found is None or grid.tile_box(*found)[2:] == box[2:]
            if box.width == tile:
                assert found == (level, column, row)
            wider = grid.tile_of(region, box.width + 1, box.height)
            assert wider is None or grid.tile_box(*wider).width == box.width + 1


@given(width=SIZES, height=SIZES, data=st.data())
def test_the_coarsest_level_with_enough_pixels_is_chosen(width: int, height: int, data: st.DataObject) -> None:
    grid = Grid(width, height, 256)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    region = Box(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    out = data.draw(st.integers(1, LARGEST_OUTPUT)), data.draw(st.integers(1, LARGEST_OUTPUT))
    level = grid.level_for(region, *out)
    box, size = grid.scaled(region, level), grid.size(level)
    assert level == grid.last or (box.width >= out[0] and box.height >= out[1])
    if level:
        coarser = grid.scaled(region, level - 1)
        assert coarser.width < out[0] or coarser.height < out[1]
    assert min(box.width, box.height) >= 1
    assert box.x + box.width <= size[0]
    assert box.y + box.height <= size[1]


def test_no_more_pixels_are_held_than_allowed() -> None:
    grid = Grid(200_000, 2_000_000, 256)
    region = Box(0, 0, 4096, 2_000_000)
    box = grid.scaled(region, grid.level_for(region, 4096, 1))
    assert box.width * box.height <= MOST_HELD


@pytest.mark.parametrize(("region", "size", "kind"), [
    ((0, 0, 1001, 10), (10, 10), "range"), ((-1, 0, 10, 10), (10, 10), "range"), ((0, 0, 0, 10), (10, 10), "range"),
    ((0, 700, 10, 1), (10, 10), "range"), ((0, 0, 10, 10), (0, 10), "range"),
    ((0, 0, 10, 10), (4097, 1), "too large"), ((0, 0, 1 << 70, 10), (10, 10), "range"),
])  # fmt: skip
def test_regions_that_cannot_be_shown_are_refused(
    region: tuple[int, int, int, int], size: tuple[int, int], kind: str
) -> None:
    with pytest.raises(Refused) as caught:
        Grid(1000, 700, 256).level_for(Box(*region), *size)
    assert caught.value.kind == kind


def test_levels_of_the_slide_stand_for_their_step_also_where_they_were_rounded_down() -> None:
    levels = [Level(1001, 701, 256, 256), Level(250, 175, 256, 256, 4.004, 4.006)]
    planned = [levels[0], Level(501, 351, 256, 256), levels[1]]
    grid = Grid(1001, 701, 256)
    found = rungs(levels, plan(planned, {0: 0, 2: 1}), grid)
    assert len(found) == grid.levels
    assert found[:4] == (Rung(1001, 701, 0), Rung(501, 351, None), Rung(250, 175, 1), Rung(125, 88, None))
    assert (found[-1].width, found[-1].height) == (1, 1)


def test_levels_that_do_not_lie_over_the_others_are_left_out() -> None:
    levels = [Level(10_000, 8000, 256, 256), Level(4960, 3970, 256, 256, 2.016, 2.015)]
    found = rungs(levels, plan(levels, {0: 0, 1: 1}), Grid(10_000, 8000, 256))
    assert found[1] == Rung(5000, 4000, None)


@pytest.mark.parametrize(("tile", "served"), [((256, 256), 256), ((240, 240), 240), ((512, 512), 512), ((64, 64), 256),
                                              ((1024, 1024), 256), ((640, 64), 256)])  # fmt: skip
def test_tiles_are_the_slides_own_where_these_suit(tile: tuple[int, int], served: int) -> None:
    assert Grid.of(plan([Level(5000, 4000, *tile)], {0: 0})).tile == served


def test_too_much_decoding_for_levels_that_lack_is_refused() -> None:
    grid = Grid(100_000, 100_000, 256)
    ladder = rungs([Level(100_000, 100_000, 256, 256)], plan([Level(100_000, 100_000, 256, 256)], {0: 0}), grid)
    check_cost(ladder, 0, grid.tile_box(grid.last, 5, 5))
    check_cost(ladder, 6, grid.tile_box(grid.last - 6, 0, 0))
    with pytest.raises(Refused, match="pyramid") as caught:
        check_cost(ladder, 8, grid.tile_box(grid.last - 8, 0, 0))
    assert caught.value.kind == "too large"
    check_cost(ladder, 4, grid.tile_box(grid.last - 4, 0, 0), SLOWER["jpeg2000"])
    with pytest.raises(Refused, match="at most 51 are"):
        check_cost(ladder, 6, grid.tile_box(grid.last - 6, 0, 0), SLOWER["jpeg2000"])
