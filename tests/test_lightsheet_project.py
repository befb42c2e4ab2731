"""Light-sheet volumes flattened: maxima along the axes, and the focus projection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lightsheets import phantom, sheet, write_raw
from planish import fuse_stack
from planish.errors import OptionError, SlideNotFound
from planish.lightsheet.maxima import maxima
from planish.lightsheet.project import ProjectOptions, project_volumes
from planish.lightsheet.volume import VolumeOptions, open_volume, write_volume


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    return write_volume(tmp_path / "any name.zarr", phantom().view(0), VolumeOptions())


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_maxima_are_numpys(dtype: str) -> None:
    pixels = (np.random.default_rng(1).normal(0, 30, (23, 17, 29))).astype(dtype)
    found = maxima(pixels)
    assert (found.xy == pixels.max(axis=0)).all()
    assert (found.xz == pixels.max(axis=1)).all()
    assert (found.yz == pixels.max(axis=2).T).all()
    assert {found.xy.dtype, found.xz.dtype, found.yz.dtype} == {np.dtype(dtype)}


def test_maxima_tell_how_far_they_are() -> None:
    told: list[tuple[int, int]] = []
    maxima(np.zeros((23, 2, 2)), lambda done, total: told.append((done, total)))
    assert told == [(10, 23), (20, 23), (23, 23)]


def test_the_focus_projection_is_the_slides_fusion(volume: Path, tmp_path: Path) -> None:
    project_volumes(volume, tmp_path / "out", ProjectOptions(kinds=("focus",), method="pick"))
    with open_volume(tmp_path / "out/any name.focusProjection.tif") as found:
        assert (np.asarray(found[0]) == fuse_stack(phantom().view(0), "pick").image).all()
    assert not list((tmp_path / "out").glob("*.xyProjection.tif"))


def test_the_focus_projection_is_sharp_where_the_mean_is_not(tmp_path: Path) -> None:
    truth = phantom().truth
    write_volume(tmp_path / "v.zarr", truth, VolumeOptions())
    assert sheet("project", tmp_path / "v.zarr", tmp_path / "out", "--kind", "focus", "--quiet") == 0
    with open_volume(tmp_path / "out/v.focusProjection.tif") as found:
        image = np.asarray(found[0], np.float64)
    mean = truth.mean(axis=0)
    assert np.diff(image / image.sum()).std() > 2 * np.diff(mean / mean.sum()).std()


def test_raw_data_sets_are_projected_too(tmp_path: Path) -> None:
    write_raw(tmp_path / "raw", (0,))
    assert sheet("project", tmp_path / "raw", tmp_path / "out", "--kind", "xy", "--kind", "yz", "--quiet") == 0
    with open_volume(tmp_path / "out/SPM00_TM000000_CM01_CHN00.xyProjection.tif") as found:
        assert (np.asarray(found[0]) == phantom().camera(1).max(axis=0)).all()
    assert len(list((tmp_path / "out").glob("*.tif"))) == 4


def test_what_is_no_volume_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("no volume")
    assert sheet("project", tmp_path / "a.txt", tmp_path / "out") == 1
    assert "is no volume; name a .stack, .klb or .tif file, or a .zarr folder" in capsys.readouterr().err
    with pytest.raises(SlideNotFound, match="no such file"):
        project_volumes(tmp_path / "none.klb", tmp_path / "out")


def test_unknown_projections_are_refused() -> None:
    with pytest.raises(OptionError, match="projections are xy, xz, yz, focus, not zx"):
        ProjectOptions(kinds=("zx",))
