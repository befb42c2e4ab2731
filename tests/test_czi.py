"""CZI: planes, channels, scenes, time points and pyramids, against the arrays written and against czifile."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import czifile
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pylibCZIrw import czi

from made_czi import MPP, Mosaic, attach, patch, state_z, write_czi, write_pyramid
from makers import HEIGHT, WIDTH, make_stack
from planish.errors import OptionError, SlideError, TileError, UnsupportedSlide
from planish.focus.options import SurveyOptions
from planish.focus.survey import survey
from planish.model import Missing
from planish.slide.base import Slide
from planish.slide.czi import CziSlide
from planish.slide.open import open_slide

RGB = make_stack()
GREY = make_stack(6, 1, np.uint16)[..., 0]
REAL = ["tiles_z.czi", "LLS7_small.czi", "CellDivision_T3_Z6_CH1_X300_Y200_DCV_ZSTD.czi"]


def pixels(slide: Slide) -> NDArray[Any]:
    """Return all planes at full size, (Z, height, width, channels)."""
    full = slide.levels[0]
    return np.stack([slide.read_region(0, plane.index, 0, 0, full.width, full.height) for plane in slide.planes])


# Real files


def stored(block: Any) -> NDArray[Any]:
    """Return a sub-block's pixels; czifile knows no zstd."""
    if isinstance(block.compression, int) and block.compression == 6:
        raw = block.data_segment().data(raw=True)
        data = imagecodecs.zstd_decode(raw[raw[0] :])
        if raw[0] == 3 and raw[2] & 1:
            data = np.frombuffer(data, np.uint8).reshape(2, -1).T.tobytes()
        return np.frombuffer(data, block.dtype).reshape(block.stored_shape)
    return np.asarray(block.data_segment().data())


@pytest.mark.parametrize("name", REAL)
def test_every_pixel_of_real_files_is_that_of_its_sub_block(name: str, data: Callable[[str], Path]) -> None:
    path = data(f"slides/{name}")
    with open_slide(path) as slide, czifile.CziFile(path) as reference:
        assert isinstance(slide, CziSlide)
        left, top, width, height = slide._box
        shape = (slide.times, len(slide.planes), height, width, len(slide.channels))
        expected = np.zeros(shape, slide.dtype)
        for block in reference.filtered_subblock_directory:
            start = {entry.dimension: entry.start for entry in block.dimension_entries}
            image = np.squeeze(stored(block))
            x, y = start["X"] - left, start["Y"] - top
            # Neighbours overlap; the file lists the upper ones last.
            expected[start["T"], start["Z"], y : y + image.shape[0], x : x + image.shape[1], start["C"]] = image
        for time in range(slide.times):
            assert np.array_equal(pixels(slide.view(time=time)), expected[time])


def test_real_files_say_what_is_known_of_them(data: Callable[[str], Path]) -> None:
    with open_slide(data("slides/tiles_z.czi")) as slide:
        assert (slide.levels[0].width, slide.levels[0].height, slide.levels[0].tile_width) == (510, 512, 256)
        assert (slide.channels, slide.dtype.name) == (("Ch1", "T PMT"), "uint8")
        assert [plane.z_um for plane in slide.planes] == [0, 4]
        assert slide.metadata.mpp_x == pytest.approx(0.83027, abs=1e-5)
        assert (slide.metadata.objective_power, slide.metadata.notes) == (40, ())
    with open_slide(data(f"slides/{REAL[2]}")) as slide:
        assert [plane.z_um for plane in slide.planes] == pytest.approx([-2.24, -1.92, -1.6, -1.28, -0.96, -0.64])
        assert (slide.times, slide.dtype.name, slide.metadata.objective_power) == (3, "uint16", 50)
        assert "3 time points" in slide.metadata.notes[0]


def test_the_survey_finds_the_middle_plane_of_the_lightsheet_sharpest(data: Callable[[str], Path]) -> None:
    # By the Laplacian at full size; measures of coarser detail prefer its last plane by 2 %, in any software.
    with open_slide(data("slides/LLS7_small.czi")) as slide:
        assert len(slide.planes) == 3
        found = survey(slide, SurveyOptions(scorer="laplacian", score_downsample=1, channel=0))
    assert (found.plane == 1).all()


def test_images_beside_the_slide_are_read(tmp_path: Path, data: Callable[[str], Path]) -> None:
    with open_slide(data("slides/tiles_z.czi")) as slide:
        assert list(slide.associated) == ["thumbnail"]
        assert slide.associated["thumbnail"].shape[2] == 3
    with pytest.raises(SlideError, match="closing"):
        slide.associated["thumbnail"]
    label = write_czi(tmp_path / "label.czi", RGB[:1, :90, :120])
    path = attach(write_czi(tmp_path / "slide.czi", RGB[1:]), "Label", label.read_bytes())
    with open_slide(path) as slide:
        assert np.array_equal(slide.associated["label"], RGB[0, :90, :120])
        assert np.array_equal(pixels(slide), RGB[1:])


# Channels, scenes, time points


def test_channels_are_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = make_stack(channels=2, dtype=np.uint16)
    path = write_czi(tmp_path / "two.czi", stack, channel_names={0: "DAPI", 1: "Cy5"})
    seen: list[int] = []
    read = czi.CziReader.read

    def watched(reader: Any, region: Any, plane: dict[str, int], *others: Any) -> Any:
        seen.append(plane["C"])
        return read(reader, region, plane, *others)

    monkeypatch.setattr(czi.CziReader, "read", watched)
    with open_slide(path) as slide:
        assert slide.channels == ("DAPI", "Cy5")
        assert np.array_equal(slide.view(channels=["Cy5"]).read_tile(0, 2, 0, 0), stack[2, :128, :128, 1:])
        assert seen == [1]
        assert np.array_equal(slide.view(channels=[1, 0]).read_tile(0, 2, 0, 0), stack[2, :128, :128, ::-1])
        assert slide.decoded[0] == 2


def test_channels_may_be_of_colour_and_of_grey(tmp_path: Path) -> None:
    path = tmp_path / "mixed.czi"
    with czi.create_czi(str(path)) as file:
        file.write(np.ascontiguousarray(RGB[0, ..., ::-1]), plane={"C": 0})
        file.write(RGB[1, ..., :1].copy(), plane={"C": 1})
    with open_slide(path) as slide:
        assert slide.channels == ("0 R", "0 G", "0 B", "1")
        found = slide.view(channels=["1", 0]).read_tile(0, 0, 0, 0)
        assert np.array_equal(found[..., 0], RGB[1, ..., 0])
        assert np.array_equal(found[..., 1], RGB[0, ..., 0])


def test_scenes_and_time_points_are_views_that_pickle_and_close(tmp_path: Path) -> None:
    stack = GREY[:, :200, :300].reshape(1, 2, 3, 200, 300, 1).repeat(2, axis=0).copy()
    stack[1] = 65535 - stack[1]
    path = write_czi(tmp_path / "parts.czi", stack, Mosaic(origin=(-50, 20)))
    with open_slide(path) as slide:
        assert (slide.scenes, slide.times, len(slide.planes)) == (("0", "1"), 2, 3)
        assert len(slide.metadata.notes) == 2
        for scene, time in np.ndindex(2, 2):
            part = slide.view(scene=scene, time=time)
            assert np.array_equal(pixels(part), stack[scene, time])
            with pickle.loads(pickle.dumps(part)) as again:
                assert np.array_equal(pixels(again), stack[scene, time])
                assert again.metadata == part.metadata
        assert "number 1" in part.metadata.notes[0]
        with pytest.raises(OptionError):
            slide.view(scene=2)
    with pytest.raises(SlideError, match="closing"):
        part.read_tile(0, 0, 0, 0)


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 1), (np.float32, 1), (np.uint16, 3)])
def test_pixel_types(dtype: Any, channels: int, tmp_path: Path) -> None:
    stack = make_stack(2, channels, dtype)
    with open_slide(write_czi(tmp_path / "type.czi", stack)) as slide:
        assert slide.dtype == dtype
        assert np.array_equal(pixels(slide), stack)


# Place


@pytest.mark.parametrize("mosaic", [Mosaic(origin=(-77, 1005)), Mosaic(overlap=16), Mosaic(1000, (3, -400))])
def test_mosaics_may_start_anywhere_and_overlap(mosaic: Mosaic, tmp_path: Path) -> None:
    with open_slide(write_czi(tmp_path / "mosaic.czi", RGB, mosaic)) as slide:
        assert np.array_equal(pixels(slide), RGB)
        assert not slide.metadata.notes


@pytest.mark.parametrize(("stack", "shown", "name"), [(RGB, 255, "white"), (GREY[:2, ..., None], 0, "black")])
def test_gaps_of_a_mosaic_are_background_and_said(stack: NDArray[Any], shown: int, name: str, tmp_path: Path) -> None:
    path = tmp_path / "gap.czi"
    with czi.create_czi(str(path)) as file:
        for z, plane in enumerate(stack[:2]):
            for x in (0, 300):
                block = np.ascontiguousarray(plane[:200, x : x + 200, ::-1])
                file.write(block, (x, 0), {"Z": z})
    with open_slide(path) as slide:
        assert slide.metadata.notes == (f"parts of its rectangle were not scanned; they are shown {name}",)
        found = pixels(slide)
        assert (found[:, :, 200:300] == shown).all()
        assert np.array_equal(found[:, :, 300:], stack[:2, :200, 300:500])


def test_gaps_that_differ_between_planes_are_missing_and_not_the_shape_of_a_mosaic(tmp_path: Path) -> None:
    for shift, kind in ((0, str), (100, Missing)):
        path = tmp_path / f"shift{shift}.czi"
        with czi.create_czi(str(path)) as file:
            for z in range(2):
                for x in (0, 300):
                    file.write(GREY[z, :200, :200, None].copy(), (x + z * shift, 0), {"Z": z})
        with open_slide(path) as slide:
            assert [type(note) for note in slide.metadata.notes] == [kind]


@pytest.mark.parametrize("short", [0, 1])
def test_a_channel_of_the_middle_plane_only_is_said(short: int, tmp_path: Path) -> None:
    path = tmp_path / "middle.czi"
    with czi.create_czi(str(path)) as file:
        for z in range(3):
            file.write(GREY[z, ..., None].copy(), plane={"Z": z, "C": 1 - short})
        file.write(GREY[4, ..., None].copy(), plane={"Z": 1, "C": short})
    with open_slide(path) as slide:
        said = f"channel {short} lacks 2 images in 2 of 3 planes; they are shown black"
        assert slide.metadata.notes == (said,)
        found = pixels(slide)
        assert not found[0, ..., short].any()
        assert np.array_equal(found[1, ..., short], GREY[4])
        assert np.array_equal(found[..., 1 - short], GREY[:3])


def test_levels_of_narrow_images_keep_their_downsample(tmp_path: Path) -> None:
    with open_slide(write_pyramid(tmp_path / "narrow.czi", RGB[:, :64, :3])) as slide:
        assert [(level.width, level.height) for level in slide.levels] == [(3, 64), (1, 32)]
        assert slide.read_tile(1, 0, 0, 0).shape == (32, 1, 3)


def test_a_level_of_a_part_is_no_level(tmp_path: Path) -> None:
    path = tmp_path / "part.czi"
    with czi.create_czi(str(path)) as file:
        for x in (0, 200):
            file.write(np.ascontiguousarray(RGB[0, :200, x : x + 200, ::-1]), (x, 0))
        file.write(np.ascontiguousarray(RGB[0, :200:2, :200:2, ::-1]), (0, 0))

    def enlarge(sizes: dict[str, list[int]]) -> None:
        sizes["X"][1] = sizes["Y"][1] = 200

    patch(path, enlarge, pyramid=lambda sizes: sizes["X"][1] > sizes["X"][2])
    with open_slide(path) as slide:
        assert len(slide.levels) == 1
        assert slide.metadata.notes == ("its level of 1/2 covers a part only and is not read",)
        assert np.array_equal(pixels(slide)[0], RGB[0, :200, :400])


def test_only_levels_of_the_file_are_levels_and_their_pixels_are_its(tmp_path: Path) -> None:
    for downsample in (2, 3):
        with open_slide(write_pyramid(tmp_path / f"{downsample}.czi", RGB, downsample)) as slide:
            full, small = slide.levels
            assert (full.width, small.width, small.height) == (WIDTH, WIDTH // downsample, HEIGHT // downsample)
            for plane in range(4):
                whole = cv2.resize(RGB[plane], None, fx=1 / downsample, fy=1 / downsample, interpolation=cv2.INTER_AREA)
                wanted = whole[: small.height, : small.width]
                assert np.array_equal(slide.read_region(1, plane, 0, 0, small.width, small.height), wanted)


# z


def test_planes_follow_the_positions_that_the_file_states(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "z.czi", RGB)
    state_z(path, [3.0, -1.0, 0.5, 2.0])
    with open_slide(path) as slide:
        assert [plane.z_um for plane in slide.planes] == [-1, 0.5, 2, 3]
        assert np.array_equal(pixels(slide), RGB[[1, 2, 3, 0]])
        assert slide.metadata.mpp_x == pytest.approx(MPP)


@pytest.mark.parametrize("positions", [[5.0] * 4, [0.0, 1.0]])
def test_positions_that_do_not_fit_leave_the_spacing(positions: list[float], tmp_path: Path) -> None:
    path = write_czi(tmp_path / "z.czi", RGB)
    state_z(path, positions)
    with open_slide(path) as slide:
        assert [plane.z_um for plane in slide.planes] == pytest.approx([0, 1.5, 3, 4.5])


def test_planes_of_a_cut_out_file_keep_their_positions(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "z.czi", RGB[:2])

    def later(sizes: dict[str, list[int]]) -> None:
        sizes["Z"][0] += 2

    patch(path, later)
    state_z(path, [1.0, 2.0, 4.0, 8.0])
    with open_slide(path) as slide:
        assert [plane.z_um for plane in slide.planes] == [4, 8]


def test_a_file_without_z_is_a_slide_of_one_plane(tmp_path: Path) -> None:
    with open_slide(write_czi(tmp_path / "one.czi", RGB[:1])) as slide:
        assert len(slide.planes) == 1
        assert np.array_equal(pixels(slide), RGB[:1])


def test_planes_of_a_cut_out_file_may_start_at_any_number(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "later.czi", RGB[:3])

    def later(sizes: dict[str, list[int]]) -> None:
        sizes["Z"][0] += 7
        sizes["T"][0] += 2

    patch(path, later)
    with open_slide(path) as slide:
        assert [plane.z_um for plane in slide.planes] == pytest.approx([0, 1.5, 3])
        assert np.array_equal(pixels(slide), RGB[:3])


# Threads, closing, damage


def test_threads_read_right_pixels_through_the_cache(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "zstd.czi", RGB, Mosaic(300, overlap=10, compression="zstd1:ExplicitLevel=1"))
    with open_slide(path) as slide, ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: pixels(slide), range(24)):
            assert np.array_equal(found, RGB)


def test_closing_lets_go_of_the_file(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "closed.czi", RGB)
    slide = open_slide(path)
    links = Path("/proc/self/fd")

    def is_held() -> bool:
        return any(os.path.realpath(link) == str(path) for link in links.iterdir())

    slide.read_tile(0, 0, 0, 0)
    held = is_held()
    slide.close()
    assert not is_held()
    assert held or not links.exists()
    with pytest.raises(SlideError, match="closing"):
        slide.read_tile(0, 0, 0, 0)


@pytest.mark.parametrize("keep", [100, 600, 0.5, 0.99])
def test_a_truncated_file_is_refused(keep: float, tmp_path: Path) -> None:
    path = write_czi(tmp_path / "cut.czi", RGB)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    with pytest.raises(SlideError, match=r"cut\.czi: not a readable CZI"):
        open_slide(path)


def test_garbage_behind_the_magic_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "garbage.czi"
    path.write_bytes(b"ZISRAWFILE" + np.random.default_rng(1).bytes(5000))
    with pytest.raises(SlideError, match="not a readable CZI"):
        open_slide(path)


def test_a_damaged_sub_block_is_a_tile_error(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "hole.czi", RGB, Mosaic(compression="zstd1:ExplicitLevel=1"))
    data = bytearray(path.read_bytes())
    start = data.index(b"ZISRAWSUBBLOCK", len(data) // 4)
    data[start + 400 : start + 4000] = bytes(3600)
    path.write_bytes(data)
    with open_slide(path) as slide, pytest.raises(TileError, match=r"hole\.czi.*damaged"):
        pixels(slide)


def test_numbers_that_would_crash_libczi_are_errors(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "numbers.czi", RGB)
    sound = path.read_bytes()
    directory = sound.index(b"ZISRAWDIRECTORY")
    block = sound.index(b"ZISRAWSUBBLOCK")
    for place, said in ((directory + 160 + 28, "list of images is damaged"), (directory + 32 + 3, "list of images")):
        data = bytearray(sound)
        data[place] = 99
        path.write_bytes(data)
        with pytest.raises(SlideError, match=rf"numbers\.czi: .*{said}"):
            open_slide(path)
    for place in (block + 44, block + 32 + 16 + 28):
        data = bytearray(sound)
        data[place] = 99
        path.write_bytes(data)
        with open_slide(path) as slide, pytest.raises(TileError, match="damaged header"):
            pixels(slide)


def test_dimensions_that_are_not_shown_are_refused(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "phases.czi", RGB)
    path.write_bytes(path.read_bytes().replace(b"Z\0\0\0", b"H\0\0\0"))
    with pytest.raises(UnsupportedSlide, match="4 phases"):
        open_slide(path)


def test_float_colours_which_libczi_cannot_compose_are_refused(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "float.czi", make_stack(2, 3, np.float32))
    with pytest.raises(UnsupportedSlide, match="type 8"):
        open_slide(path)


def test_channels_of_different_depth_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "depths.czi"
    with czi.create_czi(str(path)) as file:
        file.write(RGB[0], plane={"C": 0})
        file.write(GREY[0, ..., None].copy(), plane={"C": 1})
    with pytest.raises(UnsupportedSlide, match="Gray16, Bgr24"):
        open_slide(path)
