"""Olympus VSI: the real one against its own code streams, and its pixels put in tiles and levels by us."""

from __future__ import annotations

import json
import pickle
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from made_vsi import CHANNELS, PLANES, REAL, REAL_ETS, SIZE, Stack, read_ets, write_vsi
from planish.errors import OptionError, SlideError, TileError
from planish.focus.measures import blur_difference
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.slide.vsimetadata import ZAxis, external_files, z_axis

Data = Callable[[str], Path]


@pytest.fixture(scope="module")
def oracle(data: Data) -> Stack:
    return read_ets(data(REAL_ETS))


@pytest.fixture
def real(data: Data) -> Iterator[Slide]:
    with open_slide(data(REAL)) as slide:
        yield slide


@pytest.fixture(scope="module")
def images() -> list[Stack]:
    """Return three levels of smooth planes, each of its own tone."""
    random = np.random.default_rng(3)
    full = {
        (plane, channel): cv2.resize(random.integers(1, 60000, (12, 12), np.uint16), SIZE[::-1])
        for plane in range(PLANES)
        for channel in range(CHANNELS)
    }
    return [full, *({key: _smaller(image, 2**level) for key, image in full.items()} for level in (1, 2))]


def _smaller(image: np.ndarray, factor: int) -> np.ndarray:
    size = (-(-image.shape[1] // factor), -(-image.shape[0] // factor))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


@pytest.fixture(scope="module", params=[256, 2048])
def made(
    request: pytest.FixtureRequest, data: Data, images: list[Stack], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return write_vsi(data(REAL), tmp_path_factory.mktemp("vsi"), images, request.param)


def test_every_plane_and_channel_is_its_own_code_stream(real: Slide, oracle: Stack) -> None:
    assert (len(real.planes), real.channels, str(real.dtype)) == (11, ("C405", "C488"), "uint16")
    height, width = SIZE
    for plane in range(PLANES):
        found = real.read_region(0, plane, 0, 0, width, height)
        for channel in range(CHANNELS):
            assert np.array_equal(found[..., channel], oracle[plane, channel])
    (level,) = real.levels
    for column, row in ((0, 0), (3, 4), (level.columns - 1, level.rows - 1)):
        x, y, across, down = level.tile_box(column, row)
        assert np.array_equal(real.read_tile(0, 4, column, row)[..., 1], oracle[4, 1][y : y + down, x : x + across])


def test_planes_are_a_focal_stack(real: Slide) -> None:
    assert [plane.z_um for plane in real.planes] == pytest.approx([5074.94 + index for index in range(11)])
    sharpness = [blur_difference(real.read_region(0, z, 700, 700, 512, 512)[..., 0]) for z in range(11)]
    best = int(np.argmax(sharpness))
    assert 2 < best < 8
    assert sharpness[best] > 4 * max(sharpness[0], sharpness[-1])
    assert sharpness[: best + 1] == sorted(sharpness[: best + 1])


def test_metadata_is_what_the_microscope_wrote(real: Slide) -> None:
    told = real.metadata
    assert (told.format, told.vendor, told.objective_power, told.notes) == ("VSI", "Olympus", 60, ())
    assert (told.mpp_x, told.mpp_y) == pytest.approx((0.108333, 0.108333), rel=1e-4)
    assert (real.scenes, real.times) == (("001 C405, C488",), 1)
    assert real.encoded_sizes(0) is None
    assert real.sizes_refusal(0) == "slideio hands out no compressed tiles"


def test_tiles_and_levels_are_where_they_belong(made: Path, images: list[Stack]) -> None:
    with open_slide(made) as slide:
        assert len(slide.levels) == 3
        for index, level in enumerate(slide.levels):
            assert level.downsample_x == pytest.approx(SIZE[1] / level.width)
            for plane in (0, 7):
                whole = slide.read_region(index, plane, 0, 0, level.width, level.height)
                for channel in range(CHANNELS):
                    # slideio rounds the size of a level down, the file up.
                    wanted = images[index][plane, channel][: level.height, : level.width]
                    assert np.array_equal(whole[..., channel], wanted)
                last = slide.read_tile(index, plane, level.columns - 1, level.rows - 1)
                assert np.array_equal(last, whole[-last.shape[0] :, -last.shape[1] :])
            assert np.array_equal(slide.read_region(index, 7, 90, 70, 300, 200), whole[70:270, 90:390])


def test_threads_read_the_same(made: Path, images: list[Stack]) -> None:
    with open_slide(made) as slide:
        level = slide.levels[0]
        places = [(plane, x, y) for plane in (1, 6, 9) for y in range(level.rows) for x in range(level.columns)]

        def right(place: tuple[int, int, int]) -> bool:
            x, y, width, height = level.tile_box(*place[1:])
            found = slide.read_tile(0, *place)
            return all(
                np.array_equal(found[..., channel], images[0][place[0], channel][y : y + height, x : x + width])
                for channel in range(CHANNELS)
            )

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(right, places * 2))


def test_a_channel_is_read_alone(real: Slide, oracle: Stack) -> None:
    view = real.view(channels=["C488"])
    assert view.channels == ("C488",)
    assert np.array_equal(view.read_tile(0, 5, 3, 3)[..., 0], oracle[5, 1][768:1024, 768:1024])
    with pytest.raises(OptionError, match="C405, C488"):
        real.view(channels=["DAPI"])
    with pytest.raises(OptionError):
        real.view(scene=1)


def test_pickles_closes_and_opens_again(data: Data) -> None:
    slide = open_slide(data(REAL))
    tile = slide.read_tile(0, 4, 2, 2)
    with pickle.loads(pickle.dumps(slide)) as copy:
        assert np.array_equal(copy.read_tile(0, 4, 2, 2), tile)
    slide.close()
    with pytest.raises(SlideError, match="after closing"):
        slide.read_tile(0, 0, 2, 2)


def test_a_plane_in_one_tile_is_decoded_once_and_not_all_are_kept(real: Slide) -> None:
    tracemalloc.start()
    for plane in range(11):
        real.read_tile(0, plane, 0, 0)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < (96 << 20) + (8 << 20)


def test_without_its_folder_it_is_refused(data: Data, tmp_path: Path) -> None:
    alone = Path(shutil.copyfile(data(REAL), tmp_path / "alone.vsi"))
    with pytest.raises(SlideError, match=r"no \.ets file in _alone_ beside it; copy that folder too"):
        open_slide(alone)


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_a_cut_ets_is_an_error_that_names_it(keep: int, data: Data, tmp_path: Path) -> None:
    path = Path(shutil.copyfile(data(REAL), tmp_path / "cut.vsi"))
    folder = tmp_path / "_cut_" / "stack1"
    folder.mkdir(parents=True)
    (folder / "frame_t_0.ets").write_bytes(data(REAL_ETS).read_bytes()[:keep])
    with pytest.raises(SlideError, match="damaged: copy them again"):
        open_slide(path)


@pytest.mark.parametrize(("missing", "planes"), [(3, 11), (10, 10)])
def test_a_plane_without_its_tiles_is_told(
    missing: int, planes: int, data: Data, images: list[Stack], tmp_path: Path
) -> None:
    black = np.zeros(SIZE, np.uint16)
    path = write_vsi(data(REAL), tmp_path, [{key: black for key in images[0] if key[0] != missing}], 2048)
    with open_slide(path) as slide:
        assert len(slide.planes) == planes
        if missing < planes:
            with pytest.raises(TileError, match="plane 3 cannot be decoded"):
                slide.read_tile(0, missing, 0, 0)
        else:
            assert slide.metadata.notes == ("its tags tell of 11 planes, of which its image data has 10",)


def test_planes_taken_from_the_top_down_are_turned(data: Data, monkeypatch: pytest.MonkeyPatch, oracle: Stack) -> None:
    monkeypatch.setattr("planish.slide.vsi.z_axis", lambda raw, name: ZAxis(11, 20.0, -1.5))
    with open_slide(data(REAL)) as slide:
        assert [plane.z_um for plane in slide.planes] == [5 + 1.5 * index for index in range(11)]
        assert np.array_equal(slide.read_tile(0, 10 - 3, 2, 2)[..., 0], oracle[3, 0][512:768, 512:768])


def test_a_tile_left_out_by_the_scanner_is_0(data: Data, images: list[Stack], tmp_path: Path) -> None:
    path = write_vsi(data(REAL), tmp_path, images[:1], 512, left_out=(2, 0))
    with open_slide(path) as slide:
        assert not slide.read_tile(0, 4, 2, 0).any()
        assert slide.read_tile(0, 4, 1, 0).all()


def test_z_is_read_from_the_tree_of_tags() -> None:
    def quantity(tag: int, value: str, unit: str = "10^-6m^1") -> dict[str, object]:
        return {"tag": tag, "value": [{"tag": 268435456, "value": unit}, {"tag": 268435458, "value": value}]}

    def volume(name: str, *quantities: dict[str, object]) -> str:
        axis = {"tag": 2008, "value": [{"tag": 2023, "value": "1"}, *quantities]}
        stack = {"tag": 2005, "value": [{"tag": 2030, "value": name}]}
        return json_tree({"tag": 2001, "value": [stack, {"tag": 2007, "value": [axis]}]})

    assert z_axis(volume("a", quantity(2012, "7.5"), quantity(2013, "-0.5")), "a") == ZAxis(None, 7.5, -0.5)
    assert z_axis(volume("a", quantity(2013, "300", "10^-9m^1")), "a").step_um == pytest.approx(0.3)
    assert z_axis(volume("a", quantity(2013, "3", "10^-3s^1")), "a") == ZAxis()
    assert z_axis(volume("a", quantity(2013, "3")), "b") == ZAxis()
    assert z_axis("no tree", "a") == ZAxis()
    assert external_files(json_tree({"tag": 20005, "value": "1"}, {"tag": 20005, "value": "0"})) == 1


def json_tree(*nodes: dict[str, object]) -> str:
    return json.dumps({"tag": -2, "value": list(nodes)})
