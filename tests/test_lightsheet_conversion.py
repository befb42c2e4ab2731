"""Light-sheet volumes from format to format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from lightsheets import STEM, corrected, sheet
from planish.errors import OptionError
from planish.lightsheet.conversion import ConvertVolumesOptions, convert_volumes
from planish.lightsheet.dataset import open_dataset
from planish.lightsheet.sidecars import Sidecars
from planish.lightsheet.volume import COMPRESSORS, VolumeOptions, open_volume, write_volume

Say = pytest.CaptureFixture[str]


@pytest.fixture
def pixels() -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    return np.random.default_rng(3).integers(0, 4000, (12, 40, 50), np.uint16)


@pytest.mark.parametrize("first", ["a.zarr", "a.klb", "a.ome.tif"])
@pytest.mark.parametrize("second", ["b.zarr", "b.klb", "b.ome.tif"])
def test_pixels_voxels_and_masks_survive(
    first: str, second: str, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], tmp_path: Path
) -> None:
    mask = (pixels > 2000).astype(np.uint8)
    write_volume(tmp_path / first, pixels, VolumeOptions(voxel_um=(2.0, 0.5, 0.5), labels={"mask": mask}))
    assert sheet("convert", tmp_path / first, tmp_path / second, "--quiet") == 0
    with open_volume(tmp_path / second) as volume:
        assert (np.asarray(volume) == pixels).all()
        assert volume.voxel_um == pytest.approx((2.0, 0.5, 0.5))
    with Sidecars(tmp_path, tmp_path / second).labels("mask") as found:
        assert (np.asarray(found) == mask).all()


@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_every_compressor_keeps_all(
    compressor: str, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], tmp_path: Path
) -> None:
    write_volume(tmp_path / "a.tif", pixels)
    more = ["--compressor", compressor, "--no-shards", "--chunk", "plane", "--voxel", "3,1,1", "--pyramid"]
    assert sheet("convert", tmp_path / "a.tif", tmp_path / "b.zarr", "--quiet", *more) == 0
    with open_volume(tmp_path / "b.zarr") as volume:
        assert (np.asarray(volume) == pixels).all()
        assert volume.voxel_um == (3.0, 1.0, 1.0)


def test_a_data_set_becomes_one_of_another_format_and_goes_on_where_it_stopped(tmp_path: Path, capsys: Say) -> None:
    folder = corrected(tmp_path, times=(0, 2))
    assert sheet("convert", folder, tmp_path / "klb", "--format", "klb") == 0
    assert "(4 done)" in capsys.readouterr().out
    first, second = open_dataset(folder), open_dataset(tmp_path / "klb")
    assert first.views == second.views
    assert (np.asarray(first) == np.asarray(second)).all()
    with second.get_labels(2, 1, "mask") as mask, first.get_labels(2, 1, "mask") as wanted:
        assert (np.asarray(mask) == np.asarray(wanted)).all()
    (tmp_path / "klb/SPM00/TM000002" / f"{STEM.format(2, 0)}.klb").unlink()
    assert sheet("convert", folder, tmp_path / "klb", "--format", "klb") == 0
    assert "(1 done, 3 there already)" in capsys.readouterr().out


def test_what_is_there_is_replaced_only_where_asked(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], tmp_path: Path, capsys: Say
) -> None:
    write_volume(tmp_path / "a.tif", pixels)
    write_volume(tmp_path / "b.klb", pixels[:3])
    assert sheet("convert", tmp_path / "a.tif", tmp_path / "b.klb", "--quiet") == 1
    assert "already exists" in capsys.readouterr().err
    assert sheet("convert", tmp_path / "a.tif", tmp_path / "b.klb", "--quiet", "--overwrite") == 0
    with open_volume(tmp_path / "b.klb") as volume:
        assert volume.shape == pixels.shape
    assert sheet("convert", tmp_path / "a.tif", tmp_path / "a.tif", "--overwrite") == 1
    assert "is the source itself" in capsys.readouterr().err


def test_the_real_klb_becomes_the_real_tiff(data: Callable[[str], Path], tmp_path: Path) -> None:
    convert_volumes(data("lightsheet/img.klb"), tmp_path / "img.tif")
    assert (tifffile.imread(tmp_path / "img.tif") == tifffile.imread(data("lightsheet/img.tif"))).all()


def test_an_unknown_ending_or_format_is_refused(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], tmp_path: Path, capsys: Say
) -> None:
    write_volume(tmp_path / "a.tif", pixels)
    assert sheet("convert", tmp_path / "a.tif", tmp_path / "b.png") == 2
    assert "written as .zarr, .klb or .tif" in capsys.readouterr().err
    with pytest.raises(OptionError, match="zarr, klb, tif"):
        ConvertVolumesOptions("png")
