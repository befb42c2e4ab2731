"""A light-sheet step that goes on with what is there: never mixed with other settings, data or cameras."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from lightsheets import corrected, sheet, write_raw
from planish.errors import WriteError
from planish.lightsheet import correct, zarrvolume
from planish.lightsheet.volume import VolumeOptions, write_volume

Say = pytest.CaptureFixture[str]
QUIET = ("--quiet", "--no-diagnostics")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "raw"
    write_raw(folder, (0,))
    return folder


def test_a_run_that_was_stopped_is_not_gone_on_with_in_another_way(
    raw: Path, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(correct._Correct, "do", stop)
        assert sheet("correct", raw, tmp_path / "out", *QUIET) == 130
    assert sheet("correct", raw, tmp_path / "out", "--no-flip-x", *QUIET) == 2
    assert "other settings" in capsys.readouterr().err
    assert sheet("correct", raw, tmp_path / "out", *QUIET) == 0


def test_another_source_is_not_taken_for_done(raw: Path, tmp_path: Path, capsys: Say) -> None:
    assert sheet("correct", raw, tmp_path / "out", *QUIET) == 0
    other = tmp_path / "other"
    write_raw(other, (0,))
    assert sheet("correct", other, tmp_path / "out", *QUIET) == 2
    assert "source" in capsys.readouterr().err


def test_a_table_of_other_cameras_is_not_used(tmp_path: Path, capsys: Say) -> None:
    data, table = corrected(tmp_path, times=(0,)), tmp_path / "table.csv"
    assert sheet("estimate", data, table, *QUIET) == 0
    head, row = table.read_text().splitlines()
    table.write_text(f"{head}\n{row.replace('0,0,0,1,0', '0,0,0,3,0', 1)}\n")
    assert sheet("fuse", data, tmp_path / "fused", "--table", table, *QUIET) == 1
    assert "no row for specimen 0, time 0, cameras 0 and 1" in capsys.readouterr().err


def test_a_zarr_that_is_not_planishs_is_never_replaced(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "plate.zarr", mode="w", attributes={"ome": {"plate": {}}})
    with pytest.raises(WriteError, match="not of the kind"):
        write_volume(tmp_path / "plate.zarr", np.zeros((2, 8, 8), np.uint16), VolumeOptions(overwrite=True))


def test_a_full_disk_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise RuntimeError("No space left on device (os error 28)")

    monkeypatch.setattr(zarrvolume, "_write_image", lambda *arguments, **options: full())
    with pytest.raises(WriteError, match="No space left"):
        write_volume(tmp_path / "a.zarr", np.zeros((2, 8, 8), np.uint16))
    assert not list(tmp_path.iterdir())


def test_a_damaged_mask_is_not_left_out(tmp_path: Path, capsys: Say) -> None:
    data = corrected(tmp_path, "--format", "klb", times=(0,))
    mask = next(data.rglob("*.mask.klb"))
    mask.write_bytes(mask.read_bytes()[:500])
    assert sheet("convert", data, tmp_path / "zarr", "--format", "zarr", "--quiet") == 1
    assert "mask.klb" in capsys.readouterr().err


def test_what_has_no_partner_is_named(tmp_path: Path, capsys: Say) -> None:
    data = corrected(tmp_path, times=(0, 1))
    shutil.rmtree(next(data.rglob("SPM00_TM000001_CM01_CHN00.zarr")))
    assert sheet("fuse", data, tmp_path / "fused", "--no-diagnostics") == 0
    assert "SPM00_TM000001_CM00_CHN00" in "".join(capsys.readouterr())


def test_fused_volumes_are_not_corrected(tmp_path: Path, capsys: Say) -> None:
    data = corrected(tmp_path, times=(0,))
    assert sheet("fuse", data, tmp_path / "fused", *QUIET) == 0
    capsys.readouterr()
    assert sheet("correct", tmp_path / "fused", tmp_path / "again", *QUIET) == 1
    assert "fused already" in capsys.readouterr().err
