"""Sparse DICOM: each frame is where its file says, or the file is refused; no plane gets lost in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from made_dicom import DicomOptions, write_dicom_stack
from makers import Z_UM, make_stack
from planish.errors import UnsupportedSlide
from planish.model import Missing
from planish.slide.open import open_slide

STACK = make_stack()


def made(folder: Path, z_um: Any = Z_UM, **options: Any) -> Path:
    return write_dicom_stack(folder, STACK, z_um, DicomOptions(codec="none", layout="sparse", **options))


def change(folder: Path, edit: Callable[[Dataset], object]) -> None:
    """Change some attributes of all files, each frame's position on its own."""
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        edit(data)
        data.save_as(path, enforce_file_format=True)


def positions(data: Dataset) -> list[Dataset]:
    return [frame.PlanePositionSlideSequence[0] for frame in data.PerFrameFunctionalGroupsSequence]


def drop_z(data: Dataset) -> None:
    for position in positions(data):
        del position.ZOffsetInSlideCoordinateSystem


def shift(data: Dataset) -> None:
    for position in positions(data)[5:]:
        position.ColumnPositionInTotalImagePixelMatrix = max(1, position.ColumnPositionInTotalImagePixelMatrix - 40)


def state_six(data: Dataset) -> None:
    data.TotalPixelMatrixFocalPlanes = 6


def state_one(data: Dataset) -> None:
    data.TotalPixelMatrixFocalPlanes = 1


def keep(data: Dataset) -> None:
    pass


@pytest.mark.parametrize(
    ("z_um", "edit", "said"),
    [
        (Z_UM, drop_z, "several of its frames are of one place at z 0 µm"),
        ((0.0, 0.0, 0.0, 0.0), keep, "several of its frames are of one place at z 0 µm"),
        ((0.0, 1.0, 1.0, 2.0), keep, "several of its frames are of one place at z 1 µm"),
        ((0.0, 0.0002, 0.0004, 0.0006), keep, "several of its frames are of one place"),
        (Z_UM, state_six, "says that it has 6 focal planes, but its frames are of 4 different z"),
        (Z_UM, state_one, "says that it has 1 focal planes, but its frames are of 4 different z"),
        (Z_UM, shift, "off the grid of its 128 × 128 px tiles"),
    ],
)
def test_planes_that_would_get_lost_or_shifted_are_refused(
    tmp_path: Path, z_um: Any, edit: Callable[[Dataset], None], said: str
) -> None:
    folder = made(tmp_path, z_um)
    change(folder, edit)
    with pytest.raises(UnsupportedSlide) as caught:
        open_slide(folder)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_does_not_state_its_planes_is_read_by_its_frames(tmp_path: Path) -> None:
    folder = made(tmp_path)
    change(folder, lambda data: data.__delitem__("TotalPixelMatrixFocalPlanes"))
    with open_slide(folder) as slide:
        assert [plane.z_um for plane in slide.planes] == list(Z_UM)
        assert all(np.array_equal(slide.read_region(0, plane, 0, 0, 520, 392), STACK[plane]) for plane in range(4))


def test_tiles_that_one_plane_lacks_are_missing_and_those_of_none_are_glass(tmp_path: Path) -> None:
    with open_slide(made(tmp_path / "one", missing=(0,))) as slide:
        assert [type(note) for note in slide.metadata.notes] == [Missing]
    folder = made(tmp_path / "all", missing=(0, 20, 40, 60))
    next(path for path in folder.iterdir() if pydicom.dcmread(path).TotalPixelMatrixColumns < 500).unlink()
    with open_slide(folder) as slide:
        assert slide.metadata.notes == ("4 tiles were not scanned; they are white",)
        assert not isinstance(slide.metadata.notes[0], Missing)
