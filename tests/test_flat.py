"""The flat slide: each cell from its plane, at every level, whatever the tile grid."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from arrays import ArraySlide
from makers import HEIGHT, WIDTH, container, make_stack
from planish.errors import OptionError
from planish.fuse.flat import flatten
from planish.fuse.options import FuseOptions
from planish.fuse.plan import Plan
from planish.model import Box, Level
from planish.planemap import How, PlaneMap
from planish.slide.open import open_slide

SELECT = FuseOptions("select")


def plane_map(plane: NDArray[Any], cell: tuple[int, int], size: tuple[int, int], planes: int = 4) -> PlaneMap:
    unknown = np.full(plane.shape, np.nan, np.float32)
    how = np.full(plane.shape, How.DENSE, np.uint8)
    return PlaneMap(plane.astype(np.int16), unknown, how, unknown, *cell, *size, (None,) * planes)


def by_hand(stack: NDArray[Any], focus: PlaneMap) -> NDArray[Any]:
    """Compose pixel by pixel."""
    rows = np.arange(stack.shape[1])[:, None] // focus.cell_height
    columns = np.arange(stack.shape[2])[None] // focus.cell_width
    plane = focus.plane[rows, columns]
    return np.asarray(np.take_along_axis(stack, plane[None, ..., None].astype(np.intp), axis=0)[0])


@pytest.mark.parametrize(("tile", "cell"), [(128, 128), (256, 128), (96, 128), (128, 256), (512, 100)])
def test_each_pixel_comes_from_the_plane_of_its_cell(tile: int, cell: int) -> None:
    stack = make_stack()
    shape = -(-HEIGHT // cell), -(-WIDTH // cell)
    focus = plane_map(np.random.default_rng(1).integers(0, 4, shape), (cell, cell), (WIDTH, HEIGHT))
    flat = flatten(ArraySlide(stack, tile=tile), focus, SELECT)
    assert len(flat.planes) == 1
    assert np.array_equal(flat.read_region(0, 0, 0, 0, WIDTH, HEIGHT), by_hand(stack, focus))


def test_upper_levels_show_the_same_choice(tmp_path: Path) -> None:
    stack = make_stack()
    focus = plane_map(np.random.default_rng(2).integers(0, 4, (2, 3)), (256, 256), (WIDTH, HEIGHT))
    with open_slide(container(tmp_path, stack, codec="none")) as slide:
        flat = flatten(slide, focus, SELECT)
        level = slide.levels[1]
        found = flat.read_region(1, 0, 0, 0, level.width, level.height)
        small = np.stack([slide.read_region(1, z, 0, 0, level.width, level.height) for z in range(4)])
        scaled = plane_map(focus.plane, (64, 64), (level.width, level.height))
        assert np.array_equal(found, by_hand(small, scaled))


def test_a_tile_of_one_plane_decodes_one_tile() -> None:
    slide = ArraySlide(make_stack(), tile=128)
    flat = flatten(slide, plane_map(np.full((4, 5), 2), (128, 128), (WIDTH, HEIGHT)), SELECT)
    flat.read_tile(0, 0, 1, 1)
    assert slide.decoded[0] == 1


def test_it_pickles() -> None:
    flat = flatten(ArraySlide(make_stack()), plane_map(np.eye(2, 3), (256, 256), (WIDTH, HEIGHT)), SELECT)
    copy = pickle.loads(pickle.dumps(flat))
    assert np.array_equal(copy.read_tile(0, 0, 0, 0), flat.read_tile(0, 0, 0, 0))


def test_a_map_of_another_slide_is_refused() -> None:
    slide = ArraySlide(make_stack())
    with pytest.raises(OptionError, match="520 × 392"):
        flatten(slide, plane_map(np.zeros((1, 1)), (256, 256), (200, 200)), SELECT)
    with pytest.raises(OptionError, match="for 6"):
        flatten(slide, plane_map(np.full((2, 3), 5), (256, 256), (WIDTH, HEIGHT), planes=6), SELECT)


@settings(max_examples=200, deadline=None)
@given(
    cell=st.integers(1, 50),
    columns=st.integers(1, 9),
    down=st.floats(1, 7),
    start=st.integers(0, 30),
    length=st.integers(1, 60),
)
def test_pieces_cover_a_box_once(cell: int, columns: int, down: float, start: int, length: int) -> None:
    width = max(1, int(cell * columns / down))
    start = min(start, width - 1)
    box = Box(start, 0, min(length, width - start), 1)
    plan = Plan(np.arange(columns, dtype=np.int16)[None], cell, cell)
    covered = [
        x
        for piece in plan.pieces(Level(width, 1, 8, 8, down, down), box)
        for x in range(piece.box.x, piece.box.x + piece.box.width)
    ]
    assert covered == list(range(box.x, box.x + box.width))
