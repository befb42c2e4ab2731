"""OME-Zarr outputs: valid, read by others as by planish, in shards, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from ome_zarr_models.v05 import Image

from arrays import ArraySlide
from made_zarr import ZarrForm, make_zarr
from makers import container, make_stack
from planish.errors import Cancelled, OptionError, OutputExists, WriteError
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.slide.views import ChannelView
from planish.write import omezarr
from planish.write.options import WriteOptions
from planish.write.output import write
from planish.write.verify import compare


class Counted(ArraySlide):
    """Remembers which tiles were read."""

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        self.places: list[tuple[int, int]]
        self.places.append((column, row))
        return super()._decode_tile(level, plane, column, row)


def image(height: int = 900, width: int = 1300, channels: int = 3, dtype: Any = np.uint8) -> NDArray[Any]:
    small = make_stack(planes=1, channels=channels, dtype=dtype)[0]
    return np.tile(small, (-(-height // small.shape[0]), -(-width // small.shape[1]), 1))[None, :height, :width]


def pixels(path: Path, level: int) -> NDArray[Any]:
    """Read a level with zarr alone, (height, width, channels)."""
    array = zarr.open_group(str(path), mode="r")[str(level)]
    assert isinstance(array, zarr.Array)
    return np.moveaxis(np.asarray(array[0, :, 0]), 0, 2)


def told(path: Path) -> dict[str, Any]:
    attributes: dict[str, Any] = json.loads((path / "zarr.json").read_text())["attributes"]
    return attributes


@pytest.mark.parametrize(
    ("channels", "dtype"), [(3, np.uint8), (1, np.uint16), (2, np.int16), (5, np.uint8), (1, np.float32), (2, ">u4")]
)
def test_outputs_are_valid_and_hold_every_pixel(tmp_path: Path, channels: int, dtype: Any) -> None:
    stack = image(channels=channels, dtype=dtype)
    written = write(ArraySlide(stack), tmp_path / "flat.zarr", WriteOptions(jobs=2))
    group = zarr.open_group(str(written.path), mode="r")
    assert Image.from_zarr(group).ome_attributes.version == "0.5"
    assert np.array_equal(pixels(written.path, 0), stack[0])
    assert written.tiles_checked > 0
    assert [level.width for level in written.levels] == [1300, 650, 325, 163]
    with open_slide(written.path) as slide:
        assert slide.levels == written.levels
        assert slide.channels == ArraySlide(stack).channels
        assert slide.metadata.mpp_x == 0.25
        assert slide.metadata.objective_power == 40


def test_levels_are_means_of_four_whatever_the_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = image()
    one = write(ArraySlide(stack), tmp_path / "one.zarr").path
    monkeypatch.setattr(omezarr, "_SHARD", 512)
    many = write(ArraySlide(stack), tmp_path / "many.zarr").path
    assert len(list((many / "0" / "c").rglob("[0-9]"))) > len(list((one / "0" / "c").rglob("[0-9]")))
    padded = np.pad(stack[0], ((0, 0), (0, 0), (0, 0))).astype(float)
    wanted = padded.reshape(450, 2, 650, 2, 3).mean((1, 3))
    for level in range(4):
        assert np.array_equal(pixels(one, level), pixels(many, level))
    assert np.abs(pixels(one, 1) - wanted).max() <= 0.5


def test_each_level_tells_its_pixel_size_and_the_centre_of_its_first_pixel(tmp_path: Path) -> None:
    path = write(ArraySlide(image(901, 1301)), tmp_path / "flat.zarr").path  # odd: halving is by 2 all the same
    multiscale = told(path)["ome"]["multiscales"][0]
    assert [axis["name"] for axis in multiscale["axes"]] == list("tczyx")
    assert [axis.get("unit") for axis in multiscale["axes"]] == [None, None, None, "micrometer", "micrometer"]
    scale, place = multiscale["datasets"][1]["coordinateTransformations"]
    assert scale["scale"] == [1, 1, 1, 0.5, 0.5]
    assert place["translation"] == [0, 0, 0, 0.125, 0.125]


def test_channels_are_shown_in_their_range_and_colour(tmp_path: Path) -> None:
    path = write(ArraySlide(image(channels=2, dtype=np.uint16)), tmp_path / "flat.zarr").path
    channels = told(path)["ome"]["omero"]["channels"]
    assert [channel["label"] for channel in channels] == ["0", "1"]
    assert len({channel["color"] for channel in channels}) == 2
    window = channels[0]["window"]
    assert (window["min"], window["max"]) == (0, 65535)
    assert 0 <= window["start"] < window["end"] < 65535


def test_the_slides_own_levels_are_used_and_no_tile_is_read_twice(tmp_path: Path) -> None:
    stack = image(2600, 2600)
    slide = Counted(stack, tile=240)
    slide.places = []
    output = omezarr._Output(slide, omezarr._planned(slide, "all"), tmp_path)
    output.fill(1, None)
    assert len(slide.places) == len(set(slide.places)) == 121
    assert output.plan.levels[0].tile_width == 480
    source = container(tmp_path, make_stack(), kind="svs", codec="deflate")
    with open_slide(source) as opened:
        written = write(opened.view(planes=[1]), tmp_path / "own.zarr", WriteOptions(levels="source"))
        assert len(written.levels) == len(opened.levels)
        for level, size in enumerate(opened.levels):
            wanted = opened.read_region(level, 1, 0, 0, size.width, size.height)
            assert np.array_equal(pixels(written.path, level), wanted)


def test_white_glass_takes_no_chunks(tmp_path: Path) -> None:
    stack = image(2100, 2100)
    stack[:] = 255
    written = write(ArraySlide(stack), tmp_path / "flat.zarr")
    assert not list(written.path.rglob("c/**/[0-9]"))
    with open_slide(written.path) as slide:
        assert "shown as 255" in slide.metadata.notes[0]
        assert slide.read_tile(0, 0, 0, 0).min() == 255


def test_an_output_reads_as_an_input(tmp_path: Path) -> None:
    with open_slide(make_zarr(tmp_path, make_stack(), ZarrForm())) as slide:
        first = write(slide.view(planes=[2]), tmp_path / "first.zarr")
    with open_slide(first.path) as slide:
        write(slide, tmp_path / "second.ome.zarr")
    assert np.array_equal(pixels(tmp_path / "second.ome.zarr", 0), make_stack()[2])


@pytest.mark.parametrize(
    "options",
    [{"mode": "copy"}, {"quality": 80}, {"layout": "aperio"}, {"label": True}, {"macro": True}],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="leave it out"):
        write(ArraySlide(image()), tmp_path / "flat.zarr", WriteOptions(**options))
    assert not list(tmp_path.iterdir())


def test_several_planes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="flatten it"):
        write(ArraySlide(make_stack()), tmp_path / "flat.zarr")


def test_a_cancelled_or_failed_output_leaves_nothing(tmp_path: Path) -> None:
    def cancel(stage: str, done: int, total: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        write(ArraySlide(image()), tmp_path / "flat.zarr", progress=cancel)
    assert not list(tmp_path.iterdir())


def test_an_old_zarr_is_replaced_only_when_allowed_and_other_folders_never(tmp_path: Path) -> None:
    slide, path = ArraySlide(image()), tmp_path / "flat.zarr"
    write(slide, path)
    with pytest.raises(OutputExists):
        write(slide, path)
    write(ChannelView(slide, [1]), path, WriteOptions(overwrite=True))
    assert pixels(path, 0).shape[2] == 1
    (tmp_path / "thesis.zarr").mkdir()
    (tmp_path / "thesis.zarr" / "chapter.txt").touch()
    with pytest.raises(WriteError, match="not of the kind"):
        write(slide, tmp_path / "thesis.zarr", WriteOptions(overwrite=True))


def test_what_does_not_read_back_is_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(path: Path, *others: Any) -> Any:
        array = zarr.open_group(str(path), mode="a")["0"]
        assert isinstance(array, zarr.Array)
        array[0, 0, 0, 0, 0] = 0 if array[0, 0, 0, 0, 0] else 1
        return compare(path, *others)

    monkeypatch.setattr(omezarr, "compare", spoil)
    with pytest.raises(WriteError, match="tile \\(0, 0\\) of level 0 is not what was meant"):
        write(ArraySlide(image()), tmp_path / "flat.zarr")
    assert not list(tmp_path.iterdir())


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    slide: Slide = ArraySlide(image())
    write(slide, tmp_path / "flat.zarr", WriteOptions(jobs=1), lambda *each: seen.append(each))
    assert seen == [("writing", done, 4) for done in (1, 2, 3, 4)]


@pytest.mark.parametrize("added", ["mydata/notes.txt", "labels/zarr.json", "0/notes.txt", None])
def test_a_zarr_of_others_or_with_other_things_in_it_is_not_replaced(tmp_path: Path, added: str | None) -> None:
    path = write(ArraySlide(image()), tmp_path / "flat.zarr").path
    if added:
        (path / added).parent.mkdir(exist_ok=True)
        (path / added).touch()
    else:
        del zarr.open_group(str(path), mode="a").attrs["planish"]
    with pytest.raises(WriteError, match="not of the kind"):
        write(ArraySlide(image()), path, WriteOptions(overwrite=True))


def test_many_channels_are_spread_over_shards_that_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(omezarr, "_SHARD_BYTES", 2 * 512 * 512 * 2)
    stack = image(700, 1300, channels=5, dtype=np.uint16)
    path = write(ArraySlide(stack), tmp_path / "flat.zarr").path
    assert np.array_equal(pixels(path, 0), stack[0])
    array = zarr.open_group(str(path), mode="r")["0"]
    assert isinstance(array, zarr.Array)
    assert array.shards == (1, 2, 1, 512, 512)
    assert len(told(path)["ome"]["omero"]["channels"]) == 5


def test_the_range_to_show_is_taken_from_a_few_pixels_shard_by_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = image(2100, 2100, channels=1, dtype=np.uint16)
    one = told(write(ArraySlide(stack), tmp_path / "all.zarr", WriteOptions(levels="source")).path)
    monkeypatch.setattr(omezarr, "_SHARD", 512)
    monkeypatch.setattr(omezarr, "_BLOCKS", 10)
    monkeypatch.setattr(omezarr, "_SAMPLES", 20_000)
    read, taken = omezarr._Output._read, []

    def counted(output: omezarr._Output, task: omezarr._Task) -> NDArray[Any]:
        taken.append(task.box)
        return read(output, task)

    monkeypatch.setattr(omezarr._Output, "_read", counted)
    few = told(write(ArraySlide(stack), tmp_path / "few.zarr", WriteOptions(levels="source")).path)
    assert len(taken) <= 10
    assert max(box.width * box.height for box in taken) <= 512 * 512
    wanted, found = (each["ome"]["omero"]["channels"][0]["window"] for each in (one, few))
    assert found["start"] == pytest.approx(wanted["start"], abs=0.1 * wanted["end"])
    assert found["end"] == pytest.approx(wanted["end"], rel=0.1)
