"""Volumes in files: every number comes back, lazily, from each format; damaged files are named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray
from ome_zarr_models.v05 import Image, ImageLabel, Labels

from made_lightsheet import SHAPE, pixels, stack_path, write_raw
from planish.errors import (
    Cancelled,
    OptionError,
    OutputExists,
    PlanishError,
    SlideError,
    SlideNotFound,
    UnsupportedSlide,
)
from planish.lightsheet import zarrcodecs
from planish.lightsheet.volume import COMPRESSORS, Compressor, VolumeOptions, open_volume, write_volume

VOXEL = (2.5, 0.40625, 0.40625)
OPTIONS = VolumeOptions(VOXEL, jobs=2)
ENDINGS = ("zarr", "klb", "tif", "ome.tif")


def volume(dtype: Any = np.uint16, shape: tuple[int, ...] = (23, 70, 150)) -> NDArray[Any]:
    smooth = np.add.outer(np.arange(shape[0]) * 7, np.add.outer(np.arange(shape[1]), np.arange(shape[2])))
    noise = np.random.default_rng(1).integers(0, 50, shape)
    return (smooth % 200 + noise).astype(dtype)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f4", "f8", ">u2", "?"])
def test_every_number_and_the_voxel_size_come_back(tmp_path: Path, ending: str, dtype: str) -> None:
    original = volume(dtype)
    path = write_volume(tmp_path / f"a.{ending}", original, OPTIONS)
    with open_volume(path) as back:
        assert back.shape == original.shape
        assert back.dtype == (np.uint8 if dtype == "?" else np.dtype(dtype).newbyteorder("="))
        assert np.array_equal(back, original)
        assert back.voxel_um == pytest.approx(VOXEL)
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "key",
    [
        3,
        -1,
        (2, slice(5, 9)),
        (..., 7),
        (slice(None, None, -1), 0, 0),
        (slice(1, 20, 6), slice(None, None, 3), slice(100, 3, -2)),
        (slice(20, None, -7), ..., slice(1, 2)),
        slice(5, 5),
        (np.int64(4), np.uint8(3), 2),
        ...,
    ],
)
def test_parts_are_those_that_numpy_gives(tmp_path: Path, ending: str, key: Any) -> None:
    original = volume()
    with open_volume(write_volume(tmp_path / f"a.{ending}", original, OPTIONS)) as back:
        assert np.array_equal(back[key], original[key])
        assert np.shape(back[key]) == np.shape(original[key])


@pytest.mark.parametrize("key", [23, (0, 0, 0, 0), (..., ...), [1, 2], None, 1.5, "a"])
def test_other_keys_are_refused(tmp_path: Path, key: Any) -> None:
    with open_volume(write_volume(tmp_path / "a.zarr", volume(), OPTIONS)) as back, pytest.raises(IndexError):
        back[key]


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_all_compressors_of_zarr_are_without_loss(
    tmp_path: Path, compressor: Compressor, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fast:
        monkeypatch.setattr(zarrcodecs, "_has_zarrs", lambda: False)
    original = volume()
    for options in (OPTIONS, replace(OPTIONS, sharded=False, chunk="plane"), replace(OPTIONS, chunk="plane", level=3)):
        path = write_volume(tmp_path / "a.zarr", original, replace(options, compressor=compressor, overwrite=True))
        with open_volume(path) as back:
            assert np.array_equal(back, original)


def test_a_sharded_zarr_is_valid_and_of_few_files(tmp_path: Path) -> None:
    original = volume(shape=(200, 150, 140))
    path = write_volume(tmp_path / "a.zarr", original, OPTIONS)
    files = [each for each in path.rglob("*") if each.is_file()]
    assert len(files) == 22
    image = Image.from_zarr(zarr.open_group(str(path), mode="r"))
    assert image.ome_attributes.version == "0.5"
    array = zarr.open_group(str(path), mode="r")["0"]
    assert isinstance(array, zarr.Array)
    assert array.chunks == (10, 128, 128)
    assert array.shards == (10, 256, 256)
    assert np.array_equal(np.asarray(array), original)
    told = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
    assert [axis["unit"] for axis in told["axes"]] == ["micrometer"] * 3
    assert told["datasets"][0]["coordinateTransformations"][0]["scale"] == list(VOXEL)


def test_without_shards_each_chunk_is_a_file(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "a.zarr", volume(), replace(OPTIONS, sharded=False))
    assert len([each for each in (path / "0" / "c").rglob("*") if each.is_file()]) == 3 * 1 * 2


def test_chunks_deeper_than_the_slabs_are_written_once(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "a.zarr", volume(), replace(OPTIONS, chunk=(16, 64, 64)))
    assert len([each for each in (path / "0" / "c").rglob("*") if each.is_file()]) == 2
    with open_volume(path) as back:
        assert np.array_equal(back, volume())


def test_a_pyramid_is_of_means_and_that_of_labels_of_single_pixels(tmp_path: Path) -> None:
    original = volume(shape=(23, 301, 600))
    mask = original > 120
    options = replace(OPTIONS, pyramid=True, labels={"mask": mask})
    path = write_volume(tmp_path / "a.zarr", original, options)
    group = zarr.open_group(str(path), mode="r")
    assert isinstance(Image.from_zarr(group).labels, Labels)
    label = group["labels/mask"]
    assert isinstance(label, zarr.Group)
    assert ImageLabel.from_zarr(label).ome_attributes.image_label is not None
    levels = [np.asarray(group[f"{level}"]) for level in range(3)]
    assert [level.shape for level in levels] == [(23, 301, 600), (23, 151, 300), (23, 76, 150)]
    wanted = original[:, :300].reshape(23, 150, 2, 300, 2).mean((2, 4))
    assert np.abs(levels[1][:, :150] - wanted).max() <= 0.5
    assert np.array_equal(np.asarray(label["0"]), mask)
    assert np.array_equal(np.asarray(label["2"]), mask[:, ::4, ::4])
    place = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]["datasets"][1]
    assert place["coordinateTransformations"][1]["translation"] == [0, VOXEL[1] / 2, VOXEL[2] / 2]


@pytest.mark.parametrize("ending", ["klb", "ome.tif"])
def test_labels_of_other_formats_are_files_beside(tmp_path: Path, ending: str) -> None:
    original = volume()
    write_volume(tmp_path / f"a.{ending}", original, replace(OPTIONS, labels={"mask": original > 100}))
    with open_volume(tmp_path / f"a.mask.{ending}") as mask:
        assert np.array_equal(mask, original > 100)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_zarrs_of_others_are_read_with_axes_of_size_one_and_units(tmp_path: Path, version: str) -> None:
    original = volume()
    group = zarr.open_group(str(tmp_path / "o.zarr"), mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array("s0", shape=(1, 1, *original.shape), dtype="u2", chunks=(1, 1, 5, 64, 64))[...] = original[
        None, None
    ]
    units = {"z": "nanometer", "y": "micrometer", "x": "micrometer"}
    axes = [{"name": name, "type": "space"} | ({"unit": units[name]} if name in units else {}) for name in "tczyx"]
    scale = [{"type": "scale", "scale": [1, 1, 1250, 0.5, 0.5]}]
    whole = [{"type": "scale", "scale": [1, 1, 2, 1, 1]}]
    told: Any = [{"axes": axes, "datasets": [{"path": "s0", "coordinateTransformations": scale}],
             "coordinateTransformations": whole}]  # fmt: skip
    group.attrs.update({"multiscales": told} if version == "0.4" else {"ome": {"version": "0.5", "multiscales": told}})
    with open_volume(tmp_path / "o.zarr") as back:
        assert np.array_equal(back, original)
        assert back.voxel_um == (2.5, 0.5, 0.5)


def test_a_raw_file_is_opened_by_its_xml_or_by_width_and_height(tmp_path: Path) -> None:
    path = stack_path(write_raw(tmp_path), 0, 1)
    with open_volume(path) as opened:
        assert np.array_equal(opened, pixels(0, 1))
        assert opened.voxel_um == VOXEL
        assert np.shares_memory(opened[2:4], opened[3])
    (tmp_path / "ch0.xml").unlink()
    with pytest.raises(SlideError, match=r"no XML beside it .* give width and height"):
        open_volume(path)
    with open_volume(path, SHAPE[2], SHAPE[1]) as opened:
        assert np.array_equal(opened, pixels(0, 1))
        assert opened.voxel_um is None


def test_an_uncompressed_tiff_is_mapped_and_a_deflated_one_is_not(tmp_path: Path) -> None:
    plain = write_volume(tmp_path / "a.tif", volume(), replace(OPTIONS, compressor="none"))
    deflated = write_volume(tmp_path / "b.tif", volume(), OPTIONS)
    assert deflated.stat().st_size < plain.stat().st_size
    for path in (plain, deflated):
        assert tifffile.imread(path).shape == (23, 70, 150)
        with open_volume(path) as back:
            assert isinstance(back._pixels, np.memmap) == (path == plain)


def test_the_real_tiff_and_the_real_klb_hold_the_same(data: Any) -> None:
    with open_volume(data("lightsheet/img.tif")) as tif, open_volume(data("lightsheet/img.klb")) as klb:
        assert tif.shape == klb.shape
        assert np.array_equal(tif, klb)


@pytest.mark.parametrize("compressor", ["none", "gzip"])
@pytest.mark.parametrize("share", [0.0001, 0.2, 0.5, 0.9, 0.999])
def test_a_truncated_tiff_is_refused(tmp_path: Path, compressor: Compressor, share: float) -> None:
    path = write_volume(tmp_path / "a.tif", volume(), replace(OPTIONS, compressor=compressor))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(SlideError, match=r"a\.tif: .*(cut short|damaged)"), open_volume(path) as back:
        np.asarray(back)


def test_a_plain_tiff_that_breaks_off_between_pages_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        for plane in volume():
            tif.write(plane, metadata=None, contiguous=False)
    with open_volume(path) as back:
        assert np.array_equal(back, volume())
    path.write_bytes(path.read_bytes()[: 10 * (70 * 150 * 2 + 300)])
    with pytest.raises(SlideError, match="cut short"):
        open_volume(path)


def test_a_damaged_zarr_is_refused(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "a.zarr", volume(), OPTIONS)
    shard = path / "0" / "c" / "1" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-20])
    with open_volume(path) as back:
        assert np.array_equal(back[:10], volume()[:10])
        with pytest.raises(SlideError, match=r"a\.zarr: planes 10 to 19 cannot be read"):
            back[10:20]
    (path / "0" / "zarr.json").write_text("{")
    with pytest.raises(SlideError, match=r"a\.zarr: not a readable OME-Zarr"):
        open_volume(path)


@pytest.mark.parametrize("fast", [True, False])
def test_a_missing_shard_is_refused_and_not_read_as_zeros(
    tmp_path: Path, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fast:
        monkeypatch.setattr(zarrcodecs, "_has_zarrs", lambda: False)
    half = volume()
    half[:10] = 0
    path = write_volume(tmp_path / "a.zarr", half, replace(OPTIONS, labels={"mask": np.zeros_like(half)}))
    with open_volume(path) as back, open_volume(path / "labels" / "mask") as mask:
        assert np.array_equal(back, half)
        assert not np.any(mask)
    (path / "0" / "c" / "1" / "0" / "0").unlink()
    with pytest.raises(SlideError, match=r"a\.zarr/0: has 1 of 2 files of pixels"):
        open_volume(path)


def test_what_is_no_volume_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2")
    (tmp_path / "folder").mkdir()
    for name in ("a.csv", "folder"):
        with pytest.raises(UnsupportedSlide, match=r"name a \.stack, \.klb or \.tif file, or a \.zarr folder"):
            open_volume(tmp_path / name)
    with pytest.raises(SlideNotFound, match="no such file"):
        open_volume(tmp_path / "none.tif")
    tifffile.imwrite(tmp_path / "4d.tif", np.zeros((2, 3, 8, 8), np.uint16), photometric="minisblack")
    with pytest.raises(SlideError, match="not one volume"):
        open_volume(tmp_path / "4d.tif")
    group = zarr.open_group(str(tmp_path / "g.zarr"), mode="w")
    with pytest.raises(SlideError, match="tells of no image"):
        open_volume(tmp_path / "g.zarr")
    group.create_array("a", shape=(2, 3, 4, 5), dtype="u1")
    with pytest.raises(SlideError, match="not one volume"):
        open_volume(tmp_path / "g.zarr" / "a")


def test_what_cannot_be_written_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"written as \.zarr, \.klb or \.tif"):
        write_volume(tmp_path / "a.png", volume(), OPTIONS)
    with pytest.raises(OptionError, match="a volume is"):
        write_volume(tmp_path / "a.zarr", volume()[0], OPTIONS)
    with pytest.raises(OptionError, match="a volume is"):
        write_volume(tmp_path / "a.zarr", volume(np.complex64), OPTIONS)
    with pytest.raises(OptionError, match="labels are whole numbers"):
        write_volume(tmp_path / "a.zarr", volume(), replace(OPTIONS, labels={"mask": volume(np.float32)}))
    with pytest.raises(OptionError, match="label name"):
        write_volume(tmp_path / "a.zarr", volume(), replace(OPTIONS, labels={"../mask": volume()}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong", [{"compressor": "lzw"}, {"jobs": 0}, {"chunk": (1, 2)}, {"chunk": (0, 1, 1)}, {"voxel_um": (1, 0, 1)}]
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        VolumeOptions(**wrong)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_output_is_replaced_only_when_asked_for(tmp_path: Path, ending: str) -> None:
    path = write_volume(tmp_path / f"a.{ending}", volume(), OPTIONS)
    with pytest.raises(OutputExists, match="already exists"):
        write_volume(path, volume(), OPTIONS)
    write_volume(path, volume() + 1, replace(OPTIONS, overwrite=True))
    with open_volume(path) as back:
        assert np.array_equal(back, volume() + 1)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", ["zarr", "tif"])
def test_writing_tells_its_progress_and_can_be_cancelled(tmp_path: Path, ending: str) -> None:
    told: list[tuple[int, int]] = []
    write_volume(tmp_path / f"a.{ending}", volume(), OPTIONS, lambda stage, done, total: told.append((done, total)))
    assert told[-1] == (23, 23)

    def stop(stage: str, done: int, total: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        write_volume(tmp_path / f"b.{ending}", volume(), OPTIONS, stop)
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{ending}"]


def test_a_volume_is_written_from_another_by_slabs(tmp_path: Path) -> None:
    with open_volume(write_volume(tmp_path / "a.tif", volume(), OPTIONS)) as first:
        for ending in ENDINGS:
            with open_volume(write_volume(tmp_path / f"b.{ending}", first, OPTIONS)) as second:
                assert np.array_equal(second, volume())


def test_a_closed_volume_says_so(tmp_path: Path) -> None:
    opened = open_volume(write_volume(tmp_path / "a.zarr", volume(), OPTIONS))
    opened.close()
    opened.close()
    with pytest.raises(PlanishError, match="was closed"):
        opened[0]
