"""The pictures of the light-sheet steps: they are there, and show what they should."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lightsheets import FUSED, STEM, corrected, sheet
from planish.lightsheet.figures import overlay, small


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pictures")
    corrected(root, "--overwrite", times=(0, 1))
    assert sheet("correct", root / "raw", root / "corrected", "--overwrite", "--quiet") == 0
    assert sheet("fuse", root / "corrected", root / "fused", "--quiet") == 0
    assert sheet("smooth", root / "fused/parameters.csv", root / "smooth.csv", "--quiet") == 0
    return root


def read(path: Path) -> NDArray[np.int16]:
    """Return a picture's RGB pixels."""
    picture = cv2.imread(str(path))
    assert picture is not None
    return np.asarray(picture[..., ::-1], np.int16)


def coloured(picture: NDArray[np.int16]) -> int:
    """Return how many pixels are clearly magenta or green."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    return int(np.count_nonzero((np.abs(red - green) > 80) & (np.abs(red - blue) < 10)))


def test_every_step_draws_its_pictures(done: Path) -> None:
    fused = {path.name for path in (done / "fused/SPM00/diagnostics").iterdir()}
    kinds = ("registration", "intensity", "fusion", "weights")
    assert fused == {f"{FUSED.format(time)}.{kind}.png" for time in (0, 1) for kind in kinds}
    made = {path.name for path in (done / "corrected/SPM00/diagnostics").iterdir()}
    assert made == {f"{STEM.format(time, camera)}.correction.png" for time in (0, 1) for camera in (0, 1)}
    for path in (done / "fused/overview.png", done / "fused/parameters.png", done / "smooth.png"):
        assert read(path).std() > 5


def test_the_overlay_is_coloured_before_and_grey_after_registration(done: Path) -> None:
    picture = read(done / "fused/SPM00/diagnostics" / f"{FUSED.format(0)}.registration.png")
    before, after = np.array_split(picture, 2, axis=1)
    assert coloured(before) > 1000
    assert coloured(after) < coloured(before) / 5


def test_an_overlay_of_equals_is_grey() -> None:
    image = np.random.default_rng(0).random((30, 40))
    found = overlay(image, 5 * image + 3)
    assert np.ptp(found, axis=2).max() < 1e-6


def test_large_images_are_averaged_down() -> None:
    assert small(np.zeros((2000, 1000))).shape == (640, 320)
    assert small(np.full((2000, 1000), np.nan)).shape[0] < 1000
    assert small(np.zeros((20, 10))).shape == (20, 10)
