"""Every reader under one contract: planes in physical order, the right pixels, tiles against regions, many threads."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile
from numpy.typing import NDArray

from makers import MAKERS, Maker
from planish.errors import OptionError, PlanishError
from planish.slide.base import Slide
from planish.slide.images import sort_by_z
from planish.slide.open import open_slide


@pytest.fixture(scope="module", params=MAKERS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Maker, Any]:
    maker = MAKERS[request.param]
    return maker, maker.make(tmp_path_factory.mktemp(request.param), maker.stack)


@pytest.fixture
def slide(made: tuple[Maker, Any]) -> Iterator[Slide]:
    with open_slide(made[1]) as slide:
        yield slide


def far(found: NDArray[Any], wanted: NDArray[Any], exact: bool) -> bool:
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    if exact:
        return not np.array_equal(found, wanted)
    return float(np.abs(found.astype(float) - wanted).mean()) > 3


def test_planes_come_in_physical_order_with_their_own_pixels(made: tuple[Maker, Any], slide: Slide) -> None:
    maker, _ = made
    assert [plane.index for plane in slide.planes] == [0, 1, 2, 3]
    expected = maker.z_um if maker.z else (None,) * 4
    assert [plane.z_um for plane in slide.planes] == pytest.approx(expected)
    full = slide.levels[0]
    for plane, wanted in enumerate(maker.stack):
        assert not far(slide.read_region(0, plane, 0, 0, full.width, full.height), wanted, maker.exact)


def test_tiles_are_the_region_that_they_cover(slide: Slide) -> None:
    for index, level in enumerate(slide.levels):
        whole = slide.read_region(index, 2, 0, 0, level.width, level.height)
        for row in range(level.rows):
            for column in range(level.columns):
                x, y, width, height = level.tile_box(column, row)
                tile = slide.read_tile(index, 2, column, row)
                assert np.array_equal(tile, whole[y : y + height, x : x + width])
        middle = slide.read_region(index, 2, level.width // 3, level.height // 3, level.width // 2, level.height // 2)
        assert np.array_equal(middle, whole[level.height // 3 :, level.width // 3 :][: len(middle), : middle.shape[1]])


def test_levels_show_the_same_picture(slide: Slide) -> None:
    full = slide.levels[0]
    whole = slide.read_region(0, 1, 0, 0, full.width, full.height).astype(float)
    for index, level in enumerate(slide.levels):
        assert level.downsample_x == pytest.approx(full.width / level.width)
        small = slide.read_region(index, 1, 0, 0, level.width, level.height).astype(float)
        assert np.allclose(small.mean((0, 1)), whole.mean((0, 1)), rtol=0.02)


def test_outside_is_an_error(slide: Slide) -> None:
    level = slide.levels[0]
    for place in ((0, 0, level.columns, 0), (0, 0, 0, -1), (0, 4, 0, 0), (len(slide.levels), 0, 0, 0)):
        with pytest.raises(OptionError):
            slide.read_tile(*place)
    for region in ((-1, 0, 5, 5), (0, 0, level.width + 1, 5), (0, 0, 0, 5)):
        with pytest.raises(OptionError):
            slide.read_region(0, 0, *region)


def test_threads_read_the_same(slide: Slide) -> None:
    level = slide.levels[0]
    places = [(0, z, x, y) for z in range(4) for y in range(level.rows) for x in range(level.columns)] * 3
    alone = [slide.read_tile(*place) for place in places]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda place: slide.read_tile(*place), places))
    assert all(np.array_equal(first, second) for first, second in zip(alone, together, strict=True))


def test_pickles_by_source_and_reads_the_same(slide: Slide) -> None:
    with pickle.loads(pickle.dumps(slide)) as copy:
        assert copy.levels == slide.levels
        assert np.array_equal(copy.read_tile(0, 3, 0, 0), slide.read_tile(0, 3, 0, 0))


def test_closes_and_opens_again(made: tuple[Maker, Any]) -> None:
    slide = open_slide(made[1])
    tile = slide.read_tile(0, 0, 0, 0)
    slide.close()
    with open_slide(made[1]) as again:
        assert np.array_equal(again.read_tile(0, 0, 0, 0), tile)


def test_a_view_of_planes_keeps_their_z_and_pixels(slide: Slide) -> None:
    view = slide.view(planes=[3, 1])
    assert [plane.z_um for plane in view.planes] == [slide.planes[1].z_um, slide.planes[3].z_um]
    assert np.array_equal(view.read_tile(0, 1, 0, 0), slide.read_tile(0, 3, 0, 0))
    with pytest.raises(OptionError):
        slide.view(planes=[4])
    with pytest.raises(OptionError):
        slide.view(time=1)


def test_stacks_hold_all_planes_and_know_the_sharpest(slide: Slide) -> None:
    last = slide.levels[0].columns - 1
    (stack,) = slide.stacks(0, [(last, 0)])
    assert (stack.column, stack.row) == (last, 0)
    assert len(stack.pixels) == 4
    best = int(np.argmax(stack.sharpness))
    assert np.array_equal(stack.sharpest, slide.read_tile(0, best, last, 0))
    assert sum(1 for _ in slide.stacks()) == slide.levels[0].columns * slide.levels[0].rows


def test_decoded_tiles_are_counted(slide: Slide) -> None:
    before = slide.decoded[0]
    slide.read_tile(0, 0, 0, 0)
    slide.read_region(0, 1, 0, 0, *slide.levels[0].tile_box(0, 0)[2:])
    assert slide.decoded[0] == before + 2


@pytest.mark.parametrize(
    ("names", "order", "z_um"),
    [
        (["p10.png", "p2.png"], ["p2.png", "p10.png"], [None, None]),
        (["a_z+1.5um.png", "b_z-2um.png"], ["b_z-2um.png", "a_z+1.5um.png"], [-2, 1.5]),
        (["s_z1500nm_a.png", "s_z0nm_b.png"], ["s_z0nm_b.png", "s_z1500nm_a.png"], [0, 1.5]),
        (["x_z-2.png", "y_z-1.png"], ["y_z-1.png", "x_z-2.png"], [None, None]),
        (["x_z-1.png", "y_z0.png"], ["x_z-1.png", "y_z0.png"], [None, None]),
        (["b_z3.png", "a_z3.png"], ["a_z3.png", "b_z3.png"], [None, None]),
    ],
)
def test_z_is_taken_from_names(names: list[str], order: list[str], z_um: list[float | None]) -> None:
    paths, z = sort_by_z([Path(name) for name in names])
    assert [path.name for path in paths] == order
    assert z == pytest.approx(z_um)


def test_the_real_svs_reads_as_openslide_reads_it(data: Callable[[str], Path]) -> None:
    path = data("slides/CMU-1-Small-Region.svs")
    with open_slide(path) as slide, openslide.OpenSlide(path) as reference:
        assert (slide.levels[0].tile_width, slide.metadata.mpp_x, slide.metadata.objective_power) == (240, 0.499, 20)
        assert set(slide.associated) == {"thumbnail", "label", "macro"}
        assert slide.associated["label"].shape == (463, 387, 3)
        wanted = np.asarray(reference.read_region((700, 900), 0, (600, 500)))[..., :3]
        found = slide.read_region(0, 0, 700, 900, 600, 500)
        assert np.abs(found.astype(int) - wanted).mean() < 0.5


def test_the_real_ndpi_reads_as_tifffile_and_openslide_read_it(data: Callable[[str], Path]) -> None:
    path = data("slides/hamamatsu-dapi.ndpi")
    with open_slide(path) as slide, tifffile.TiffFile(path) as reference, openslide.OpenSlide(path) as other:
        assert [level.width for level in slide.levels] == [3968, 1984, 992, 496]
        assert slide.planes[0].z_um == 0
        assert list(slide.associated) == ["macro"]
        for index in (1, 3):
            level = slide.levels[index]
            found = slide.read_region(index, 0, 0, 0, level.width, level.height)
            assert np.array_equal(found, reference.pages[index].asarray())
        seen = np.asarray(other.read_region((2000, 2000), 0, (300, 300)))[..., :3]
        assert np.abs(slide.read_region(0, 0, 2000, 2000, 300, 300).astype(int) - seen).max() <= 3


def test_the_real_int8_ome_tiff_has_five_planes_of_three_channels(data: Callable[[str], Path]) -> None:
    path = data("slides/multi-channel-z-series.ome.tif")
    with open_slide(path) as slide:
        assert (len(slide.planes), len(slide.channels), slide.dtype.name) == (5, 3, "int8")
        wanted = tifffile.imread(path)
        for plane in range(5):
            found = slide.read_region(0, plane, 0, 0, 439, 167)
            assert np.array_equal(np.moveaxis(found, 2, 0), wanted[:, plane])


@pytest.mark.parametrize("name", ["level-0-frames-0-30.dcm", ""])
def test_the_real_dicom_reads_as_openslide_reads_it(name: str, data: Callable[[str], Path]) -> None:
    folder = data("slides/dicom-cmu")
    with open_slide(folder / name) as slide, openslide.OpenSlide(folder / "level-0-frames-0-30.dcm") as reference:
        assert ([plane.z_um for plane in slide.planes], slide.metadata.mpp_x) == ([None], 0.499)
        assert [(level.width, level.height) for level in slide.levels] == list(reference.level_dimensions)
        for index, level in enumerate(slide.levels):
            wanted = np.asarray(reference.read_region((0, 0), index, (level.width, level.height)))[..., :3]
            found = slide.read_region(index, 0, 0, 0, level.width, level.height)
            assert np.abs(found.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("name", ["malformed/small_dicom.dcm", "lightsheet/img.klb"])
def test_what_no_reader_sees_whole_is_refused(name: str, data: Callable[[str], Path]) -> None:
    with pytest.raises(PlanishError) as caught:
        open_slide(data(name))
    assert Path(name).name in str(caught.value)
