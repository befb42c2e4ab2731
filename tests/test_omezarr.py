"""OME-Zarr: what only it has, and what is wrong with damaged ones; the contract is in `test_readers.py`."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from made_zarr import MPP, RGB, ZarrForm, make_zarr, multiscale, put_metadata, write_array
from makers import make_stack
from planish.errors import OptionError, SlideError, TileError, UnsupportedSlide
from planish.slide import omezarrfile
from planish.slide.base import Slide
from planish.slide.omezarr import OmeZarrSlide
from planish.slide.open import open_slide


def shown(slide: Slide, plane: int = 0, level: int = 0) -> NDArray[Any]:
    size = slide.levels[level]
    return slide.read_region(level, plane, 0, 0, size.width, size.height)


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what a Zarr 3 group or array says."""
    file = path / "zarr.json"
    told = json.loads(file.read_text())
    change(told)
    file.write_text(json.dumps(told))


def edit_image(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what an OME-Zarr 0.5 says of its image."""
    edit(path, lambda told: change(told["attributes"]["ome"]["multiscales"][0]))


def count_chunks(slide: Slide, monkeypatch: pytest.MonkeyPatch) -> list[tuple[slice, ...]]:
    """Return a list that grows with every part asked of zarr."""
    asked: list[tuple[slice, ...]] = []
    original = zarr.Array.__getitem__

    def counting(self: Any, selection: Any) -> Any:
        asked.append(selection)
        return original(self, selection)

    monkeypatch.setattr(zarr.Array, "__getitem__", counting)
    return asked


def test_pixel_size_and_z_come_from_all_transformations_in_micrometers(tmp_path: Path) -> None:
    with open_slide(make_zarr(tmp_path, make_stack(), ZarrForm())) as slide:
        assert (slide.metadata.mpp_x, slide.metadata.mpp_y) == (MPP, MPP)
        assert [plane.z_um for plane in slide.planes] == pytest.approx([-1.5, 0, 1.5, 3])
        assert slide.metadata.format == "OME-Zarr 0.5"
        assert slide.sizes_refusal(0)
        assert slide.scenes == ("",)


@pytest.mark.parametrize(
    ("omero", "channels"),
    [
        (RGB, ("R", "G", "B")),
        ({"channels": [{"label": name, "color": "FFFFFF"} for name in ("Red", "Green", "Blue")]}, ("R", "G", "B")),
        ({"channels": [{"label": name, "color": "FF0000"} for name in ("DAPI", "FITC", "TRITC")]},
         ("DAPI", "FITC", "TRITC")),
        ({"channels": [{"label": "a", "color": "FF0000"}] * 3}, ("a 0", "a 1", "a 2")),
    ],
)  # fmt: skip
def test_channels_are_named_by_what_the_file_says(tmp_path: Path, omero: Any, channels: tuple[str, ...]) -> None:
    with open_slide(make_zarr(tmp_path, make_stack(), ZarrForm(omero=omero))) as slide:
        assert slide.channels == channels
        assert not slide.metadata.notes


def test_colours_stored_in_another_order_come_as_rgb(tmp_path: Path) -> None:
    stack = make_stack()
    omero = {"channels": [{"label": name} for name in "BGR"]}
    with open_slide(make_zarr(tmp_path, stack[..., ::-1], ZarrForm(omero=omero))) as slide:
        assert np.array_equal(shown(slide, 2), stack[2])
        assert slide.metadata.notes == ("its channels are stored as B, G, R and shown as red, green, blue",)


def generic(*colours: str) -> list[dict[str, str]]:
    return [{"label": f"Channel {index}", "color": colour} for index, colour in enumerate(colours)]


@pytest.mark.parametrize(
    ("omero", "channels", "said"),
    [
        (None, ("0", "1", "2"), "are kept apart"),
        ({"channels": [{"color": "00FFFF"}] * 3, "rdefs": {"model": "color"}}, ("0", "1", "2"), "are kept apart"),
        ({"channels": generic("0000FF", "00FF00", "FF0000"), "rdefs": {"model": "color"}},
         ("Channel 0", "Channel 1", "Channel 2"), "are kept apart"),
        ({"channels": generic("FF0000", "00FF00", "0000FF")}, ("Channel 0", "Channel 1", "Channel 2"), "kept apart"),
        ({"channels": generic("FF0000", "00FF00", "0000FF"), "rdefs": {"model": "color"}}, ("R", "G", "B"),
         "are taken for red, green and blue"),
        ({"rdefs": {"model": "color"}}, ("R", "G", "B"), "are taken for red, green and blue"),
    ],
)  # fmt: skip
def test_nameless_channels_are_colours_only_where_the_file_says_so(
    tmp_path: Path, omero: Any, channels: tuple[str, ...], said: str
) -> None:
    stack = make_stack()
    with open_slide(make_zarr(tmp_path, stack, ZarrForm(omero=omero))) as slide:
        assert slide.channels == channels
        assert said in slide.metadata.notes[0]
        assert np.array_equal(shown(slide, 2), stack[2])


def test_a_chosen_channel_reads_no_chunk_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = make_stack(channels=4)
    with open_slide(make_zarr(tmp_path, stack, ZarrForm())) as slide:
        asked = count_chunks(slide, monkeypatch)
        tile = slide.view(channels=[3, 0]).read_tile(0, 1, 0, 0)
        assert sorted(selection[1].start for selection in asked) == [0, 3]
        assert all(selection[1].stop - selection[1].start == 1 for selection in asked)
    assert np.array_equal(tile, stack[1, :128, :128, [3, 0]].transpose(1, 2, 0))


def test_a_chunk_of_many_tiles_and_planes_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = ZarrForm(chunk=(64, 1100), deep=True)
    with open_slide(make_zarr(tmp_path, make_stack(), form)) as slide:
        asked = count_chunks(slide, monkeypatch)
        for plane in range(4):
            shown(slide, plane)
        assert len(asked) == -(-392 // 64)


def test_large_chunks_wait_in_temporary_files_and_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(omezarrfile, "_MEMORY_BYTES", 1 << 10)
    monkeypatch.setattr(omezarrfile, "_DISK_BYTES", 5 * 3 * 4 * 64 * 520)
    stack = make_stack()
    with open_slide(make_zarr(tmp_path, stack, ZarrForm(chunk=(64, 1100), deep=True))) as slide:
        asked = count_chunks(slide, monkeypatch)
        for _ in range(2):
            assert np.array_equal(shown(slide, 3), stack[3])
        assert len(asked) == 2 * 7  # a row of tiles lies in 4 chunks, of which 5 are kept


def test_time_points_are_views(tmp_path: Path) -> None:
    stacks = [make_stack(), make_stack()[::-1], make_stack()[[1, 0, 3, 2]]]
    path = make_zarr(tmp_path, stacks[0], ZarrForm())
    group = zarr.open_group(str(path), mode="a")
    for name, step in (("0", 1), ("1", 2)):
        every = np.stack([np.moveaxis(stack[:, ::step, ::step], 3, 0) for stack in stacks])
        group.create_array(name, data=every, chunks=(3, 1, 2, 128, 128), overwrite=True)
    with open_slide(path) as slide:
        assert slide.times == 3
        assert "holds 3 time points, of which the first is shown; --time chooses another" in slide.metadata.notes
        part = slide.view(time=2)
        assert np.array_equal(shown(part, 1), stacks[2][1])
        assert np.array_equal(shown(slide, 1), stacks[0][1])
        with pickle.loads(pickle.dumps(part)) as copy:
            assert np.array_equal(shown(copy, 1), stacks[2][1])
        with pytest.raises(OptionError):
            part.view(time=1)


def several(folder: Path, version: str = "0.5") -> Path:
    """Write two images as bioformats2raw lays them out."""
    path = folder / "several.zarr"
    root = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    layout = {"bioformats2raw.layout": 3}
    root.attrs.update(layout if version == "0.4" else {"ome": {"version": version, **layout}})
    for name, stack in (("0", make_stack()), ("1", make_stack(planes=3))):
        form = ZarrForm(version=version, omero=RGB)
        group = root.create_group(name)
        for level in "01":
            write_array(group, level, stack[:, :: 1 + int(level), :: 1 + int(level)], form)
        put_metadata(group, version, [multiscale(form, stack) | {"name": f"series {name}"}], RGB)
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_several_images_are_scenes(tmp_path: Path, version: str) -> None:
    with open_slide(several(tmp_path, version)) as slide:
        assert slide.scenes == ("series 0", "series 1")
        assert slide.metadata.notes == ("holds 2 scenes, of which the first is shown; --scene chooses another",)
        second = slide.view(scene=1)
        assert len(second.planes) == 3
        assert np.array_equal(shown(second, 2), make_stack(planes=3)[2])
        assert np.array_equal(shown(slide, 2), make_stack()[2])
        with pickle.loads(pickle.dumps(second)) as copy:
            assert np.array_equal(shown(copy, 2), make_stack(planes=3)[2])


def test_listed_series_come_in_their_order_and_one_image_opens_by_its_folder(tmp_path: Path) -> None:
    path = several(tmp_path)
    zarr.open_group(str(path), mode="a").create_group("OME", attributes={"ome": {"series": ["1", "0"]}})
    with open_slide(path) as slide:
        assert slide.scenes == ("series 1", "series 0")
        assert np.array_equal(shown(slide, 2), make_stack(planes=3)[2])
    with open_slide(path / "0") as slide:
        assert len(slide.planes) == 4


def test_levels_with_fewer_planes_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    path = make_zarr(tmp_path, make_stack(), ZarrForm(omero=RGB))
    write_array(zarr.open_group(str(path), mode="a"), "2", make_stack()[::2, ::4, ::4], ZarrForm())
    edit_image(path, lambda image: image["datasets"].append({"path": "2"}))
    with open_slide(path) as slide:
        assert len(slide.levels) == 2
        assert slide.metadata.notes == ("level 2 has 2 of 4 planes and is left out",)


@pytest.mark.parametrize("deep", [False, True])
def test_the_largest_array_is_full_size_however_they_are_listed(tmp_path: Path, deep: bool) -> None:
    stack = make_stack()
    path = make_zarr(tmp_path, stack, ZarrForm(omero=RGB))
    if deep:  # the small level has half of the planes, too
        shutil.rmtree(path / "1")
        write_array(zarr.open_group(str(path), mode="a"), "1", stack[::2, ::2, ::2], ZarrForm())
    edit_image(path, lambda image: image["datasets"].reverse())
    with open_slide(path) as slide:
        assert (slide.metadata.mpp_x, slide.metadata.mpp_y) == (MPP, MPP)
        assert [plane.z_um for plane in slide.planes] == pytest.approx([-1.5, 0, 1.5, 3])
        assert [level.downsample_x for level in slide.levels] == [1.0, 2.0][: 1 if deep else 2]
        assert np.array_equal(shown(slide, 3), stack[3])


def test_missing_chunks_are_background_and_that_is_said(tmp_path: Path) -> None:
    path = make_zarr(tmp_path, make_stack(), ZarrForm(omero=RGB))
    shutil.rmtree(path / "0" / "c" / "0" / "1" / "2")
    for index in range(30):
        (path / "0" / f"._{index}").write_bytes(b"of a Mac")
    (path / "0" / ".DS_Store").write_bytes(b"of a Mac")
    with open_slide(path) as slide:
        assert slide.metadata.notes == ("20 of 240 chunks at full size are not stored, and shown as 0",)
        assert not shown(slide, 2)[..., 1].any()
        assert np.array_equal(shown(slide, 2)[..., 0], make_stack()[2, ..., 0])


def big(folder: Path) -> Path:
    """Write the metadata of an image of 100,000 chunks that are not stored."""
    path = folder / "big.zarr"
    group = zarr.open_group(str(path), mode="w")
    group.create_array("0", shape=(10, 25_600, 25_600), chunks=(1, 256, 256), dtype="u1")
    put_metadata(group, "0.5", [{"axes": [{"name": name} for name in "zyx"], "datasets": [{"path": "0"}]}])
    return path


def test_opening_lists_no_chunks_of_a_large_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = big(tmp_path)
    monkeypatch.setattr("os.walk", lambda folder: pytest.fail("chunks were listed"))
    with open_slide(path) as slide:
        assert "100000 chunks at full size were not counted; any that is not stored is shown as 0" in str(
            slide.metadata.notes
        )
        assert not slide.read_tile(0, 9, 99, 99).any()


def test_without_units_there_is_no_size_and_planes_are_in_the_order_stored(tmp_path: Path) -> None:
    with open_slide(big(tmp_path)) as slide:
        assert slide.metadata.mpp_x is None
        assert {plane.z_um for plane in slide.planes} == {None}
        assert any("order stored" in note for note in slide.metadata.notes)


def test_versions_before_axes_had_types_are_read(tmp_path: Path) -> None:
    stack = make_stack()
    path = make_zarr(tmp_path, stack, ZarrForm("0.4"))
    file = path / ".zattrs"
    for version, axes in (("0.3", list("tczyx")), ("0.2", None)):
        told = json.loads(file.read_text())
        image = told["multiscales"][0]
        image["version"], image["axes"] = version, axes
        file.write_text(json.dumps(told))
        with open_slide(path) as slide:
            assert np.array_equal(shown(slide, 1), stack[1])


def test_labels_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    path = make_zarr(tmp_path, make_stack(), ZarrForm(omero=RGB))
    zarr.open_group(str(path), mode="a").create_group("labels")
    with open_slide(path) as slide:
        assert slide.metadata.notes == ("holds label images, which are not read",)


def test_reading_after_closing_or_after_the_folder_has_gone_is_an_error(tmp_path: Path) -> None:
    path = make_zarr(tmp_path, make_stack(), ZarrForm())
    slide = open_slide(path)
    shutil.rmtree(path)
    with pytest.raises(TileError, match="vanished"):
        slide.read_tile(0, 0, 0, 0)
    slide.view(time=0).close()
    with pytest.raises(SlideError, match="read after closing"):
        slide.read_tile(0, 0, 0, 0)


def test_a_damaged_chunk_is_an_error_of_its_tile(tmp_path: Path) -> None:
    path = make_zarr(tmp_path, make_stack(), ZarrForm())
    (path / "0" / "c" / "0" / "0" / "1" / "0" / "0").write_bytes(b"nothing")
    with open_slide(path) as slide:
        slide.read_tile(0, 0, 0, 0)
        with pytest.raises(TileError, match=r"tile \(0, 0\) of plane 1"):
            slide.read_tile(0, 1, 0, 0)


def _codec(told: dict[str, Any]) -> None:
    told["codecs"][-1] = {"name": "wavelet", "configuration": {}}


def _broken(path: Path) -> None:
    (path / "zarr.json").write_text("{")


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no image": (lambda path: edit(path, lambda told: told["attributes"].clear()), "'multiscales' is missing"),
    "no metadata": (lambda path: (path / "0" / "zarr.json").unlink(), "names the array 0, which is missing"),
    "broken metadata": (_broken, "metadata is damaged"),
    "missing array": (lambda path: shutil.rmtree(path / "1"), "names the array 1, which is missing"),
    "no arrays": (lambda path: edit_image(path, lambda image: image["datasets"].clear()), "names no arrays"),
    "no axes": (lambda path: edit_image(path, lambda image: image.pop("axes")), "has no 'axes'"),
    "too few axes": (lambda path: edit_image(path, lambda image: image["axes"].pop(0)), "not a scale or translation"),
    "strange axes": (lambda path: edit_image(path, lambda image: image.update(axes=["t", "c", "z", "y", "q"])),
                     "needed are y and x"),
    "strange shape": (lambda path: edit_image(path, lambda image: image.update(axes=[], datasets=3)), "needed are"),
    "damaged image": (lambda path: edit_image(path, lambda image: image.update(axes=[{"type": "space"}])),
                      "metadata is damaged"),
    "unknown codec": (lambda path: edit(path / "0", _codec), "codec that is not installed"),
    "mixed types": (lambda path: edit(path / "1", lambda told: told.update(data_type="int8")), "must be alike"),
    "next version": (lambda path: edit_image(path, lambda image: image.update(coordinateSystems=[])), "as 0.5"),
    "flags": (lambda path: edit(path / "0", lambda told: told.update(data_type="bool", fill_value=False)),
              "numbers are needed"),
    "empty": (lambda path: edit(path / "1", lambda told: told["shape"].__setitem__(4, 0)), "array 1 is empty"),
    "plate": (lambda path: edit(path, lambda told: told["attributes"].update(ome={"plate": {}})), "one of its fields"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_clear_line(tmp_path: Path, damage: str) -> None:
    path = make_zarr(tmp_path, make_stack(), ZarrForm())
    do, expected = DAMAGE[damage]
    do(path)
    with pytest.raises(SlideError, match=expected) as caught:
        open_slide(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_single_array_is_refused_with_words(tmp_path: Path) -> None:
    for version in ("0.4", "0.5"):
        path = make_zarr(tmp_path, make_stack(), ZarrForm(version))
        with pytest.raises(UnsupportedSlide, match="single Zarr array"):
            open_slide(path / "0")


def test_a_group_without_its_group_file_is_a_clear_error(tmp_path: Path) -> None:
    path = make_zarr(tmp_path, make_stack(), ZarrForm("0.4"))
    (path / ".zgroup").unlink()
    with pytest.raises(SlideError, match="no whole Zarr"):
        open_slide(path)


def test_an_axis_of_another_kind_is_refused_where_it_is_long(tmp_path: Path) -> None:
    path = tmp_path / "angles.zarr"
    group = zarr.open_group(str(path), mode="w")
    axes = [{"name": name} for name in ("angle", "y", "x")]
    for length, fails in ((1, False), (4, True)):
        group.create_array("0", shape=(length, 200, 300), dtype="i2", chunks=(1, 200, 300), overwrite=True)
        put_metadata(group, "0.5", [{"axes": axes, "datasets": [{"path": "0"}]}])
        if fails:
            with pytest.raises(UnsupportedSlide, match="4 images along the axis 'angle'"):
                open_slide(path)
        else:
            with OmeZarrSlide(path) as slide:
                assert slide.read_tile(0, 0, 0, 0).shape == (200, 300, 1)
