"""Light-sheet steps with bad input and with gaps: a clear line, or the step done for what is there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from lightsheets import FUSED, OPTIONS, STEM, corrected, sheet, write_raw
from planish.lightsheet.dataset import open_dataset
from planish.lightsheet.phantom import TwoCameraPhantom

Say = pytest.CaptureFixture[str]
RAW = "SPC00_TM{:05d}_ANG000_CM{}_CHN00_PH0.stack"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return corrected volumes of two time points; none may change them."""
    return corrected(tmp_path_factory.mktemp("data"), times=(0, 1))


def correct(root: Path, *more: object) -> int:
    return sheet("correct", root / "raw", root / "out", "--no-diagnostics", *more)


def test_without_dark_frames_the_background_is_estimated_and_that_is_said(tmp_path: Path, capsys: Say) -> None:
    write_raw(tmp_path / "raw", (0,))
    for path in (tmp_path / "raw").glob("Background_*.tif"):
        path.unlink()
    assert correct(tmp_path) == 0
    assert "no Background_*.tif; the background is estimated from the volumes" in capsys.readouterr().out
    record = json.loads((tmp_path / "out/correct.record.json").read_text())
    assert all(95 < level < 102 for level in record["output"]["backgrounds"].values())


def test_one_dark_frame_of_two_belongs_to_nobody(tmp_path: Path, capsys: Say) -> None:
    write_raw(tmp_path / "raw", (0,))
    (tmp_path / "raw/Background_1.tif").unlink()
    assert correct(tmp_path) == 0
    assert "1 Background_*.tif for 2 cameras" in capsys.readouterr().out


def test_a_dark_frame_of_another_size_is_one_clear_line(tmp_path: Path, capsys: Say) -> None:
    write_raw(tmp_path / "raw", (0,))
    tifffile.imwrite(tmp_path / "raw/Background_1.tif", np.zeros((64, 80), np.uint16))
    assert correct(tmp_path) == 1
    said = capsys.readouterr().out
    assert "planes of 96 × 96 px, but its camera's dark frame has 80 × 64" in said
    assert "(1 done, 1 failed)" in said


def test_without_xml_nothing_is_guessed(tmp_path: Path, capsys: Say) -> None:
    write_raw(tmp_path / "raw", (0,))
    (tmp_path / "raw/ch0.xml").unlink()
    assert correct(tmp_path) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no XML" in said
    assert not (tmp_path / "out").exists()
    assert correct(tmp_path, "--size", "96,96", "--voxel", "1,0.4,0.4") == 0
    assert open_dataset(tmp_path / "out").metadata["voxel_um"] == (1, 0.4, 0.4)


def test_a_stack_that_fits_no_depth_is_named_and_the_others_are_done(tmp_path: Path, capsys: Say) -> None:
    raw = write_raw(tmp_path / "raw", (0, 1))
    cut = raw / RAW.format(1, 1)
    cut.write_bytes(cut.read_bytes()[:-1000])
    assert correct(tmp_path) == 0
    said = capsys.readouterr().out
    assert f"{cut}: " in said
    assert "planes of 96 × 96 uint16 px; the file is cut short" in said
    assert "no volume of camera 1, channel 0 at time points 1" in said
    assert "(3 done)" in said
    assert sheet("fuse", tmp_path / "out", tmp_path / "fused", "--no-diagnostics") == 0
    said = capsys.readouterr().out
    assert "no volume of camera 1, channel 0 at time points 1" in said
    assert "(1 done)" in said


def test_an_empty_folder_and_one_that_is_not_there_are_told_apart(tmp_path: Path, capsys: Say) -> None:
    (tmp_path / "raw").mkdir()
    assert correct(tmp_path) == 1
    assert "holds no volumes" in capsys.readouterr().err
    assert sheet("correct", tmp_path / "none", tmp_path / "out") == 1
    assert "no such folder" in capsys.readouterr().err
    assert sheet("estimate", tmp_path / "none", tmp_path / "t.csv") == 1
    assert "no such folder" in capsys.readouterr().err


def test_one_camera_is_corrected_but_not_fused(tmp_path: Path, capsys: Say) -> None:
    write_raw(tmp_path / "raw", (0,))
    (tmp_path / "raw" / RAW.format(0, 1)).unlink()
    assert correct(tmp_path) == 0
    record = json.loads((tmp_path / "out/correct.record.json").read_text())
    assert record["output"]["backgrounds"][STEM.format(0, 0)] == pytest.approx(97, abs=1)
    capsys.readouterr()
    assert sheet("fuse", tmp_path / "out", tmp_path / "fused") == 1
    assert "nothing to fuse: there are cameras 0" in capsys.readouterr().err
    assert not (tmp_path / "fused").exists()


def test_cameras_of_different_size_are_named_and_crop_mends_it(tmp_path: Path, capsys: Say) -> None:
    write_raw(tmp_path / "raw", (0,))
    assert correct(tmp_path, "--crop", "1=0,24,0,96,8,96") == 0
    capsys.readouterr()
    assert sheet("estimate", tmp_path / "out", tmp_path / "t.csv") == 1
    said = capsys.readouterr().out
    assert "the views are (24, 96, 96) and (24, 96, 88) (Z, Y, X); crop them to one size" in said
    assert not (tmp_path / "t.csv").exists()
    assert sheet("fuse", tmp_path / "out", tmp_path / "fused") == 1
    assert "the views are (24, 96, 96) and (24, 96, 88)" in capsys.readouterr().out
    # The second camera is mirrored, so that its left is the first one's right.
    crops = ["--crop", "0=0,24,0,96,0,88", "--crop", "1=0,24,0,96,8,96", "--overwrite"]
    assert correct(tmp_path, *crops) == 0
    assert sheet("estimate", tmp_path / "out", tmp_path / "t.csv") == 0


def test_a_crop_beyond_the_volume_is_named_for_that_camera(tmp_path: Path, capsys: Say) -> None:
    write_raw(tmp_path / "raw", (0,))
    assert correct(tmp_path, "--crop", "0=0,24,0,96,0,97") == 1
    said = capsys.readouterr().out
    assert f"failed    {STEM.format(0, 0)}" in said
    assert "goes beyond the volume" in said


def test_a_truncated_klb_fails_its_time_point_only(tmp_path: Path, capsys: Say) -> None:
    folder = corrected(tmp_path, "--format", "klb", times=(0, 1))
    cut = folder / "SPM00/TM000001" / f"{STEM.format(1, 0)}.klb"
    cut.write_bytes(cut.read_bytes()[:-5000])
    assert sheet("estimate", folder, tmp_path / "t.csv", "--json") == 1
    said = capsys.readouterr()
    assert f"{cut}" in said.err
    assert json.loads(said.out)["output"]["done"] == 1
    assert list(json.loads(said.out)["output"]["failed"]) == [FUSED.format(1)]
    assert sheet("fuse", folder, tmp_path / "fused", "--table", tmp_path / "t.csv", "--format", "klb") == 1
    said = capsys.readouterr()
    assert "(1 done, 1 failed)" in said.out
    assert (tmp_path / "fused/SPM00/TM000000" / f"{FUSED.format(0)}.klb").exists()


def test_views_that_show_nothing_in_common_fail_their_time_point_only(tmp_path: Path, capsys: Say) -> None:
    write_raw(tmp_path / "raw", (0, 1))
    other = TwoCameraPhantom(replace(OPTIONS, seed=99)).camera(1)
    other.astype("<u2").tofile(tmp_path / "raw" / RAW.format(1, 1))
    assert correct(tmp_path, "--quiet") == 0
    assert sheet("estimate", tmp_path / "out", tmp_path / "t.csv", "--no-diagnostics", "--min-score", "0.6") == 1
    said = capsys.readouterr().out
    assert f"failed    {FUSED.format(1)}: the two cameras show nothing in common" in said
    assert "(1 done, 1 failed)" in said


def test_a_table_without_a_time_point_fails_that_one(data: Path, tmp_path: Path, capsys: Say) -> None:
    assert sheet("estimate", data, tmp_path / "t.csv", "--times=0:1", "--quiet") == 0
    fuse = ["fuse", data, tmp_path / "fused", "--table", tmp_path / "t.csv", "--no-diagnostics"]
    assert sheet(*fuse) == 1
    said = capsys.readouterr().out
    assert "the table has no row for specimen 0, time 1, cameras 0 and 1, channel 0" in said
    assert (tmp_path / "fused/SPM00/TM000000" / f"{FUSED.format(0)}.zarr").exists()
    # With the row that was missing, it goes on from there; with another row for what is done, it does not.
    assert sheet("estimate", data, tmp_path / "t.csv", "--quiet") == 0
    assert sheet(*fuse) == 0
    assert "(1 done, 1 there already)" in capsys.readouterr().out
    assert sheet("smooth", tmp_path / "t.csv", tmp_path / "s.csv", "--static", "--quiet", "--no-diagnostics") == 0
    assert sheet("fuse", data, tmp_path / "fused", "--table", tmp_path / "s.csv") == 2
    assert "other settings (table)" in capsys.readouterr().err


def test_where_the_second_camera_sees_nothing_the_first_counts_alone(data: Path, tmp_path: Path) -> None:
    assert sheet("fuse", data, tmp_path / "fused", "--times=0:1", "--blend", "average", "--no-diagnostics") == 0
    first, fused = np.asarray(open_dataset(data)[0, :, 0]), np.asarray(open_dataset(tmp_path / "fused")[:, 0])
    # The second camera is shifted by 5.3 px, and the dimmer one is brought up.
    assert (fused[..., -4:] == first[..., -4:]).all()
    assert (fused[..., 40] != first[..., 40]).any()


def test_a_missing_table_is_one_clear_line(data: Path, tmp_path: Path, capsys: Say) -> None:
    assert sheet("fuse", data, tmp_path / "fused", "--table", tmp_path / "none.csv") == 1
    assert "none.csv: no such file" in capsys.readouterr().err
    assert not (tmp_path / "fused").exists()


def test_a_table_with_an_empty_cell_says_what_to_do(data: Path, tmp_path: Path, capsys: Say) -> None:
    (tmp_path / "t.csv").write_text("specimen,time,first_camera,second_camera,channel,dx,dy\n0,0,0,1,0,1.5,2\n")
    fuse = ["fuse", data, tmp_path / "fused", "--table", tmp_path / "t.csv", "--times=0:1"]
    assert sheet(*fuse) == 1
    assert "the table has no dx, dy, angle_deg and gain for specimen 0, time 0" in capsys.readouterr().out


def test_outputs_do_not_go_among_the_sources(tmp_path: Path, capsys: Say) -> None:
    write_raw(tmp_path / "raw", (0,))
    assert sheet("correct", tmp_path / "raw", tmp_path / "raw") == 1
    assert "lies among" in capsys.readouterr().err


def test_fused_volumes_are_not_fused_again(data: Path, tmp_path: Path, capsys: Say) -> None:
    assert sheet("fuse", data, tmp_path / "fused", "--times=0:1", "--quiet", "--no-diagnostics") == 0
    assert sheet("estimate", tmp_path / "fused", tmp_path / "t.csv") == 1
    assert "holds volumes that are fused already" in capsys.readouterr().err
