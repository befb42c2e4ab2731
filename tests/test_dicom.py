"""DICOM read: planes and levels from any mixture of files, frames as stored, and one clear line for bad ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import openslide
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from made_dicom import TILE, DicomOptions, describe, save, uid, write_dicom_stack
from makers import Z_UM, make_stack
from planish.errors import PlanishError, SlideError, TileError
from planish.model import Missing
from planish.slide.dicomimage import DicomImage
from planish.slide.open import open_slide

EVEN = (-1.5, 0.0, 1.5, 3.0)
STACK = make_stack()


def made(folder: Path, stack: NDArray[Any] = STACK, z_um: Any = EVEN, **options: Any) -> Path:
    return write_dicom_stack(folder, stack, z_um, DicomOptions(**options))


def change(path: Path, edit: Callable[[Dataset], object]) -> None:
    """Change some attributes of a file."""
    data = pydicom.dcmread(path)
    edit(data)
    data.save_as(path, enforce_file_format=True)


def by_level(folder: Path) -> list[Path]:
    """Return the files of a series, the largest images first."""
    widths = {path: pydicom.dcmread(path, stop_before_pixels=True).TotalPixelMatrixColumns for path in folder.iterdir()}
    return sorted(widths, key=lambda path: (-widths[path], path))


def test_the_real_ycbcr_file_reads_as_openslide_reads_it(data: Callable[[str], Path]) -> None:
    path = data("slides/dicom-camelyon/multiframe_camelyon_challenge_image.dcm")
    with open_slide(path) as slide, openslide.OpenSlide(path) as reference:
        encoding = slide.encoding(0, 0)
        assert encoding is not None
        assert (encoding.color, encoding.subsampling) == ("ycbcr", (2, 2))
        wanted = np.asarray(reference.read_region((0, 0), 0, reference.dimensions))[..., :3]
        assert np.abs(slide.read_region(0, 0, 0, 0, 1152, 700).astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("table", ["basic", "extended", "none"])
@pytest.mark.parametrize("color", ["rgb", "ycbcr"])
def test_frames_are_handed_out_as_stored_and_their_lengths_known(tmp_path: Path, table: str, color: str) -> None:
    folder = made(tmp_path, table=table, color=color)
    stored = pydicom.dcmread(by_level(folder)[0])
    frames = list(generate_frames(stored.PixelData, number_of_frames=int(stored.NumberOfFrames)))
    with open_slide(folder) as slide:
        level, sizes = slide.levels[0], slide.encoded_sizes(0)
        assert sizes is not None
        assert sizes.ravel().tolist() == [len(frame) for frame in frames]
        encoding = slide.encoding(0, 3)
        assert encoding is not None
        assert (encoding.codec, encoding.color, encoding.subsampling) == ("jpeg", color, (1, 1))
        for plane, row, column in ((0, 0, 0), (3, level.rows - 1, level.columns - 1), (2, 1, 3)):
            tile = slide.encoded_tile(0, plane, column, row)
            frame = frames[(plane * level.rows + row) * level.columns + column]
            assert tile is not None
            assert tile.data == (frame.removesuffix(b"\0") if frame.endswith(b"\xff\xd9\0") else frame)
            assert tile.data.endswith(b"\xff\xd9")
            pixels = slide.read_tile(0, plane, column, row)
            alone = np.asarray(imagecodecs.jpeg8_decode(tile.whole))[: pixels.shape[0], : pixels.shape[1]]
            assert np.array_equal(alone, pixels)


def test_a_jpeg_that_says_what_it_is_overrules_the_attribute(tmp_path: Path) -> None:
    folder = made(tmp_path, color="ycbcr")
    with open_slide(folder) as slide:
        wanted = slide.read_tile(0, 1, 0, 0)
    rgb = np.ascontiguousarray(STACK[1, :TILE, :TILE])
    jpeg = bytes(imagecodecs.jpeg8_encode(rgb, level=95, outcolorspace="rgb"))
    assert DicomImage._color is not None
    assert b"Adobe" in jpeg or b"R" in jpeg[:200]
    change(by_level(folder)[0], lambda data: setattr(data, "PixelData", swap(data, 4 * 5, jpeg)))
    with open_slide(folder) as slide:
        assert np.abs(slide.read_tile(0, 1, 0, 0).astype(int) - wanted).mean() < 2


def swap(data: Dataset, number: int, frame: bytes) -> bytes:
    frames = list(generate_frames(data.PixelData, number_of_frames=int(data.NumberOfFrames)))
    frames[number] = frame
    return pydicom.encaps.encapsulate(frames)


def test_lossless_frames_have_no_comparable_sizes(tmp_path: Path) -> None:
    with open_slide(made(tmp_path, codec="jpeg2000")) as slide:
        assert slide.encoded_sizes(0) is None
        assert "lossless" in str(slide.sizes_refusal(0))
        assert slide.encoded_tile(0, 0, 0, 0) is None


def test_sixteen_bits_are_read_as_stored(tmp_path: Path) -> None:
    stack = make_stack(channels=1, dtype=np.uint16)
    with open_slide(made(tmp_path, stack, codec="jpeg2000", bits=16)) as slide:
        assert (slide.dtype.name, slide.channels) == ("uint16", ("channel a",))
        assert np.array_equal(slide.read_region(0, 2, 0, 0, 520, 392), stack[2])


def test_tiles_that_were_not_scanned_are_white_and_noted(tmp_path: Path) -> None:
    # Frames are written last to first, so these are the last two tiles of the top plane of each level.
    with open_slide(made(tmp_path, z_um=Z_UM, layout="sparse", missing=(0, 1))) as slide:
        level = slide.levels[0]
        assert slide.read_tile(0, 3, level.columns - 1, level.rows - 1).min() == 255
        assert slide.encoded_tile(0, 3, level.columns - 1, level.rows - 1) is None
        assert slide.read_tile(0, 2, level.columns - 1, level.rows - 1).min() < 255
        assert "4 tiles were not scanned; they are white" in slide.metadata.notes


def test_optical_paths_are_channels_and_only_those_wanted_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    decode = DicomImage.decode

    def counted(image: DicomImage, frame: int) -> NDArray[Any]:
        read.append(frame)
        return decode(image, frame)

    monkeypatch.setattr(DicomImage, "decode", counted)
    with open_slide(made(tmp_path, codec="none", channels=True)) as slide:
        assert slide.channels == ("channel a", "channel b", "channel c")
        assert "optical paths" in str(slide.sizes_refusal(0))
        view = slide.view(channels=["channel c", "channel a"])
        tile = view.read_tile(0, 1, 2, 1)
        assert len(read) == 2
        assert np.array_equal(tile, STACK[1, TILE : 2 * TILE, 2 * TILE : 3 * TILE, [2, 0]].transpose(1, 2, 0))


def add_extended(folder: Path) -> None:
    """Put an extended-focus image beside the planes, of full size and at one of their z."""
    header = describe(STACK.shape[1:], [0.0], DicomOptions(), 9)
    header.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    header.ExtendedDepthOfField, header.NumberOfFocalPlanes, header.DistanceBetweenFocalPlanes = "YES", 4, 1.5
    save(folder / "flat.dcm", header, [np.zeros((TILE, TILE, 3), np.uint8)] * 20, DicomOptions())


def test_an_image_of_extended_depth_of_field_is_no_focal_plane(tmp_path: Path) -> None:
    folder = made(tmp_path)
    add_extended(folder)
    with open_slide(folder) as slide:
        assert [plane.z_um for plane in slide.planes] == list(EVEN)
        assert all(slide.read_tile(0, plane, 0, 0).mean() > 20 for plane in range(4))
        assert "extended depth of field, which is not counted" in slide.metadata.notes[0]


def test_an_image_of_extended_depth_of_field_alone_is_one_plane_without_z(tmp_path: Path) -> None:
    folder = tmp_path / "alone"
    folder.mkdir()
    add_extended(folder)
    with open_slide(folder) as slide:
        assert [plane.z_um for plane in slide.planes] == [None]
        assert "made of 4 focal planes" in slide.metadata.notes[0]


def test_a_level_without_all_planes_is_left_out_and_noted(tmp_path: Path) -> None:
    folder = made(tmp_path, layout="planes")
    by_level(folder)[-1].unlink()
    with open_slide(folder) as slide:
        assert len(slide.levels) == 1
        assert "the level of 260 × 196 px is left out: it holds 3 of 4 planes" in slide.metadata.notes


def concatenated(folder: Path) -> list[Path]:
    """Cut the full-size file into two."""
    path = by_level(folder)[0]
    data = pydicom.dcmread(path)
    frames = list(generate_frames(data.PixelData, number_of_frames=int(data.NumberOfFrames)))
    parts = []
    for number, (first, stop) in enumerate([(0, 33), (33, 80)]):
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = uid("part", number)
        data.ConcatenationUID, data.SOPInstanceUIDOfConcatenationSource = uid("whole"), uid("source")
        data.InConcatenationNumber, data.InConcatenationTotalNumber = number + 1, 2
        data.ConcatenationFrameOffsetNumber, data.NumberOfFrames = first, stop - first
        data.PixelData = pydicom.encaps.encapsulate(frames[first:stop])
        parts.append(folder / f"part-{number}.dcm")
        data.save_as(parts[-1], enforce_file_format=True)
    path.unlink()
    return parts


def test_a_concatenation_is_one_image(tmp_path: Path) -> None:
    folder = made(tmp_path)
    with open_slide(folder) as slide:
        wanted = [slide.read_region(0, plane, 0, 0, 520, 392) for plane in range(4)]
        sizes = np.asarray(slide.encoded_sizes(0))
    concatenated(folder)
    with open_slide(folder / "part-1.dcm") as slide:
        assert all(np.array_equal(slide.read_region(0, plane, 0, 0, 520, 392), wanted[plane]) for plane in range(4))
        assert np.array_equal(np.asarray(slide.encoded_sizes(0)), sizes)


def lose_part(folder: Path) -> None:
    concatenated(folder)[0].unlink()


def two_series(folder: Path) -> None:
    shutil.copytree(made(folder.parent / "b", series="b"), folder, dirs_exist_ok=True)


def shrink_a_plane(folder: Path) -> None:
    by_level(folder)[-1].unlink()
    for path in by_level(folder)[4:]:
        path.unlink()
    change(by_level(folder)[0], lambda data: setattr(data, "TotalPixelMatrixColumns", 600))


def double_a_plane(folder: Path) -> None:
    copy = folder / "copy.dcm"
    shutil.copy(by_level(folder)[0], copy)
    change(copy, lambda data: setattr(data, "SOPInstanceUID", uid("copy")))


def cut(folder: Path) -> None:
    path = by_level(folder)[0]
    path.write_bytes(path.read_bytes()[:-20_000])


def drop_pixels(folder: Path) -> None:
    change(by_level(folder)[0], lambda data: data.__delitem__("PixelData"))


def drop_spacing(folder: Path) -> None:
    def edit(data: Dataset) -> None:
        del data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices

    change(by_level(folder)[0], edit)


def drop_size(folder: Path) -> None:
    change(by_level(folder)[0], lambda data: data.__delitem__("TotalPixelMatrixColumns"))


def copy_a_file(folder: Path) -> None:
    shutil.copy(by_level(folder)[0], folder / "copy.dcm")


def twelve_bits(data: Dataset) -> None:
    data.BitsStored, data.HighBit = 12, 11


def store_12_bits(folder: Path) -> None:
    change(by_level(folder)[0], twelve_bits)


def garble(folder: Path) -> None:
    path = by_level(folder)[0]
    path.write_bytes(path.read_bytes()[:400] + b"\xff" * 5000)


@pytest.mark.parametrize(
    ("spoil", "options", "said"),
    [
        (lose_part, {}, "one of 2 files of an image, of which 1 are there"),
        (two_series, {}, "holds 2 series of whole-slide images"),
        (shrink_a_plane, {"layout": "planes"}, "planes must share their pyramid"),
        (double_a_plane, {"layout": "planes"}, "cannot be told apart"),
        (cut, {"table": "basic"}, "cut off"),
        (cut, {"table": "extended"}, "cut off"),
        (cut, {"table": "none"}, "cut off"),
        (cut, {"codec": "none"}, "cut off"),
        (drop_pixels, {}, "pixels are missing"),
        (drop_spacing, {}, "how far apart"),
        (drop_size, {}, "no whole-slide image that wsidicom reads"),
        (copy_a_file, {}, "is a copy of "),
        (store_12_bits, {"codec": "none", "bits": 16}, "has 12 bits per sample, uncompressed"),
        (garble, {}, "is damaged DICOM (it names no study or series)"),
    ],
)
def test_bad_series_are_refused_in_one_line(
    tmp_path: Path, spoil: Callable[[Path], None], options: dict[str, Any], said: str
) -> None:
    stack = make_stack(channels=1, dtype=np.uint16) if options.get("bits") == 16 else STACK
    folder = made(tmp_path, stack, **options)
    spoil(folder)
    with pytest.raises(SlideError) as caught:
        open_slide(folder)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_folder_with_two_studies_names_both(tmp_path: Path) -> None:
    folder = made(tmp_path)
    two_series(folder)
    with pytest.raises(SlideError) as caught:
        open_slide(folder)
    for series in "ab":
        assert uid("study", series) in str(caught.value)
    first = next(path for path in folder.iterdir() if pydicom.dcmread(path).SeriesInstanceUID == uid("series", "b"))
    with open_slide(first) as slide:
        assert len(slide.planes) == 4


def test_the_malformed_file_is_refused_with_its_reason(data: Callable[[str], Path]) -> None:
    with pytest.raises(SlideError, match=r"small_dicom\.dcm: is DICOM, but holds no whole slide"):
        open_slide(data("malformed/small_dicom.dcm"))


def test_files_of_other_kinds_are_left_out_and_noted(tmp_path: Path) -> None:
    folder = made(tmp_path)
    other = describe(STACK.shape[1:], [0.0], DicomOptions(), 5)
    other.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    save(folder / "other.dcm", other, [STACK[0, :TILE, :TILE]], DicomOptions())
    with open_slide(folder) as slide:
        assert "1 DICOM files of the folder are no whole-slide images, and left out" in slide.metadata.notes
    with pytest.raises(PlanishError, match="no whole-slide image"):
        open_slide(folder / "other.dcm")


def test_twelve_bits_are_read_where_they_are_compressed(tmp_path: Path) -> None:
    stack = make_stack(channels=1, dtype=np.uint16) >> 4
    folder = made(tmp_path, stack, codec="jpeg2000", bits=16)
    for path in folder.iterdir():
        change(path, twelve_bits)
    with open_slide(folder) as slide:
        assert slide.dtype == np.uint16
        assert np.array_equal(slide.read_region(0, 2, 0, 0, 520, 392), stack[2])


def test_a_series_without_its_full_size_is_noted(tmp_path: Path) -> None:
    folder = made(tmp_path)
    with open_slide(folder) as slide:
        assert not slide.metadata.notes
    by_level(folder)[0].unlink()
    with open_slide(folder) as slide:
        (note,) = slide.metadata.notes
        assert "the full size may be missing" in note
        assert isinstance(note, Missing)


@pytest.mark.parametrize("suffix", [".dcm", "", ".img"])
def test_pictures_beside_a_series_are_no_planes(tmp_path: Path, suffix: str) -> None:
    folder = made(tmp_path)
    for path in [*folder.iterdir()]:
        path.rename(path.with_suffix(suffix))
    for index in range(12):
        (folder / f"{index:02}.png").write_bytes(imagecodecs.png_encode(STACK[index % 4, :64, :64].copy()))
    with open_slide(folder) as slide:
        assert (slide.metadata.format, len(slide.planes)) == ("DICOM", 4)


def test_a_damaged_frame_is_a_tile_error(tmp_path: Path) -> None:
    folder = made(tmp_path)
    change(by_level(folder)[0], lambda data: setattr(data, "PixelData", swap(data, 0, b"\xff\xd8\xff\xd9" * 30)))
    with open_slide(folder) as slide:
        with pytest.raises(TileError, match="frame 1 "):
            slide.read_tile(0, 0, 0, 0)
        slide.read_tile(0, 0, 1, 0)


def test_associated_images_are_read_when_asked(tmp_path: Path) -> None:
    folder = made(tmp_path)
    for kind in ("LABEL", "OVERVIEW"):
        header = describe((TILE, TILE, 3), [0.0], DicomOptions(codec="none"), 7)
        header.ImageType, header.SOPInstanceUID = ["ORIGINAL", "PRIMARY", kind, "NONE"], uid(kind)
        save(folder / f"{kind}.dcm", header, [STACK[0, :TILE, :TILE]], DicomOptions(codec="none"))
    with open_slide(folder) as slide:
        assert list(slide.associated) == ["label", "macro"]
        assert np.array_equal(slide.associated["label"], STACK[0, :TILE, :TILE])
        (folder / "LABEL.dcm").write_bytes((folder / "LABEL.dcm").read_bytes()[:-1000])
        with pytest.raises(SlideError, match="cut off"):
            slide.associated["label"]


def test_reading_after_closing_is_a_clear_error(tmp_path: Path) -> None:
    slide = open_slide(made(tmp_path))
    slide.close()
    for read in (
        lambda: slide.read_tile(0, 0, 0, 0),
        lambda: slide.encoded_tile(0, 0, 0, 0),
        lambda: slide.encoded_sizes(0),
    ):
        with pytest.raises(SlideError, match="after closing"):
            read()
