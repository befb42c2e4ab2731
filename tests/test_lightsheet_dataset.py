"""A folder of volumes as one lazy array, with its gaps named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from made_lightsheet import SHAPE, Raw, pixels, stack_path, write_raw, write_xml
from planish.errors import OptionError, SlideError, SlideNotFound
from planish.lightsheet import dataset as dataset_module
from planish.lightsheet.dataset import open_dataset
from planish.lightsheet.names import Fused, Look
from planish.lightsheet.sidecars import projection_path
from planish.lightsheet.volume import VolumeOptions, open_volume, write_volume

OPTIONS = VolumeOptions((2.5, 0.5, 0.5), jobs=1)


def dark(folder: Path, count: int = 2) -> Path:
    for number in range(count):
        tifffile.imwrite(folder / f"Background_{number}.tif", np.full(SHAPE[1:], 100, np.uint16))
    return folder


def whole(times: tuple[int, ...] = (0, 1, 2)) -> NDArray[Any]:
    """Return the array of all raw files, (T, Z, V, Y, X)."""
    return np.stack([np.stack([pixels(time, camera) for camera in (0, 1)], 1) for time in times])


def processed(folder: Path, look: Look | Fused, ending: str = "zarr", **options: Any) -> Path:
    """Write a volume where the steps write it."""
    place = folder / f"SPM{look.specimen:02d}" / f"TM{look.time:06d}"
    place.mkdir(parents=True, exist_ok=True)
    return write_volume(place / f"{look.stem}.{ending}", pixels(look.time, look.view[0]), replace(OPTIONS, **options))


def test_raw_files_are_one_array_with_nothing_missing(tmp_path: Path) -> None:
    found = open_dataset(dark(write_raw(tmp_path)))
    assert found.gaps == ()
    assert (found.shape, found.ndim, len(found)) == ((3, 12, 2, 40, 56), 5, 3)
    assert found.dtype == np.uint16
    assert (found.times, found.views) == ((0, 1, 2), ((0, 0), (1, 0)))
    assert len(found.looks) == 6
    assert np.array_equal(found, whole())
    assert found.metadata["voxel_um"] == (2.5, 0.40625, 0.40625)
    assert found.metadata["acquisitions"][0]["specimen_name"] == "fish 3"
    assert [path.name for path in found.metadata["backgrounds"]] == ["Background_0.tif", "Background_1.tif"]


@pytest.mark.parametrize(
    "key",
    [
        1,
        (-1, ..., 3),
        (slice(None, None, -2), 4),
        (..., slice(3, 30, 5), slice(50, 2, -7)),
        (slice(0, 3, 2), slice(11, None, -4), 1),
        (0, 0, 0, 0, 0),
        (slice(2, 2),),
        (2, 11, 1),
    ],
)
def test_parts_are_those_that_numpy_gives(tmp_path: Path, key: Any) -> None:
    part = open_dataset(write_raw(tmp_path))[key]
    assert np.array_equal(part, whole()[key])
    assert np.shape(part) == np.shape(whole()[key])


def test_one_time_point_has_no_axis_of_its_own(tmp_path: Path) -> None:
    found = open_dataset(write_raw(tmp_path, Raw(times=(7,))))
    assert (found.shape, found.ndim) == ((12, 2, 40, 56), 4)
    assert np.array_equal(found[3:5, 1, ::2], whole((7,))[0, 3:5, 1, ::2])


def test_only_the_files_asked_for_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, opened = open_dataset(write_raw(tmp_path)), []

    def remembering(path: Path, *size: int) -> Any:
        opened.append(path.name)
        return open_volume(path, *size)

    monkeypatch.setattr(dataset_module, "open_volume", remembering)
    assert found[1, 5, 0].shape == (40, 56)
    assert opened == [stack_path(tmp_path, 1, 0).name]


def test_what_viewers_ask_of_a_layer_is_there(tmp_path: Path) -> None:
    # napari takes a layer's middle plane for its contrast, then each plane by numbers of its own.
    found = open_dataset(write_raw(tmp_path))
    middle = tuple(np.int64(size // 2) for size in found.shape[:-2])
    assert np.array_equal(np.asarray(found[(*middle, slice(None), slice(None))]), whole()[middle])
    assert np.asarray(found[np.int64(0), :, 1], np.float32).dtype == np.float32


def test_a_stale_depth_in_the_xml_is_told(tmp_path: Path) -> None:
    found = open_dataset(dark(write_raw(tmp_path, Raw(xml_depth=200))))
    assert found.shape[1] == 12
    assert found.gaps == (
        "ch0.xml tells 200 planes, but SPM00_TM000000_CM00_CHN00, like 5 more, has 12, which are read; the XML is "
        "stale",
    )


def test_views_of_fewer_planes_are_filled_up_and_told(tmp_path: Path) -> None:
    write_raw(tmp_path)
    short = stack_path(tmp_path, 2, 1)
    pixels(2, 1)[:5].tofile(short)
    found = open_dataset(dark(tmp_path))
    assert found.shape == (3, 12, 2, 40, 56)
    assert np.array_equal(found[2, :5, 1], pixels(2, 1)[:5])
    assert not np.any(found[2, 5:, 1])
    assert np.array_equal(found[2, ::-3, 1, 0], np.where(np.arange(12) < 5, pixels(2, 1).T, 0).T[::-3, 0])
    assert found.gaps[-1] == "SPM00_TM000002_CM01_CHN00 has 5 planes of 12; the others are 0 in the array"


def test_missing_time_points_and_views_are_told(tmp_path: Path) -> None:
    write_raw(tmp_path, Raw(times=(0, 1, 4, 8)))
    stack_path(tmp_path, 4, 1).unlink()
    found = open_dataset(dark(tmp_path))
    assert found.shape[0] == 4
    assert found.gaps == (
        "specimen 0: no files of time points 2–3, 5–7, between 0 and 8",
        "specimen 0: no volume of camera 1, channel 0 at time points 4",
    )
    assert not np.any(found[2, :, 1])
    assert np.array_equal(found[2, :, 0], pixels(4, 0))


def test_a_raw_file_cut_within_a_plane_is_left_out_and_told(tmp_path: Path) -> None:
    cut = stack_path(write_raw(tmp_path), 1, 0)
    cut.write_bytes(cut.read_bytes()[:-7])
    found = open_dataset(dark(tmp_path))
    assert Look(0, 1, 0, 0) not in found.looks
    assert cut.name in found.gaps[0]
    assert "cut short" in found.gaps[0]
    assert not np.any(found[1, :, 0])
    assert np.array_equal(found[1, :, 1], pixels(1, 1))


def test_without_xml_the_size_must_be_given(tmp_path: Path) -> None:
    write_raw(tmp_path)
    (tmp_path / "ch0.xml").unlink()
    with pytest.raises(SlideError, match=r"no XML in .* give size=\(width, height\)"):
        open_dataset(tmp_path)
    assert np.array_equal(open_dataset(tmp_path, size=(SHAPE[2], SHAPE[1])), whole())


def test_one_camera_is_one_view(tmp_path: Path) -> None:
    found = open_dataset(write_raw(tmp_path, Raw(cameras=(1,))))
    assert found.shape == (3, 12, 1, 40, 56)
    assert found.views == ((1, 0),)


def test_missing_dark_frames_are_told(tmp_path: Path) -> None:
    write_raw(tmp_path)
    assert "no Background_*.tif" in open_dataset(tmp_path).gaps[0]
    assert "1 Background_*.tif for 2 cameras, 0, 1" in open_dataset(dark(tmp_path, 1)).gaps[0]


def test_cameras_of_different_size_are_no_array_but_can_be_opened(tmp_path: Path) -> None:
    write_raw(tmp_path)
    pixels(0, 1, (12, 20, 30)).tofile(stack_path(tmp_path, 0, 1))
    for time in (1, 2):
        stack_path(tmp_path, time, 1).unlink()
    write_xml(tmp_path, "56x40x12,30x20x12")
    found = open_dataset(tmp_path)
    with pytest.raises(SlideError, match=r"CM00_CHN00 56 × 40, SPM00_TM000000_CM01_CHN00 30 × 20.*\.volume\(look\)"):
        _ = found.shape
    with found.volume(Look(0, 0, 1, 0)) as volume:
        assert np.array_equal(volume, pixels(0, 1, (12, 20, 30)))
    assert any("camera 1" in gap for gap in found.gaps)


@pytest.mark.parametrize("ending", ["zarr", "klb", "tif", "ome.tif"])
def test_processed_folders_are_found_in_every_format(tmp_path: Path, ending: str) -> None:
    for time in (0, 1, 2):
        for camera in (0, 1):
            processed(tmp_path, Look(0, time, camera, 0), ending)
    for folder in (tmp_path, tmp_path / "SPM00"):
        found = open_dataset(folder)
        assert found.gaps == ()
        assert np.array_equal(found, whole())
        assert found.metadata["voxel_um"] == pytest.approx((2.5, 0.5, 0.5))
    assert open_dataset(tmp_path / "SPM00" / "TM000001").shape == (12, 2, 40, 56)


def test_fused_volumes_are_views_by_their_first_camera(tmp_path: Path) -> None:
    for cameras in ((0, 1), (2, 3)):
        processed(tmp_path, Fused(0, 0, cameras, 0))
    found = open_dataset(tmp_path)
    assert found.looks == (Fused(0, 0, (0, 1), 0), Fused(0, 0, (2, 3), 0))
    assert found.views == ((0, 0), (2, 0))
    assert np.array_equal(found[:, 1], pixels(0, 2))
    processed(tmp_path, Look(0, 0, 0, 0))
    mixed = open_dataset(tmp_path)
    assert mixed.looks == (Look(0, 0, 0, 0),)
    assert mixed.gaps == ("2 fused volumes lie among those of single cameras, and are left out; open their own folder",)


def test_several_specimens_are_listed_and_one_is_the_array(tmp_path: Path) -> None:
    for specimen in (0, 3):
        processed(tmp_path, Look(specimen, specimen, 0, 0))
    both = open_dataset(tmp_path)
    assert (both.specimens, both.specimen, len(both.looks)) == ((0, 3), 0, 2)
    other = open_dataset(tmp_path, specimen=3)
    assert (other.specimens, other.times) == ((3,), (3,))
    assert np.array_equal(other[:, 0], pixels(3, 0))
    with pytest.raises(OptionError, match="no specimen 1; there are 0, 3"):
        open_dataset(tmp_path, specimen=1)


def test_of_two_files_of_one_look_the_zarr_is_taken_and_that_told(tmp_path: Path) -> None:
    for ending in ("tif", "zarr"):
        path = processed(tmp_path, Look(0, 0, 0, 0), ending)
    found = open_dataset(tmp_path)
    assert found.path(found.looks[0]) == path
    assert found.gaps == ("SPM00_TM000000_CM00_CHN00.tif is there in another file, too, which is taken",)


def test_a_damaged_processed_volume_is_left_out_and_told(tmp_path: Path) -> None:
    processed(tmp_path, Look(0, 0, 0, 0))
    damaged = processed(tmp_path, Look(0, 0, 1, 0), "tif")
    damaged.write_bytes(damaged.read_bytes()[:1000])
    found = open_dataset(tmp_path)
    assert found.shape == (12, 2, 40, 56)
    assert not np.any(found[:, 1])
    assert any(damaged.name in gap and "cut short" in gap for gap in found.gaps)


@pytest.mark.parametrize("ending", ["zarr", "tif"])
def test_labels_are_found_in_the_zarr_or_beside(tmp_path: Path, ending: str) -> None:
    look = Look(0, 4, 1, 2)
    mask = pixels(4, 1) > 30000
    path = processed(tmp_path, look, ending, labels={"segmentationMask": mask})
    tifffile.imwrite(path.with_name(f"{look.stem}.xyMask.tif"), np.ones(SHAPE[1:], np.float32))
    found = open_dataset(tmp_path)
    for channel in (None, 2):
        with found.get_labels(4, 1, "segmentationMask", channel) as labels:
            assert np.array_equal(labels, mask)
    with found.get_labels(4, 1, "xyMask") as depths:
        assert depths.shape == (1, *SHAPE[1:])
    with pytest.raises(SlideError, match=r"no labels 'nuclei'; there are segmentationMask, xyMask"):
        found.get_labels(4, 1, "nuclei")
    with pytest.raises(
        SlideError, match=r"no camera 0, channel any at time point 4; there are \(\(1, 2\),\) at \(4,\)"
    ):
        found.get_labels(4, 0, "segmentationMask")


def test_projections_are_found_beside_the_volume_or_in_a_folder_of_their_own(tmp_path: Path) -> None:
    path = processed(tmp_path, Look(0, 0, 0, 0))
    top, side = pixels(0, 0).max(0), pixels(0, 0).max(1)
    tifffile.imwrite(projection_path(path, "xy"), top)
    (tmp_path / "projections").mkdir()
    tifffile.imwrite(tmp_path / "projections" / projection_path(path, "xz").name, side)
    found = open_dataset(tmp_path)
    assert np.array_equal(found.get_projection(0, 0, "xy"), top)
    assert np.array_equal(found.get_projection(0, 0, "xz"), side)
    with pytest.raises(SlideError, match=r"no yz projection .* planish lightsheet project"):
        found.get_projection(0, 0, "yz")
    assert found.gaps == ()


def test_a_folder_without_volumes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="holds no volumes"):
        open_dataset(tmp_path)
    with pytest.raises(SlideNotFound, match="no such folder"):
        open_dataset(tmp_path / "none")
    with pytest.raises(SlideError, match="has no SPM00_TM000009"):
        open_dataset(write_raw(tmp_path)).volume(Look(0, 9, 0, 0))
