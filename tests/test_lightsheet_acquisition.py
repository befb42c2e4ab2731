"""What the microscope's XML, raw files and dark frames tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from made_lightsheet import SHAPE, pixels, stack_path, write_raw, write_xml
from planish.errors import OptionError, SlideError, SlideNotFound
from planish.lightsheet.acquisition import acquisition_of, find_acquisitions, read_acquisition
from planish.lightsheet.darkframes import find_backgrounds, read_backgrounds
from planish.lightsheet.names import Look
from planish.lightsheet.rawstack import depth, map_stack


def test_an_xml_tells_how_the_volume_was_taken(tmp_path: Path) -> None:
    told = read_acquisition(write_xml(tmp_path, "2048x1024x200,2048x1000x200"))
    assert (told.specimen_name, told.timestamp, told.angle) == ("fish 3", "2024/05/06 07:08:09", 0)
    assert (told.cameras, told.wavelength_nm, told.exposure_ms) == ((0, 1), (488, 561), 12.5)
    assert (told.objective, told.magnification, told.channel) == ("SpecialOptics 16x/0.70", 16, 0)
    assert told.voxel_um == (2.5, 0.40625, 0.40625)
    assert (told.size(0), told.size(1), told.xml_depth(1)) == ((2048, 1024), (2048, 1000), 200)


@pytest.mark.parametrize(
    ("index", "dimensions", "wanted"),
    [("2,3", "9x8x7,9x8x7", (2, 3)), ("2", "9x8x7,9x8x7", (0, 1)), ("3", "9x8x7", (3,)), ("", "9x8x7,9x8x7", (0, 1))],
)
def test_cameras_are_listed_or_counted(tmp_path: Path, index: str, dimensions: str, wanted: tuple[int, ...]) -> None:
    assert read_acquisition(write_xml(tmp_path, dimensions, index)).cameras == wanted


def test_a_scan_along_y_is_by_the_other_pair_of_cameras(tmp_path: Path) -> None:
    path = write_xml(tmp_path, "9x8x7,9x8x7", "2")
    path.write_text(path.read_text().replace('direction="Z"', 'direction="Y"').replace("z_step", "y_step"))
    told = read_acquisition(path)
    assert (told.cameras, told.z_step_um) == ((2, 3), 2.5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<push_config><info/></push_config>", "dimensions is ''"),
        ('<push_config><info dimensions="2048x0x3"/></push_config>', "dimensions is '2048x0x3'"),
        ('<push_config><info dimensions="9x9x9" z_step="far"/></push_config>', "z_step is 'far'"),
        ("<html/>", "holds <html>"),
        ("<push_config>", "not a readable XML"),
        ("", "not a readable XML"),
    ],
)
def test_a_damaged_xml_is_named_with_what_is_wrong(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "ch0.xml"
    path.write_text(content)
    with pytest.raises(SlideError, match=message) as caught:
        read_acquisition(path)
    assert str(path) in str(caught.value)
    with pytest.raises(SlideNotFound, match="no such file"):
        read_acquisition(tmp_path / "none.xml")


def test_the_specimens_own_xml_goes_before_the_shared_one(tmp_path: Path) -> None:
    for name in ("SPM00_TM000000_CHN00.xml", "SPM01_TM000000_CHN01.xml"):
        write_xml(tmp_path, "9x8x7", name=name)
    assert [told.source.name for told in find_acquisitions(tmp_path, 1)] == ["SPM01_TM000000_CHN01.xml"]
    for name in ("ch0.xml", "ch1.xml"):
        write_xml(tmp_path, "9x8x7", name=name)
    assert [told.channel for told in find_acquisitions(tmp_path, 1)] == [0, 1]
    write_xml(tmp_path, "9x8x7", name="ch1_spec01.xml")
    assert [told.source.name for told in find_acquisitions(tmp_path, 1)] == ["ch1_spec01.xml"]
    assert [told.source.name for told in find_acquisitions(tmp_path, 0)] == ["ch0.xml", "ch1.xml"]


def test_each_look_has_the_xml_of_its_channel_and_camera(tmp_path: Path) -> None:
    write_xml(tmp_path, "9x8x7,9x8x7", "0,1", "ch0.xml")
    write_xml(tmp_path, "5x4x3,5x4x3", "2,3", "ch1.xml")
    found = find_acquisitions(tmp_path, 0)
    assert acquisition_of(Look(0, 0, 1, 0), found) is found[0]
    assert acquisition_of(Look(0, 0, 3, 1), found) is found[1]
    assert acquisition_of(Look(0, 0, 3, 7), found) is found[1]
    assert acquisition_of(Look(0, 0, 0, 0), ()) is None


def test_a_raw_file_is_mapped_bit_by_bit_and_as_deep_as_it_is(tmp_path: Path) -> None:
    path = stack_path(write_raw(tmp_path), 1, 0)
    mapped = map_stack(path, SHAPE[2], SHAPE[1])
    assert isinstance(mapped, np.memmap)
    assert mapped.dtype == "<u2"
    assert np.array_equal(mapped, pixels(1, 0))
    assert not mapped.flags.writeable
    assert depth(path, SHAPE[2], SHAPE[1] // 2) == 2 * SHAPE[0]


def test_a_raw_file_of_no_whole_number_of_planes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.stack"
    path.write_bytes(bytes(3000))
    with pytest.raises(SlideError, match=r"cut\.stack: 3000 bytes are 1\.500 planes of 50 × 20"):
        map_stack(path, 50, 20)
    path.write_bytes(b"")
    with pytest.raises(SlideError, match="cut short"):
        map_stack(path, 50, 20)
    with pytest.raises(OptionError, match="above 0"):
        map_stack(path, 0, 20)
    with pytest.raises(SlideNotFound, match="no such file"):
        map_stack(tmp_path / "none.stack", 50, 20)


def test_dark_frames_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    assert read_backgrounds(tmp_path) == ()
    for number in (1, 0):
        tifffile.imwrite(tmp_path / f"Background_{number}.tif", np.full((5, 6), 100 + number, np.uint16))
    several = np.arange(3 * 30, dtype=np.uint16).reshape(3, 5, 6)
    tifffile.imwrite(tmp_path / "Background_2.tif", several, photometric="minisblack")
    frames = read_backgrounds(tmp_path)
    assert [frame.shape for frame in frames] == [(5, 6)] * 3
    assert [int(frame[0, 0]) for frame in frames] == [100, 101, 30]
    assert all(frame.dtype == np.uint16 for frame in frames)
    assert [path.name[-5] for path in find_backgrounds(tmp_path)] == ["0", "1", "2"]


def test_a_damaged_dark_frame_is_named(tmp_path: Path) -> None:
    (tmp_path / "Background_0.tif").write_bytes(b"II*\0\x08")
    with pytest.raises(SlideError, match=r"Background_0\.tif: not a readable dark frame"):
        read_backgrounds(tmp_path)
