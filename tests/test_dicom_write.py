"""DICOM written: frames byte for byte, all levels in OpenSlide and wsidicom, valid, and nothing of a patient in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from wsidicom import WsiDicom

import made_dicom
from arrays import ArraySlide, map_of
from made_dicom import DicomOptions, write_dicom_stack
from makers import Z_UM, make_stack
from planish.convert import ConvertOptions, convert
from planish.errors import Cancelled, OptionError, OutputExists, WriteError
from planish.fuse.flat import FlatSlide
from planish.fuse.options import FuseOptions
from planish.phantom.containers import ContainerOptions, write_container
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.write.options import WriteOptions
from planish.write.output import write

STACK = make_stack()
EVEN = (-1.5, 0.0, 1.5, 3.0)
PLANES = np.array([[0, 1, 2, 3, 1], [3, 2, 1, 0, 2], [1, 1, 1, 2, 3], [0, 0, 3, 3, 3]], np.int16)
SECRET = "Doe^Jane"


def flat(slide: Slide) -> FlatSlide:
    full = slide.levels[0]
    focus = map_of(PLANES, 4, cell_width=128, cell_height=128, width=full.width, height=full.height)
    return FlatSlide(slide, focus, FuseOptions(method="select"))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Slide]:
    with open_slide(write_dicom_stack(tmp_path, STACK, EVEN, DicomOptions())) as slide:
        yield slide


def head(path: Path) -> Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True)


def frames(path: Path) -> list[bytes]:
    data = pydicom.dcmread(path)
    return list(
        generate_frames(
            data.PixelData,
            number_of_frames=int(data.NumberOfFrames),
            extended_offsets=(data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths),
        )
    )


def check_elsewhere(folder: Path, slide: Slide) -> None:
    """Compare what OpenSlide and wsidicom read with what planish reads."""
    sizes = [(level.width, level.height) for level in slide.levels]
    with openslide.OpenSlide(folder / "level-0.dcm") as other, WsiDicom.open(folder) as third:
        assert list(other.level_dimensions) == sizes
        assert [(level.size.width, level.size.height) for level in third.levels] == sizes
        assert float(other.properties["openslide.mpp-x"]) == pytest.approx(slide.metadata.mpp_x)
        for index, (width, height) in enumerate(sizes):
            found = slide.read_region(index, 0, 0, 0, width, height).astype(int)
            seen = np.asarray(other.read_region((0, 0), index, (width, height)))[..., :3]
            assert np.abs(found - seen).max() <= 1
            level = third.levels[index]
            seen = np.asarray(third.read_region((0, 0), level.level, (width, height)))
            assert np.abs(found - seen).max() <= 3  # another JPEG decoder


def test_frames_of_a_dicom_stack_are_copied_byte_for_byte(stack: Slide, tmp_path: Path) -> None:
    written = write(flat(stack), tmp_path / "flat.dicom")
    found = frames(written.path / "level-0.dcm")
    for place, plane in enumerate(PLANES.ravel().tolist()):
        source = stack.encoded_tile(0, plane, place % 5, place // 5)
        assert source is not None
        assert found[place] == source.data + b"\0" * (len(source.data) % 2)
    assert written.tiles_copied >= 20
    assert written.bytes_copied > 50_000
    assert written.tiles_checked >= 25
    with open_slide(written.path) as slide:
        assert slide.levels == written.levels
        check_elsewhere(written.path, slide)


def test_the_output_says_of_how_many_planes_it_was_made(stack: Slide, tmp_path: Path) -> None:
    written = write(flat(stack), tmp_path / "flat.dcm")
    data = head(written.path / "level-0.dcm")
    assert (data.ExtendedDepthOfField, data.NumberOfFocalPlanes) == ("YES", 4)
    assert data.DistanceBetweenFocalPlanes == pytest.approx(1.5)  # µm
    assert list(data.ImageType) == ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    assert list(head(written.path / "level-1.dcm").ImageType) == ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
    assert (data.LossyImageCompression, data.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    raw = 128 * 128 * 3 * 20
    assert float(data.LossyImageCompressionRatio) == pytest.approx(raw / sum(map(len, frames_of(written.path))), 0.001)
    plain = write(ArraySlide(STACK[:1]), tmp_path / "plain.dcm")
    assert head(plain.path / "level-0.dcm").ExtendedDepthOfField == "NO"


def frames_of(folder: Path) -> list[bytes]:
    return frames(folder / "level-0.dcm")


def test_unknown_distances_of_planes_are_said_to_be(tmp_path: Path) -> None:
    written = write(flat(ArraySlide(STACK, tile=128)), tmp_path / "flat.dcm")
    assert "distance is not known" in head(written.path / "level-0.dcm").DerivationDescription


def test_nothing_of_the_patient_is_carried_over(tmp_path: Path) -> None:
    source = write_dicom_stack(tmp_path, STACK, EVEN, DicomOptions())
    names = ("PatientName", "PatientID", "ContainerIdentifier", "AccessionNumber", "InstitutionName")
    for path in source.iterdir():
        data = pydicom.dcmread(path)
        for name in names:
            setattr(data, name, SECRET)
        data.save_as(path, enforce_file_format=True)
    original = head(next(source.iterdir()))
    with open_slide(source) as slide:
        written = write(flat(slide), tmp_path / "flat.dicom")
        kept = write(flat(slide), tmp_path / "kept.dicom", WriteOptions(study=str(original.StudyInstanceUID)))
    for path in written.path.iterdir():
        content = path.read_bytes()
        for word in (SECRET, original.StudyInstanceUID, original.SeriesInstanceUID, original.FrameOfReferenceUID):
            assert word.encode() not in content
    assert head(kept.path / "level-0.dcm").StudyInstanceUID == original.StudyInstanceUID


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_pixels_come_back_as_they_were(tmp_path: Path, dtype: Any, channels: int) -> None:
    stack = make_stack(planes=1, channels=channels, dtype=dtype)
    if (channels, dtype) == (3, np.uint16):
        with pytest.raises(OptionError, match="3 channels of uint16"):
            write(ArraySlide(stack), tmp_path / "a.dcm")
        return
    written = write(ArraySlide(stack), tmp_path / "a.dicom", WriteOptions(lossless=True))
    with open_slide(written.path) as slide:
        assert np.array_equal(slide.read_region(0, 0, 0, 0, 520, 392), stack[0])
        if channels == 3:
            check_elsewhere(written.path, slide)


@pytest.mark.parametrize("color", ["rgb", "ycbcr"])
def test_svs_tiles_become_frames_as_they_are(tmp_path: Path, color: str) -> None:
    path = tmp_path / "a.svs"
    write_container(ArraySlide(STACK, z_um=Z_UM), path, ContainerOptions("svs", color=color, quality=90, tile=128))
    with open_slide(path) as slide:
        one = flat(slide)
        written = write(one, tmp_path / "a.dicom")
        assert written.tiles_copied >= 20
        with open_slide(written.path) as found:
            tile, source = found.encoded_tile(0, 0, 1, 1), one.encoded_tile(0, 0, 1, 1)
            assert tile is not None
            assert source is not None
            assert tile.data == source.whole
            check_elsewhere(written.path, found)


def test_the_real_svs_becomes_dicom_with_label_and_macro(data: Callable[[str], Path], tmp_path: Path) -> None:
    with open_slide(data("slides/CMU-1-Small-Region.svs")) as slide:
        written = write(slide, tmp_path / "a.dicom", WriteOptions(label=True, macro=True))
        with open_slide(written.path) as found:
            assert np.array_equal(found.associated["label"], slide.associated["label"])
            assert found.associated["macro"].shape == slide.associated["macro"].shape
            assert found.metadata.objective_power == 20
            check_elsewhere(written.path, found)


def test_the_real_dicom_is_copied_though_no_encoder_writes_its_like(
    data: Callable[[str], Path], tmp_path: Path
) -> None:
    source = data("slides/dicom-cmu")
    with open_slide(source) as slide:
        written = write(slide, tmp_path / "a.dicom", WriteOptions(mode="copy", levels="source"))
    wanted = pydicom.dcmread(source / "level-0-frames-0-30.dcm")
    assert frames_of(written.path) == list(generate_frames(wanted.PixelData, number_of_frames=30))
    with open_slide(written.path) as found:
        assert len(found.levels) == 12
        check_elsewhere(written.path, found)


def test_a_validator_has_no_error(data: Callable[[str], Path], stack: Slide, tmp_path: Path) -> None:
    with open_slide(data("slides/CMU-1-Small-Region.svs")) as slide:
        folders = [
            write(slide, tmp_path / "a.dicom", WriteOptions(label=True, macro=True)).path,
            write(flat(stack), tmp_path / "b.dicom").path,
            write(ArraySlide(STACK[:1, ..., :1]), tmp_path / "c.dicom").path,
            write(ArraySlide(STACK[:1]), tmp_path / "d.dicom", WriteOptions(lossless=True)).path,
        ]
    program = Path(sys.executable).with_name("dciodvfy")
    for path in (path for folder in folders for path in folder.iterdir()):
        told = subprocess.run([program, path], capture_output=True, text=True, check=False).stderr.splitlines()
        # What a DICOMDIR on a CD would need: dates that are left empty, so as not to be carried over.
        rest = [line for line in told if "needed to build DICOMDIR - Study" not in line]
        assert rest == ["VLWholeSlideMicroscopyImage"], path


class Unscaled(ArraySlide):
    """A slide that does not say how large its pixels are."""

    def __init__(self, stack: NDArray[Any]) -> None:
        super().__init__(stack, mpp=0.0)


def test_what_dicom_cannot_hold_is_refused(tmp_path: Path) -> None:
    for slide, said in (
        (ArraySlide(STACK), "has 4 planes"),
        (Unscaled(STACK[:1]), "size of a pixel"),
        (ArraySlide(STACK[:1].astype(np.float32)), "float32"),
    ):
        with pytest.raises(OptionError, match=said):
            write(slide, tmp_path / "a.dicom")
    with pytest.raises(OptionError, match="no label image"):
        write(ArraySlide(STACK[:1]), tmp_path / "a.dicom", WriteOptions(label=True))
    with pytest.raises(OptionError, match="cannot be copied"):
        write(ArraySlide(STACK[:1]), tmp_path / "a.dicom", WriteOptions(mode="copy"))
    with pytest.raises(OptionError, match="layout aperio"):
        write(ArraySlide(STACK[:1]), tmp_path / "a.dicom", WriteOptions(layout="aperio"))
    assert not list(tmp_path.iterdir())


def test_only_a_folder_of_dicom_is_replaced(tmp_path: Path) -> None:
    slide, path = ArraySlide(STACK[:1]), tmp_path / "a.dicom"
    write(slide, path)
    with pytest.raises(OutputExists):
        write(slide, path)
    write(slide, path, WriteOptions(overwrite=True))
    (path / "notes.txt").write_text("mine")
    with pytest.raises(WriteError, match="not of the kind"):
        write(slide, path, WriteOptions(overwrite=True))
    assert (path / "notes.txt").exists()


def test_a_series_of_others_is_not_replaced(tmp_path: Path) -> None:
    original = write_dicom_stack(tmp_path, STACK, EVEN, DicomOptions())
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "a.dcm").write_bytes(b"no DICOM")
    for folder in (original, tmp_path / "junk"):
        before = {file.name: file.read_bytes() for file in folder.iterdir()}
        path = folder.rename(folder.with_suffix(".dicom"))
        with pytest.raises(WriteError, match="not of the kind"):
            write(ArraySlide(STACK[:1]), path, WriteOptions(overwrite=True))
        assert {file.name: file.read_bytes() for file in path.iterdir()} == before


@pytest.mark.parametrize("name", ["flat.dicom", "flat.tif"])
def test_comments_in_copied_frames_are_told_of_and_no_removal_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    encode = made_dicom._encode

    def commented(frame: NDArray[Any], options: DicomOptions) -> bytes:
        data = encode(frame, options)
        return data[:2] + b"\xff\xfe" + (2 + len(SECRET)).to_bytes(2, "big") + SECRET.encode() + data[2:]

    plain = write_dicom_stack(tmp_path / "plain", STACK, EVEN, DicomOptions())
    monkeypatch.setattr(made_dicom, "_encode", commented)
    source = write_dicom_stack(tmp_path / "commented", STACK, EVEN, DicomOptions())
    monkeypatch.undo()
    removed = []
    for number, (folder, mode) in enumerate([(plain, "auto"), (source, "auto"), (source, "encode")]):
        (tmp_path / str(number)).mkdir()
        options = ConvertOptions(fuse=FuseOptions("select"), write=WriteOptions(mode=mode))
        made = convert(folder, tmp_path / str(number) / name, options)
        files = [file for file in (tmp_path / str(number)).rglob("*") if file.is_file()]
        held = any(SECRET.encode() in file.read_bytes() for file in files)
        told = any("may name a patient" in each for each in made.record.output["warnings"])
        assert held == told == (number == 1)
        if name == "flat.dicom":
            removed.append(head(made.slide / "level-0.dcm").PatientIdentityRemoved)
    assert removed in ([], ["YES", "NO", "YES"])


def test_writing_that_a_source_says_is_burned_in_stays_said(tmp_path: Path) -> None:
    first = write(ArraySlide(STACK[:1]), tmp_path / "a.dicom").path
    assert head(first / "level-0.dcm").BurnedInAnnotation == "NO"
    for path in first.iterdir():
        data = pydicom.dcmread(path)
        data.BurnedInAnnotation = "YES"
        data.save_as(path)
    with open_slide(first) as slide:
        assert any("burned" in note for note in slide.metadata.notes)
        second = write(slide, tmp_path / "b.dicom").path
    assert head(second / "level-0.dcm").BurnedInAnnotation == "YES"


def test_a_cancelled_output_leaves_nothing(tmp_path: Path) -> None:
    def cancel(stage: str, done: int, total: int) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        write(ArraySlide(STACK[:1]), tmp_path / "a.dicom", progress=cancel)
    assert not list(tmp_path.iterdir())
