"""Light-sheet steps in other ways than the plain one: methods, formats, masks, turns, two light sheets."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from lightsheets import STEM, corrected, phantom, psnr, sheet
from planish.errors import OptionError
from planish.lightsheet.blend import METHODS
from planish.lightsheet.dataset import open_dataset
from planish.lightsheet.names import Look
from planish.lightsheet.phantom import PhantomOptions, TwoCameraPhantom
from planish.lightsheet.phantom_options import SecondChannel
from planish.lightsheet.units import find_units
from planish.lightsheet.volume import open_volume

Say = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return corrected volumes of two time points; none may change them."""
    return corrected(tmp_path_factory.mktemp("data"), times=(0, 1))


@pytest.mark.parametrize("method", METHODS)
def test_every_blending_beats_the_far_camera(method: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "fused"
    more = ["--times=0:1", "--blend", method, "--padding", "centre", "--quiet", "--no-diagnostics"]
    assert sheet("fuse", data, out, *more) == 0
    fused, truth = np.asarray(open_dataset(out)[:, 0]), phantom().truth
    first = np.asarray(open_dataset(data)[0, :, 0])
    assert psnr(fused[16:].astype(float), truth[16:]) > psnr(first[16:].astype(float), truth[16:]) + 1


def test_formats_hold_the_same_volumes(data: Path, tmp_path: Path) -> None:
    found = []
    for kind, ending in (("zarr", ".zarr"), ("klb", ".klb"), ("tif", ".ome.tif")):
        out = tmp_path / kind
        correction = ["--format", kind, "--times=0:1", "--quiet", "--no-diagnostics"]
        assert sheet("correct", data.parent / "raw", out, *correction) == 0
        with open_volume(out / "SPM00/TM000000" / f"{STEM.format(0, 1)}{ending}") as volume:
            assert volume.voxel_um == pytest.approx((1.0, 0.40625, 0.40625))
            found.append(np.asarray(volume))
        with open_dataset(out).get_labels(0, 1, "mask") as mask:
            assert mask.shape == found[0].shape
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


def test_applied_masks_leave_zero_outside(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "masked"
    more = ["--apply-mask", "--times=0:1", "--quiet", "--no-diagnostics"]
    assert sheet("correct", data.parent / "raw", out, *more) == 0
    made = open_dataset(out)
    with made.get_labels(0, 0, "mask") as mask:
        outside = ~np.asarray(mask).astype(bool)
    assert outside.any()
    assert not np.asarray(made[:, 0])[outside].any()


def test_masks_alone_are_written_without_volumes(data: Path, tmp_path: Path, capsys: Say) -> None:
    out = tmp_path / "masks"
    more = ["--mask", "masks-only", "--times=0:1", "--no-diagnostics"]
    assert sheet("correct", data.parent / "raw", out, *more) == 0
    assert {path.name for path in out.rglob("*.zarr")} == {f"{STEM.format(0, camera)}.mask.zarr" for camera in (0, 1)}
    capsys.readouterr()
    assert sheet("correct", data.parent / "raw", out, *more) == 0
    assert "2 there already" in capsys.readouterr().out


def test_a_global_mask_is_the_union_over_time(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "global"
    assert sheet("correct", data.parent / "raw", out, "--mask", "global", "--quiet", "--no-diagnostics") == 0
    made, own = open_dataset(out), open_dataset(data)
    masks = [np.asarray(own.get_labels(time, 0, "mask")) for time in (0, 1)]
    for time in (0, 1):
        assert (np.asarray(made.get_labels(time, 0, "mask")) == masks[0] | masks[1]).all()


def test_no_masks_are_written_where_none_are_wanted(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "none"
    more = ["--mask", "none", "--times=0:1", "--quiet", "--no-diagnostics", "--no-bad-pixels"]
    assert sheet("correct", data.parent / "raw", out, *more) == 0
    assert not list(out.rglob("*meanZ*"))
    # What adaptive needs is measured then.
    blending = ["--blend", "adaptive", "--quiet", "--no-diagnostics"]
    assert sheet("fuse", out, tmp_path / "fused", *blending) == 0


def test_rotation_and_flips_apply_to_the_second_camera(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "turned"
    more = ["--rotate", "1", "--no-flip-x", "--flip-y", "--times=0:1", "--quiet", "--no-diagnostics"]
    assert sheet("correct", data.parent / "raw", out, *more) == 0
    plain, turned = (np.asarray(open_dataset(folder)[:, 1] if folder == out else open_dataset(folder)[0, :, 1])
                     for folder in (data, out))  # fmt: skip
    unflipped = plain[..., ::-1]
    assert (turned == np.rot90(unflipped, -1, (1, 2))[:, ::-1]).mean() > 0.999


def test_two_light_sheets_become_one_volume(tmp_path: Path) -> None:
    sheets = SecondChannel(dz=1.3, angle_deg=0.4, gain=0.8)
    made = TwoCameraPhantom(PhantomOptions(seed=5, shape=(32, 128, 128), dx=6.4, dy=-3.3, second_channel=sheets))
    made.write(tmp_path / "raw")
    assert sheet("correct", tmp_path / "raw", tmp_path / "out", "--no-diagnostics", "--quiet") == 0
    table = tmp_path / "t.csv"
    assert sheet("estimate", tmp_path / "out", table, "--channels", "fuse", "--quiet") == 0
    with table.open() as file:
        first, second = csv.DictReader(file)
    assert first["dz"] == ""
    assert abs(float(second["dz"]) - sheets.dz) < 0.15
    fusing = ["--table", table, "--channels", "fuse", "--quiet"]
    assert sheet("fuse", tmp_path / "out", tmp_path / "fused", *fusing) == 0
    fused = open_dataset(tmp_path / "fused")
    assert fused.views == ((0, 0),)
    one = np.asarray(open_dataset(tmp_path / "out")[:, 0])
    third = slice(21, 32)
    assert psnr(np.asarray(fused[:, 0])[third].astype(float), made.truth[third]) > 3 + psnr(
        one[third].astype(float), made.truth[third]
    )
    assert list((tmp_path / "fused/SPM00/diagnostics").glob("*sheets-weights.png"))
    shutil.rmtree(tmp_path / "fused")
    separate = ["--table", table, "--quiet", "--no-diagnostics"]
    assert sheet("fuse", tmp_path / "out", tmp_path / "fused", *separate) == 0
    assert open_dataset(tmp_path / "fused").views == ((0, 0), (0, 1))


def test_more_than_two_light_sheets_are_refused(tmp_path: Path) -> None:
    looks = [Look(0, 0, camera, channel) for camera in (0, 1) for channel in (0, 1, 2)]
    with pytest.raises(OptionError, match="more than the two light sheets"):
        find_units(tmp_path, looks, ((0, 1),), "fuse")
    assert len(find_units(tmp_path, looks, ((0, 1),), "separate")) == 3
