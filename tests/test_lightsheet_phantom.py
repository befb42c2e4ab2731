"""The two-camera phantom: its geometry is what it says, and its files are what a microscope writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.lightsheet.phantom import CAMERAS, PhantomOptions, TwoCameraPhantom
from planish.lightsheet.phantom_options import SecondChannel, Sensor
from planish.lightsheet.phantom_points import Points
from planish.lightsheet.phantom_series import PhantomSeries, SeriesPhantomOptions
from planish.lightsheet.phantom_view import View
from planish.lightsheet.transform import ChannelTransform, Rigid

SMALL = PhantomOptions(seed=1, shape=(24, 64, 80))


def one_point(x: float, y: float, z: float) -> Points:
    values = (np.array([value]) for value in (x, y, z, 1.5, 1.5, 1000.0))
    return Points(*values)


def centre(volume: NDArray[Any]) -> NDArray[np.float64]:
    """Return the centre of mass as (x, y, z)."""
    grids = np.meshgrid(*(np.arange(edge) for edge in volume.shape), indexing="ij")
    return np.array([np.average(grid, weights=volume) for grid in grids[::-1]])


def test_second_camera_sees_a_point_where_the_parameters_say() -> None:
    options = replace(SMALL, dx=3.3, dy=-2.7, angle_deg=1.5, blur=0.0, loss=0.0)
    seen = View(options, 1).render(one_point(50, 30, 12))
    expected = Rigid(3.3, -2.7, 1.5).matrix((64, 80)) @ (50, 30, 1)
    assert centre(seen) == pytest.approx([*expected, 12], abs=0.02)


def test_second_channel_sees_a_point_where_the_parameters_say() -> None:
    options = replace(SMALL, blur=0.0, loss=0.0, second_channel=SecondChannel(dz=1.6, angle_deg=1.2))
    seen = View(options, 0, 1).render(one_point(60, 30, 12))
    ratio = options.voxel_um[0] / options.voxel_um[2]
    x, z = ChannelTransform(1.6, 1.2).matrix((24, 80), ratio) @ (60, 12, 1)
    assert centre(seen) == pytest.approx([x, 30, z], abs=0.05)


def test_each_camera_is_sharp_on_its_own_side_and_alike_on_the_surface() -> None:
    options = replace(SMALL, dx=0, dy=0, angle_deg=0, gain=1.0, tilt=8.0)
    surface = TwoCameraPhantom(options).surface
    assert surface.shape == (64, 80)
    assert surface[0, -1] - surface[0, 0] == pytest.approx(8)
    x = 60
    peaks = {
        z: [float(View(options, camera).render(one_point(x, 30, z)).max()) for camera in CAMERAS]
        for z in (3.0, float(surface[30, x]), 20.0)
    }
    (near, at, far) = peaks.values()
    assert near[0] > 1.3 * near[1]
    assert at[0] == pytest.approx(at[1], rel=0.02)
    assert far[1] > 1.3 * far[0]


def test_without_loss_and_noise_both_cameras_see_the_truth() -> None:
    chip = Sensor(offset=0, read_noise=0, hot=0, shot_noise=False)
    phantom = TwoCameraPhantom(replace(SMALL, dx=0, dy=0, angle_deg=0, gain=1, blur=0, loss=0, sensor=chip))
    for camera in CAMERAS:
        assert np.abs(phantom.view(camera) - phantom.truth).max() <= 0.51


def test_chip_has_the_offset_noise_and_hot_pixels_that_it_says() -> None:
    phantom = TwoCameraPhantom(replace(SMALL, sensor=Sensor(hot=0.01)))
    dark, bad = phantom.dark(1), phantom.bad(1)
    assert 20 < bad.sum() < 90
    assert (dark[bad] > 300).all()
    assert dark[~bad].mean() == pytest.approx(100, abs=0.1)
    assert dark[~bad].std() == pytest.approx(1.6, rel=0.1)
    assert (phantom.camera(1)[:, bad].min(axis=0) > 300).all()


def test_time_points_share_the_specimen_and_not_the_noise() -> None:
    first, second = (TwoCameraPhantom(replace(SMALL, frame_seed=seed)) for seed in (0, 1))
    assert np.array_equal(first.clean(0), second.clean(0))
    assert not np.array_equal(first.camera(0), second.camera(0))
    assert np.array_equal(first.camera(0), TwoCameraPhantom(SMALL).camera(0))


def test_files_are_those_of_a_microscope(tmp_path: Path) -> None:
    phantom = TwoCameraPhantom(replace(SMALL, second_channel=SecondChannel()))
    phantom.write(tmp_path, time=3, xml_depth=99)
    names = sorted(path.name for path in tmp_path.iterdir())
    stacks = [f"SPC00_TM00003_ANG000_CM{camera}_CHN0{channel}_PH0.stack" for camera in (0, 1) for channel in (0, 1)]
    assert names == sorted([*stacks, "Background_0.tif", "Background_1.tif", "ch0.xml", "ch1.xml"])
    raw = np.fromfile(tmp_path / stacks[2], "<u2").reshape(SMALL.shape)
    assert np.array_equal(raw, phantom.camera(1, 0))
    assert np.array_equal(tifffile.imread(tmp_path / "Background_1.tif"), phantom.dark(1))
    root = ElementTree.parse(tmp_path / "ch0.xml").getroot()
    facts = {name: value for info in root.iter("info") for name, value in info.attrib.items()}
    assert root.tag == "push_config"
    assert facts["dimensions"] == "80x64x99,80x64x99"
    assert facts["detection_objective"].split(",")[0] == "SpecialOptics 16x/0.70"
    assert float(facts["z_step"]) == 1.0


def test_series_drifts_jumps_and_misses_time_points(tmp_path: Path) -> None:
    options = SeriesPhantomOptions(replace(SMALL, shape=(4, 16, 16)), times=6, missing=(2,))
    PhantomSeries(options).write(tmp_path)
    assert sorted({path.name[6:13] for path in tmp_path.glob("*.stack")}) == [f"TM0000{t}" for t in (0, 1, 3, 4, 5)]
    course = PhantomSeries(replace(options, times=400)).course
    off = np.abs(course.seen - course.smooth)
    assert 0.05 < course.outlier.mean() < 0.15
    assert (off[course.outlier, :2] >= 9).all()
    assert (off[~course.outlier] < 0.3).all()
    assert PhantomSeries(options).at(1).options.dx == PhantomSeries(options).course.seen[1, 0]


@pytest.mark.parametrize("wrong", [{"shape": (0, 4, 4)}, {"gain": 0.0}])
def test_impossible_phantoms_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        replace(SMALL, **wrong)
