"""Hybrid and feather: the same pixels in any order, copies byte for byte, ramps without seams, damage told."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from arrays import ArraySlide
from layers import GLASS, PyramidSlide, layered, map_of, recipe_of, whole
from planish.convert import ConvertOptions, convert
from planish.errors import PlanishError, TileError, WriteError
from planish.fuse.blocks import BlockCache
from planish.fuse.cells import soft_at
from planish.fuse.decide import decide
from planish.fuse.flat import FlatSlide, flatten
from planish.fuse.fused import FusedSlide
from planish.fuse.hybrid import Hybrid
from planish.fuse.options import FuseOptions
from planish.fuse.prior import Prior
from planish.phantom.containers import ContainerOptions, write_container
from planish.planemap import How, PlaneMap
from planish.recipe import FULL_RAMP, HALF_RAMP, Action
from planish.slide.open import open_slide
from planish.verification import verify_file
from planish.write import tiff as writer
from planish.write.options import WriteOptions

HEIGHT, WIDTH = 392, 520
HYBRID, FEATHER = FuseOptions(), FuseOptions("feather")


def specimen_depth() -> NDArray[np.int64]:
    """Return plane 1 at the left and 3 at the right, stripes of plane 4 in the middle, glass in a corner."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    depth = np.where(x < 256, 1, 3)
    depth[(y < 200) & (x > 128) & (x < 384) & (x // 32 % 2 == 0)] = 4
    depth[(y > 340) & (x > 300)] = GLASS
    return depth


@cache
def specimen(channels: int = 3) -> NDArray[np.uint8]:
    return layered(specimen_depth(), channels=channels)


def planes_of(cell: int) -> NDArray[np.int64]:
    return np.where(np.arange(-(-WIDTH // cell)) * cell < 256, 1, 3)


@cache
def decided(cell: int, method: str, channels: int = 3) -> PlaneMap:
    """Return a map of the specimen in which cells are copied and fused, and ramped."""
    slide = PyramidSlide(specimen(channels), (cell, cell), (1, 2))
    focus = map_of(slide, planes_of(cell), cell)
    focus.how[-1, -1] = How.GLASS
    found = decide(slide, focus, FuseOptions(method))
    assert found.recipe is not None
    assert found.recipe.count(Action.COPY)
    assert found.recipe.count(Action.RAMP)
    assert bool(found.recipe.count(Action.FUSE)) == (method == "hybrid")
    return found


LAYOUTS: list[tuple[tuple[int, int], tuple[int, ...]]] = [
    ((128, 128), (1, 2, 4)), ((96, 96), (1, 3)), ((1024, 1024), (1, 4, 8)), ((520, 256), (1, 2)), ((104, 80), (1,)),
]  # fmt: skip


@pytest.mark.parametrize("method", ["hybrid", "feather"])
@pytest.mark.parametrize(("tile", "downsamples"), LAYOUTS, ids=str)
@pytest.mark.parametrize(("cell", "channels"), [(128, 3), (256, 1)])
def test_any_order_threads_and_tiles_give_the_same_pixels(
    tile: tuple[int, int], downsamples: tuple[int, ...], cell: int, channels: int, method: str
) -> None:
    focus, options = decided(cell, method, channels), FuseOptions(method)
    slide = PyramidSlide(specimen(channels), tile, downsamples)
    flat = flatten(slide, focus, options)
    places = [
        (level, column, row)
        for level, size in enumerate(slide.levels)
        for column, row in product(range(size.columns), range(size.rows))
    ]
    others = flatten(slide, focus, options), pickle.loads(pickle.dumps(flat))
    wanted = [whole(flat, level) for level in range(len(slide.levels))]
    with ThreadPoolExecutor(4) as pool:
        for other, order in zip(others, (places[::-1], places), strict=True):
            tiles = pool.map(lambda place, other=other: other.read_tile(place[0], 0, *place[1:]), order)
            for (level, column, row), tile_pixels in zip(order, tiles, strict=True):
                x, y, width, height = slide.levels[level].tile_box(column, row)
                assert np.array_equal(tile_pixels, wanted[level][y : y + height, x : x + width])
    # Storage does not show.
    assert np.array_equal(wanted[0], whole(flatten(PyramidSlide(specimen(channels)), focus, options)))


def test_sixteen_bits_are_composed_like_eight() -> None:
    focus = decided(128, "hybrid")
    assert focus.recipe is not None
    deep = replace(focus, recipe=replace(focus.recipe, noise=tuple(n * 257**2 for n in focus.recipe.noise)))
    eight = whole(flatten(ArraySlide(specimen()), focus))
    sixteen = whole(flatten(ArraySlide(specimen().astype(np.uint16) * 257), deep))
    # Pixels are rounded once when they are fused, once when they are ramped.
    assert np.abs(sixteen / 257 - eight).max() < 1.01


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (257, 129), (256, 8), (1, 1), (5, 300)], ids=str)
def test_where_all_cells_are_fused_it_is_soft_over_the_whole(size: tuple[int, int]) -> None:
    # In 16 bits, where a difference in the last bit of a weight shows.
    stack = specimen()[:, : size[0], : size[1]].astype(np.uint16) * 257
    slide, options = PyramidSlide(stack, (96, 96), (1, 3)), Hybrid(sigma=8.0)
    focus = map_of(slide, planes_of(128)[: -(-size[1] // 128)])
    all_over = np.full(focus.plane.shape, Action.FUSE, np.uint8)
    recipe = recipe_of(
        focus.plane, vars_of(options), action=all_over, noise=(2e5, 1e5), lowest=focus.plane * 0,
        highest=focus.plane * 0 + 4,
    )  # fmt: skip
    flat = flatten(slide, replace(focus, recipe=recipe), FuseOptions(parameters=vars_of(options)))
    for level, noise in enumerate(recipe.noise):
        scale = slide.levels[level].downsample_x, slide.levels[level].downsample_y
        prior = Prior(focus.plane, 128, 128, options.prior_weight, options.sigma / scale[0], noise).at(*scale)
        plain = ArraySlide(slide.stacks_by_level[level])
        assert np.array_equal(whole(flat, level), whole(FusedSlide(plain, soft_at(options, scale[0], prior))))


def vars_of(options: Hybrid) -> dict[str, Any]:
    return {name: getattr(options, name) for name in Hybrid.__slots__}


def test_where_nothing_varies_every_pixel_is_copied() -> None:
    stack = layered(np.full((300, 300), 2))
    slide = PyramidSlide(stack)
    flat = flatten(slide, map_of(slide, 2))
    assert isinstance(flat, FlatSlide)
    assert np.array_equal(whole(flat), stack[2])


def ramps(width: int, share: float) -> NDArray[np.float64]:
    """Return how much of the other plane each pixel holds, from the border inwards."""
    return share * (width - np.arange(width) - 0.5) / width


def stairs(shape: tuple[int, int], planes: int = 5) -> NDArray[np.uint8]:
    """Return planes of different grey, with a grain that keeps them from passing for missing tiles."""
    stack = np.arange(planes, dtype=np.uint8)[:, None, None, None] * np.uint8(40) + np.zeros((*shape, 1), np.uint8)
    stack[:, ::2, 1::2] += 1
    return stack


@pytest.mark.parametrize("side", range(4))
@pytest.mark.parametrize(("kind", "share", "width"), [(FULL_RAMP, 1.0, 16), (HALF_RAMP, 0.5, 8)])
def test_a_ramp_goes_all_the_way_or_halfway_into_the_neighbours_plane(
    side: int, kind: int, share: float, width: int
) -> None:
    slide = PyramidSlide(stairs((384, 384)))
    plane = np.zeros((3, 3), np.int16)
    plane[1, 1] = 4
    action, ramp = np.zeros((3, 3), np.uint8), np.zeros((3, 3), np.uint8)
    action[1, 1], ramp[1, 1] = Action.RAMP, kind * 3**side
    focus = map_of(slide, plane)
    recipe = recipe_of(focus.plane, vars_of(Hybrid()), action=action, ramp=ramp)
    flat = flatten(slide, replace(focus, recipe=recipe))
    image = whole(flat)[..., 0].astype(float)
    # Looked at from the side: inwards along the first axis.
    turned = [image.T, image.T[::-1], image, image[::-1]][side]
    inside = turned[128:256, 128:256].mean(axis=1)
    expected = 160.25 * np.ones(128)
    expected[:width] -= 160 * ramps(width, share)
    assert np.abs(inside - expected).max() < 0.5
    turned[128:256, 128:256] = 0.25
    assert turned.max() <= 1
    small = whole(flat, 1)[32:64, 32:64, 0].astype(float)
    inside = [small.T, small.T[::-1], small, small[::-1]][side].mean(axis=1)
    assert np.abs(inside[: width // 4] - 160 * (1 - ramps(width // 4, share))).max() < 1
    assert inside[width // 4 :].min() >= 159


def test_feather_blends_alike_on_both_sides_of_every_border_and_meets_in_the_middle() -> None:
    slide = ArraySlide(stairs((300, 384)))
    focus = decide(slide, map_of(slide, [[0, 3, 3], [0, 3, 3], [4, 3, 3]]), FEATHER)
    assert focus.recipe is not None
    assert focus.recipe.action.tolist() == [[2, 2, 0], [2, 2, 0], [2, 2, 0]]
    profile = whole(flatten(slide, focus, FEATHER))[20:220, :, 0].mean(axis=0)
    expected = np.concatenate([160 * 0.75 * np.clip((np.arange(384) - 111.5) / 32, 0, 1) + 0.25])
    assert np.abs(profile - expected)[:384].max() < 0.8
    assert np.abs(profile[112:144] + profile[112:144][::-1] - 120.5).max() < 0.8


def test_fused_cells_meet_without_a_step_also_at_a_corner_of_one_that_is_not() -> None:
    slide, plane = ArraySlide(stairs((384, 384))), np.zeros((3, 3), np.int16)
    plane[2, 2] = 4
    action, ramp = np.full((3, 3), Action.FUSE, np.uint8), np.zeros((3, 3), np.uint8)
    action[2, 2], ramp[2, 1], ramp[1, 2] = Action.COPY, FULL_RAMP * 3, FULL_RAMP * 27
    ends = {"lowest": np.where(action, 0, plane), "highest": np.where(action, 4, plane)}
    recipe = recipe_of(plane, vars_of(Hybrid()), action=action, ramp=ramp, noise=(0.0,), **ends)
    image = whole(flatten(slide, replace(map_of(slide, plane), recipe=recipe)))[..., 0].astype(int)
    assert np.array_equal(image[256:, 256:], slide.stack[4, 256:, 256:, 0])
    # All planes are equally sharp: their mean is 80; the copied one is twice as bright.
    assert np.abs(image[:240, :240] - 80).max() <= 1
    for axis in (0, 1):
        assert np.abs(np.diff(image, axis=axis)).max() <= 80 / 16 + 2


@pytest.mark.parametrize(("cell", "channels"), [(128, 3), (256, 1)])
def test_a_border_between_fused_cells_is_as_if_all_had_been_fused(cell: int, channels: int) -> None:
    focus, slide = decided(cell, "hybrid", channels), ArraySlide(specimen(channels))
    assert focus.recipe is not None
    prior = Prior(focus.plane, cell, cell, 4.0, 8.0, focus.recipe.noise[0])
    soft = whole(FusedSlide(slide, soft_at(Hybrid(), 1.0, prior))).astype(int)
    error = whole(flatten(slide, focus)) - soft
    fused, seen = focus.recipe.action == Action.FUSE, 0
    for turned, cells in ((error, fused), (error.swapaxes(0, 1), fused.T)):
        for row, column in np.argwhere(cells[:, 1:] & cells[:, :-1]).tolist():
            along = np.s_[row * cell + 20 : (row + 1) * cell - 20]  # up to the ramps
            step = turned[along, (column + 1) * cell] - turned[along, (column + 1) * cell - 1]
            assert np.abs(step).mean() < 0.05
            seen += 1
    assert seen


@pytest.mark.parametrize("missing", range(5))
def test_a_plane_that_is_missing_under_a_tile_leaves_no_bright_rim(missing: int) -> None:
    depth = np.full((384, 384), 1)
    depth[:, np.arange(384) // 32 % 2 == 0] = 3
    stack = layered(depth)
    stack[missing, 128:256, 128:256] = 255
    slide = ArraySlide(stack, tile=128)
    plane = np.where(np.eye(3), 3 if missing == 1 else 1, 1)
    focus = map_of(slide, plane)
    flat = flatten(slide, focus, FuseOptions("hybrid", {"enough": 1.0}))
    assert isinstance(flat, FlatSlide)
    assert flat.focus.recipe is not None
    assert flat.focus.recipe.action[1, 1] == Action.FUSE
    there = np.delete(stack, missing, axis=0)[:, 128:256, 128:256].astype(int)
    found = whole(flat)[128:256, 128:256].astype(int)
    assert (found <= there.max(axis=0)).all()
    assert (found >= there.min(axis=0)).all()
    # Nor does a cell pass into a plane that it has not.
    white = stack.copy()
    white[3, :128, :128] = 255
    bordered = decide(ArraySlide(stack), map_of(slide, [[1, 3, 3]] * 3), FEATHER)
    corner = whole(flatten(ArraySlide(white), bordered, FEATHER))[:128, :128]
    assert (corner[:100] <= stack[1, :100, :128]).all()


def jpeg_slide(folder: Path, **options: Any) -> Path:
    """Write the specimen, and the map that was decided for it, as files."""
    chosen = ContainerOptions(**{"kind": "svs", "tile": 128, "downsamples": (1, 4), **options})
    path = folder / ("scan.ndpi" if chosen.kind == "ndpi" else "scan.svs")
    write_container(ArraySlide(specimen(), z_um=range(5)), path, chosen)
    return path


def saved_map(source: Path, fuse: FuseOptions, cell: int = 128) -> Path:
    with open_slide(source) as slide:
        focus = decide(slide, map_of(slide, planes_of(cell), cell), fuse)
    focus.save(source.with_name("map.json"))
    return source.with_name("map.json")


FORMS: list[tuple[dict[str, Any], int]] = [
    ({"subsampling": (1, 1), "quality": 95}, 128),
    ({"color": "rgb", "quality": 80}, 128),
    ({"codec": "deflate", "tile": 64, "downsamples": (1, 2, 4)}, 256),
    ({"kind": "ndpi", "chunk_width": 104, "quality": 90, "downsamples": (1, 4)}, 256),
]


@pytest.mark.parametrize(("form", "cell"), FORMS, ids=str)
@pytest.mark.parametrize("fuse", [HYBRID, FEATHER], ids=["hybrid", "feather"])
def test_the_file_is_the_same_with_any_number_of_threads_from_a_saved_map_and_verifies(
    form: dict[str, Any], cell: int, fuse: FuseOptions, tmp_path: Path
) -> None:
    source = jpeg_slide(tmp_path, **form)
    first, map_path = tmp_path / "flat.tif", saved_map(source, fuse, cell)
    made = convert(source, first, ConvertOptions(map_path=map_path, fuse=fuse, write=WriteOptions(jobs=1)))
    assert verify_file(first, source, every_tile=True).tiles_checked > 1
    options = ConvertOptions(map_path=tmp_path / "flat.map.json", fuse=fuse, write=WriteOptions(jobs=3))
    again = convert(source, tmp_path / "again.tif", options)
    assert first.read_bytes() == (tmp_path / "again.tif").read_bytes()
    assert (tmp_path / "flat.map.json").read_bytes() == (tmp_path / "again.map.json").read_bytes()
    assert made.record.output["composed"] == again.record.output["composed"]
    # Without a record, the map tells.
    (tmp_path / "flat.record.json").unlink()
    verify_file(first, source, every_tile=True)
    focus = PlaneMap.load(tmp_path / "flat.map.json")
    assert focus.recipe is not None
    plane = focus.plane.copy()
    plane[0, 0] = 4
    replace(focus, plane=plane).save(tmp_path / "flat.map.json")
    with pytest.raises(WriteError, match="not what was meant"):
        verify_file(first, source, every_tile=True)


@pytest.mark.parametrize("form", [FORMS[0][0], FORMS[1][0]], ids=["ycbcr", "rgb"])
def test_copied_tiles_are_the_sources_bytes_and_fused_ones_have_its_tables(
    form: dict[str, Any], tmp_path: Path
) -> None:
    source = jpeg_slide(tmp_path, **form)
    result = convert(source, tmp_path / "flat.tif", ConvertOptions(map_path=saved_map(source, HYBRID)))
    with open_slide(source) as slide, open_slide(result.slide) as written:
        focus = PlaneMap.load(result.map)
        flat = flatten(slide, focus)
        assert focus.recipe is not None
        for row, column in np.ndindex(focus.plane.shape):
            own = slide.encoded_tile(0, int(focus.plane[row, column]), column, row)
            stored, copy = written.encoded_tile(0, 0, column, row), flat.encoded_tile(0, 0, column, row)
            assert own is not None
            assert stored is not None
            assert stored.tables == own.tables
            if focus.recipe.action[row, column] == Action.COPY:
                assert stored == copy == own
                pixels = slide.read_tile(0, int(focus.plane[row, column]), column, row)
                assert np.array_equal(flat.read_tile(0, 0, column, row), pixels)
            else:
                assert copy is None
                assert stored.data != own.data
                assert b"\xff\xdb" not in stored.data[:200]  # its tables are the page's
        assert written.encoding(0, 0) == slide.encoding(0, 0)


def test_the_record_counts_every_cell_once_and_lists_overlaps(tmp_path: Path) -> None:
    source = jpeg_slide(tmp_path, subsampling=(1, 1), quality=95)
    result = convert(source, tmp_path / "flat.tif", ConvertOptions(map_path=saved_map(source, HYBRID)))
    focus, facts = PlaneMap.load(result.map), result.record.output["composed"]
    assert facts == json.loads(result.record_path.read_text())["output"]["composed"]
    assert focus.recipe is not None
    assert facts["cells_copied"] + facts["cells_fused"] + facts["cells_ramped"] == focus.plane.size
    assert facts["cells_fused"] == focus.recipe.count(Action.FUSE) > 0
    assert facts["cells_corrected"] == 0
    overlaps = [tuple(cell) for cell in facts["cells_with_two_planes_sharp"]]
    assert (0, 1) in overlaps
    assert (0, 0) not in overlaps


def test_a_saved_map_is_done_again_without_a_look_inside_the_cells(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(writer, "SAMPLE", 0)
    source = jpeg_slide(tmp_path)
    first = PlaneMap.load(saved_map(source, HYBRID))
    with open_slide(source) as slide:
        again = decide(slide, first, HYBRID)
        assert slide.decoded.total() == 0
        assert again is first
        flat = flatten(slide, again)
        flat.read_tile(0, 0, 4, 0)  # copied
        assert slide.decoded.total() == 1
        decide(slide, first, FuseOptions(parameters={"tau": 2.0}))
        assert slide.decoded.total() > 1


@pytest.mark.parametrize("dtype", [np.int8, np.uint32])
def test_pixels_that_cannot_be_blended_are_copied_and_the_record_says_why(dtype: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "stack.npy", (specimen(1)[..., 0] // 2).astype(dtype))
    result = convert(tmp_path / "stack.npy", tmp_path / "flat.tif")
    facts = result.record.output["composed"]
    assert np.dtype(dtype).name in facts.pop("why_no_more")
    assert facts == {"cells_copied": 6}
    verify_file(result.slide, tmp_path / "stack.npy", every_tile=True)


@pytest.mark.parametrize("size", [(392, 520), (256, 256), (257, 258), (300, 1), (2, 3), (1, 1), (7, 260)], ids=str)
@pytest.mark.parametrize("planes", [1, 2])
@pytest.mark.parametrize("fuse", [HYBRID, FEATHER], ids=["hybrid", "feather"])
def test_slides_of_few_planes_and_cells_narrower_than_a_ramp(
    size: tuple[int, int], planes: int, fuse: FuseOptions, tmp_path: Path
) -> None:
    path = tmp_path / "stack.npy"
    np.save(path, specimen()[1:4:2, : size[0], : size[1]][:planes])
    result = convert(path, tmp_path / "flat.tif", ConvertOptions(fuse=fuse))
    facts = result.record.output["composed"]
    assert ("one plane" in facts.get("why_no_more", "")) == (planes == 1)
    counts = [facts.get(f"cells_{how}", 0) for how in ("copied", "fused", "ramped")]
    assert sum(counts) == PlaneMap.load(result.map).plane.size
    assert verify_file(result.slide, path, every_tile=True).tiles_checked >= 1


def zeroed(path: Path, z: int, level: int, tile: int) -> None:
    """Overwrite a tile of one plane."""
    with open_slide(path) as slide, tifffile.TiffFile(path) as tif:
        size = slide.levels[level]
        pages = [page.aspage() for page in tif.pages]
        page = next(p for p in pages if p.is_tiled and p.imagewidth == size.width and f"OffsetZ = {z}" in p.description)
        place, count = page.dataoffsets[tile], page.databytecounts[tile]
    with path.open("rb+") as file:
        file.seek(place)
        file.write(bytes(count))


@pytest.mark.parametrize("level", [0, 1])
def test_an_unreadable_tile_among_those_to_be_fused_is_named_and_leaves_nothing(level: int, tmp_path: Path) -> None:
    source, out = jpeg_slide(tmp_path), tmp_path / "out"
    out.mkdir()
    map_path = saved_map(source, HYBRID) if level == 0 else None
    zeroed(source, 4, level, 1)
    with pytest.raises(TileError, match=r"scan\.svs: tile 1 cannot be decoded"):
        convert(source, out / "flat.tif", ConvertOptions(map_path=map_path, write=WriteOptions(jobs=2)))
    assert not list(out.iterdir())
    # Nothing is asked of that plane where cells are copied: tiles that no cell wants may be spoilt.
    select = ConvertOptions(map_path=saved_map_for_select(source), fuse=FuseOptions("select"))
    convert(source, out / "flat.tif", select)


def saved_map_for_select(source: Path) -> Path:
    with open_slide(source) as slide:
        map_of(slide, planes_of(128)).save(source.with_name("select.json"))
    return source.with_name("select.json")


def test_a_tile_that_was_not_written_in_one_plane_stays_out_of_the_picture(tmp_path: Path) -> None:
    source = jpeg_slide(tmp_path, codec="deflate", downsamples=(1,))
    with tifffile.TiffFile(source, mode="r+") as tif:
        page = next(p for p in (page.aspage() for page in tif.pages) if p.is_tiled and "OffsetZ = 4" in p.description)
        counts = list(page.databytecounts)
        counts[1] = 0
        page.tags["TileByteCounts"].overwrite(counts)
    with open_slide(source) as slide:
        assert (slide.read_tile(0, 4, 1, 0) == 255).all()
        flat = flatten(slide, map_of(slide, planes_of(128)))
        assert isinstance(flat, FlatSlide)
        assert flat.focus.recipe is not None
        assert flat.focus.recipe.action[0, 1] == Action.FUSE
        assert (flat.read_tile(0, 0, 1, 0) <= specimen()[:4, :128, 128:256].max(axis=0)).all()


def test_a_cache_holds_no_more_than_its_limit() -> None:
    blocks, made = BlockCache(1000), []

    def compute(key: int) -> NDArray[np.uint8]:
        made.append(key)
        return np.zeros(300, np.uint8)

    for key in (0, 1, 2, 0, 3, 0, 1):
        blocks.get(key, partial(compute, key))
    assert made == [0, 1, 2, 3, 1]  # 1 was used longest ago when 3 came
    assert blocks._held <= 1000
    assert sum(future.result().nbytes for future in blocks._blocks.values()) == blocks._held
    assert blocks.get("large", lambda: np.zeros(5000, np.uint8)).nbytes == 5000
    assert blocks._held == sum(future.result().nbytes for future in blocks._blocks.values()) <= 1000


def test_threads_that_want_one_block_compute_it_once() -> None:
    blocks, made, gate = BlockCache(10**6), [], threading.Barrier(8)

    def compute() -> NDArray[np.uint8]:
        made.append(1)
        return np.zeros(10, np.uint8)

    def ask(_: int) -> int:
        gate.wait()
        return id(blocks.get("same", compute))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert len(made) == 1


def test_an_error_reaches_all_who_wait_and_the_next_one_tries_again() -> None:
    blocks, started, go = BlockCache(10**6), threading.Event(), threading.Event()

    def fail() -> NDArray[np.uint8]:
        started.set()
        go.wait(5)
        raise TileError("spoilt")

    def ask(compute: Callable[[], NDArray[np.uint8]]) -> str:
        try:
            blocks.get("same", compute)
        except PlanishError as error:
            return str(error)
        return "fine"

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(ask, fail)
        assert started.wait(5)
        others = [pool.submit(ask, fail) for _ in range(3)]
        go.set()
        assert {first.result(), *(other.result() for other in others)} == {"spoilt"}
    assert ask(lambda: np.zeros(3, np.uint8)) == "fine"
    assert blocks._held == 3
