"""Small light-sheet data sets for tests, and the command that works on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from planish.cli import main
from planish.lightsheet.dataset import open_dataset
from planish.lightsheet.phantom import PhantomOptions, TwoCameraPhantom
from planish.lightsheet.transform import CameraTransform, apply_camera

OPTIONS = PhantomOptions(seed=11, shape=(24, 96, 96), dx=5.3, dy=-2.6)
TIMES = (0, 1, 3)
STEM = "SPM00_TM{:06d}_CM{:02d}_CHN00"
FUSED = "SPM00_TM{:06d}_CM00_CM01_CHN00"


def sheet(*arguments: object) -> int:
    """Run a step of `planish lightsheet`; return its exit code, also of wrong usage."""
    try:
        return main(["lightsheet", *map(str, arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)


def phantom(time: int = 0) -> TwoCameraPhantom:
    """Return what stands before the cameras."""
    return TwoCameraPhantom(replace(OPTIONS, frame_seed=time))


def write_raw(folder: Path, times: tuple[int, ...] = TIMES) -> Path:
    """Write raw files of some time points."""
    for time in times:
        phantom(time).write(folder, time=time)
    return folder


def corrected(folder: Path, *more: object, times: tuple[int, ...] = TIMES) -> Path:
    """Write raw files, correct them, and return the corrected folder."""
    write_raw(folder / "raw", times)
    assert sheet("correct", folder / "raw", folder / "corrected", "--quiet", "--no-diagnostics", *more) == 0
    return folder / "corrected"


def views(folder: Path, options: PhantomOptions = OPTIONS) -> list[NDArray[np.float64]]:
    """Return both cameras' corrected volumes of the first time point, moved onto each other without fault."""
    data = open_dataset(folder)
    first, second = (np.asarray(data.volume(look), np.float64) for look in data.looks[:2])
    return [first, apply_camera(second, CameraTransform(options.dx, options.dy, options.angle_deg))]


def psnr(volume: NDArray[np.float64], truth: NDArray[np.float32]) -> float:
    """Return the PSNR of what all cameras see, in dB, at the best brightness."""
    inside = (slice(None), slice(12, -12), slice(12, -12))
    seen, wanted = volume[inside].astype(np.float64).ravel(), truth[inside].astype(np.float64).ravel()
    error = seen * (seen @ wanted) / (seen @ seen) - wanted
    return float(10 * np.log10(float(truth.max()) ** 2 / np.mean(error**2)))
