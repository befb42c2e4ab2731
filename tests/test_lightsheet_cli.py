"""`planish lightsheet`: the whole path by its commands, what they say, and what they return."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from lightsheets import FUSED, OPTIONS, STEM, TIMES, phantom, psnr, sheet, views, write_raw
from planish.cli import lightsheetparser, main
from planish.lightsheet.blend import METHODS
from planish.lightsheet.dataset import open_dataset
from planish.lightsheet.layout import FORMATS
from planish.lightsheet.mask import MODES
from planish.lightsheet.padding import PADDINGS
from planish.lightsheet.sidecars import PROJECTIONS
from planish.lightsheet.volume import COMPRESSORS

Say = pytest.CaptureFixture[str]
README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which all steps have been run."""
    root = tmp_path_factory.mktemp("steps")
    write_raw(root / "raw")
    quiet = "--quiet"
    assert sheet("correct", root / "raw", root / "corrected", quiet) == 0
    assert sheet("estimate", root / "corrected", root / "table.csv", quiet) == 0
    assert sheet("smooth", root / "table.csv", root / "smooth.csv", quiet) == 0
    assert sheet("fuse", root / "corrected", root / "fused", "--table", root / "smooth.csv", quiet) == 0
    assert sheet("project", root / "fused", root / "projections", quiet) == 0
    return root


def test_the_parser_offers_what_the_library_has() -> None:
    assert lightsheetparser.BLENDS == METHODS
    assert lightsheetparser.COMPRESSORS == COMPRESSORS
    assert tuple(FORMATS) == lightsheetparser.FORMATS
    assert lightsheetparser.MASKS == MODES
    assert lightsheetparser.PADDINGS == PADDINGS
    assert lightsheetparser.PROJECTIONS == PROJECTIONS


def test_corrected_volumes_masks_and_projections_lie_where_the_data_set_finds_them(done: Path) -> None:
    data = open_dataset(done / "corrected")
    assert data.shape == (3, 24, 2, 96, 96)
    assert data.times == TIMES
    assert data.views == ((0, 0), (1, 0))
    assert data.metadata["voxel_um"] == (1.0, 0.40625, 0.40625)
    with data.get_labels(0, 1, "mask") as mask:
        assert 0.05 < np.asarray(mask).mean() < 0.95
    with data.get_labels(3, 0, "meanZ") as middle:
        assert middle.shape == (1, 96, 96)
    assert (data.get_projection(3, 1, "xy") == np.asarray(data[2, :, 1]).max(axis=0)).all()
    assert data.get_projection(0, 0, "xz").shape == (24, 96)
    assert data.get_projection(0, 0, "yz").shape == (96, 24)
    assert (done / "corrected/SPM00/TM000003" / f"{STEM.format(3, 1)}.zarr").is_dir()


def test_the_table_is_estimated_within_a_tenth_of_a_pixel_and_the_gap_is_filled(done: Path) -> None:
    with (done / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["time"]) for row in rows] == list(TIMES)
    for row in rows:
        assert abs(float(row["dx"]) - OPTIONS.dx) < 0.1
        assert abs(float(row["dy"]) - OPTIONS.dy) < 0.1
        assert abs(float(row["angle_deg"]) - OPTIONS.angle_deg) < 0.1
        assert abs(float(row["gain"]) * OPTIONS.gain - 1) < 0.05
        assert 95 < float(row["first_background"]) < 100
    with (done / "smooth.csv").open() as file:
        smooth = list(csv.DictReader(file))
    assert [int(row["time"]) for row in smooth] == [0, 1, 2, 3]
    assert smooth[2]["note"] == "interpolated"


def test_the_fused_volume_is_better_than_each_camera_in_its_outer_third(done: Path) -> None:
    truth, seen = phantom().truth, views(done / "corrected")
    fused = np.asarray(open_dataset(done / "fused")[0, :, 0], np.float64)
    for camera, third in ((1, slice(0, 8)), (0, slice(16, 24))):
        assert psnr(fused[third], truth[third]) > psnr(seen[camera][third], truth[third]) + 4


def test_the_fused_data_set_has_its_projections_and_its_gap(done: Path) -> None:
    data = open_dataset(done / "fused")
    assert data.shape == (3, 24, 1, 96, 96)
    assert "time points 2" in data.gaps[0]
    assert (data.get_projection(1, 0, "xy") == np.asarray(data[1, :, 0]).max(axis=0)).all()
    found = {path.name for path in (done / "projections").glob("*TM000001*")}
    assert found == {f"{FUSED.format(1)}.{kind}Projection.tif" for kind in PROJECTIONS}


def test_records_say_what_was_done_with_which_settings(done: Path) -> None:
    record = json.loads((done / "corrected/correct.record.json").read_text())
    assert record["command"] == "lightsheet correct"
    assert record["arguments"]["mask"]["level"] == 0.4
    assert record["source"]["dark_frames"] == 2
    assert record["output"]["done"] == 6
    assert set(record["output"]["bad_pixels"]) == {STEM.format(time, camera) for time in TIMES for camera in (0, 1)}
    assert record["peak_memory_mib"] is None or record["peak_memory_mib"] > 10
    fused = json.loads((done / "fused/fuse.record.json").read_text())
    assert fused["arguments"]["camera"]["method"] == "focus"
    assert [row["time"] for row in fused["arguments"]["table"].values()] == [0, 1, 2, 3]


def test_what_is_there_is_skipped_and_made_anew_only_where_asked(done: Path, capsys: Say) -> None:
    path = done / "corrected/SPM00/projections" / f"{STEM.format(0, 0)}.xyProjection.tif"
    before = path.stat().st_mtime_ns
    assert sheet("correct", done / "raw", done / "corrected") == 0
    assert "(0 done, 6 there already)" in capsys.readouterr().out
    assert path.stat().st_mtime_ns == before
    assert sheet("estimate", done / "corrected", done / "table.csv") == 0
    assert "(0 done, 3 there already)" in capsys.readouterr().out
    assert sheet("fuse", done / "corrected", done / "fused", "--table", done / "smooth.csv") == 0
    assert "(0 done, 3 there already)" in capsys.readouterr().out
    assert sheet("project", done / "fused", done / "projections", "--overwrite") == 0
    assert "(3 done)" in capsys.readouterr().out
    assert json.loads((done / "corrected/correct.record.json").read_text())["output"]["backgrounds"]


def test_other_settings_are_refused_where_outputs_are_there(done: Path, capsys: Say) -> None:
    assert sheet("correct", done / "raw", done / "corrected", "--mask-level", "0.6") == 2
    said = capsys.readouterr().err
    assert "other settings (mask)" in said
    assert "--overwrite" in said
    assert sheet("fuse", done / "corrected", done / "fused", "--table", done / "smooth.csv", "--range", "2") == 2
    assert "other settings (camera)" in capsys.readouterr().err


def test_a_smoothed_table_replaces_none_unasked(done: Path, capsys: Say) -> None:
    assert sheet("smooth", done / "table.csv", done / "smooth.csv") == 1
    assert "already exists" in capsys.readouterr().err
    assert sheet("smooth", done / "table.csv", done / "table.csv", "--overwrite") == 1
    assert "is the source itself" in capsys.readouterr().err


def test_json_prints_the_record_alone(done: Path, tmp_path: Path, capsys: Say) -> None:
    assert sheet("smooth", done / "table.csv", tmp_path / "static.csv", "--static", "--json", "--no-diagnostics") == 0
    said = capsys.readouterr()
    record = json.loads(said.out)
    assert record["arguments"]["static"] is True
    assert record["output"]["gaps"]
    assert not (tmp_path / "static.png").exists()
    with (tmp_path / "static.csv").open() as file:
        assert len({row["dx"] for row in csv.DictReader(file)}) == 1


def test_a_summary_names_the_gap_and_quiet_says_nothing(done: Path, tmp_path: Path, capsys: Say) -> None:
    assert sheet("estimate", done / "corrected", tmp_path / "t.csv", "--times=0:2") == 0
    said = capsys.readouterr()
    assert f"table     {tmp_path / 't.csv'} (2 done)" in said.out
    assert "gap       specimen 0: no files of time points 2" in said.out
    assert "planish: estimate" in said.err
    assert sheet("estimate", done / "corrected", tmp_path / "q.csv", "--times=0:1", "--quiet") == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_fuse_without_a_table_estimates_and_says_so(done: Path, tmp_path: Path, capsys: Say) -> None:
    assert sheet("fuse", done / "corrected", tmp_path / "fused", "--times=1:2", "--no-diagnostics") == 0
    said = capsys.readouterr()
    assert "the parameters are estimated first" in said.err
    assert "(1 done)" in said.out
    with (tmp_path / "fused/parameters.csv").open() as file:
        assert [row["time"] for row in csv.DictReader(file)] == ["1"]


def test_info_tells_what_a_data_set_and_a_volume_hold(done: Path, capsys: Say) -> None:
    assert sheet("info", done / "raw") == 0
    said = capsys.readouterr().out
    assert "camera 1, channel 0" in said
    assert "6 of 24 × 96 × 96 uint16" in said
    assert "no files of time points 2" in said
    assert sheet("info", done / "raw", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["times"] == list(TIMES)
    assert facts["acquisitions"][0]["objective"] == "SpecialOptics 16x/0.70"
    assert sheet("info", done / "fused/SPM00/TM000000" / f"{FUSED.format(0)}.zarr") == 0
    assert "24, 96, 96" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("correct", "IN", "OUT", "--crop", "1,2,3"),
        ("correct", "IN", "OUT", "--crop", "0=0,5,9,3,0,9"),
        ("correct", "IN", "OUT", "--pair", "0,0"),
        ("correct", "IN", "OUT", "--pair", "zero"),
        ("correct", "IN", "OUT", "--jobs", "0"),
        ("correct", "IN", "OUT", "--mask", "none", "--apply-mask"),
        ("correct", "IN", "OUT", "--format", "png"),
        ("fuse", "IN", "OUT", "--blend", "best"),
        ("fuse", "IN", "OUT", "--range", "-3"),
        ("estimate", "IN", "OUT.txt"),
        ("smooth", "IN", "OUT.csv", "--window", "2"),
        ("convert", "IN", "OUT.zarr", "--chunk", "0"),
        ("convert", "IN", "OUT.zarr", "--voxel", "1,2"),
        (),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(
    arguments: tuple[str, ...], tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_raw(tmp_path / "IN", (0,))
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    assert sheet(*arguments) == 2
    said = capsys.readouterr().err
    assert said
    assert "Traceback" not in said
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("library", ["zarr", "pywt"])
def test_a_library_that_is_missing_is_named_with_its_extra(
    library: str, done: Path, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("planish.lightsheet.") or name == library]:
        if name.endswith((".zarrvolume", ".zarrlevels", ".zarrcodecs", ".wavelet")) or name == library:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    if library == "zarr":
        code = sheet("correct", done / "raw", tmp_path / "out", "--quiet", "--no-diagnostics")
    else:
        code = sheet("fuse", done / "corrected", tmp_path / "out", "--table", done / "table.csv", "--blend", "wavelet")
    assert code == 1
    assert f"{library} is missing; install it with pip install 'planish[lightsheet]'" in capsys.readouterr().err


@pytest.mark.parametrize("step", ["", "info", "correct", "estimate", "smooth", "fuse", "project", "convert"])
def test_the_help_is_what_the_docs_say(step: str, capsys: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    page = " ".join((README.parent / "docs" / "cli.md").read_text(encoding="utf-8").split())
    with pytest.raises(SystemExit):
        main(["lightsheet", *([step] if step else []), "--help"])
    assert " ".join(capsys.readouterr().out.split()) in page, "docs/cli.md lags behind: run scripts/docs"
