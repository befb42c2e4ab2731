"""What light-sheet files are called."""

from __future__ import annotations

import pytest

from planish.lightsheet.names import Fused, Look, parse, parse_raw


def test_raw_names_tell_specimen_time_camera_and_channel() -> None:
    assert parse_raw("SPC02_TM00137_ANG000_CM3_CHN01_PH0.stack") == Look(2, 137, 3, 1)
    assert parse_raw("SPC02_TM00137_ANG000_CM3_CHN01_PH0.stack").stem == "SPM02_TM000137_CM03_CHN01"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name", ["SPC02_TM00137_ANG000_CM3_CHN01_PH0.xml", "SPC02_TM00137_CM3.stack", "Background_0.tif"]
)
def test_other_names_are_no_raw_files(name: str) -> None:
    assert parse_raw(name) is None


@pytest.mark.parametrize("suffix", ["", ".zarr", ".ome.zarr", ".klb", ".tif", ".ome.tif", ".TIFF"])
def test_stems_come_back_from_names(suffix: str) -> None:
    for key in (Look(0, 12, 1, 0), Fused(3, 123456, (0, 1), 1), Fused(0, 0, (0, 1, 2, 3), 0)):
        assert parse(key.stem + suffix) == key


def test_names_of_the_python_port_are_known() -> None:
    assert parse("SPM03_CM01_CHN02.ome.tif") == Look(3, 0, 1, 2)
    assert parse("SPM00_TM000007_CM02_CM03_VW90_CHN01.ome.zarr") == Fused(0, 7, (2, 3), 1)
    assert parse("SPM00_TM000007_CM00_CM01_VW00_CHN00.fusedStack.klb") == Fused(0, 7, (0, 1), 0)


@pytest.mark.parametrize(
    "ending", [".segmentationMask.tif", ".xyProjection.tif", "_old.tif", ".xml", ".minIntensity.npz"]
)
def test_masks_and_projections_are_no_volumes(ending: str) -> None:
    assert parse(f"SPM00_TM000000_CM00_CHN00{ending}") is None


def test_looks_are_sorted_by_specimen_time_camera_and_channel() -> None:
    looks = [Look(0, 1, 0, 0), Look(1, 0, 0, 0), Look(0, 0, 1, 0), Look(0, 0, 0, 1)]
    assert [look.stem for look in sorted(looks)] == [
        "SPM00_TM000000_CM00_CHN01",
        "SPM00_TM000000_CM01_CHN00",
        "SPM00_TM000001_CM00_CHN00",
        "SPM01_TM000000_CM00_CHN00",
    ]
    assert Fused(0, 0, (2, 3), 1).view == (2, 1)
