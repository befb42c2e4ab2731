"""Raw light-sheet files as the microscope leaves them, without the phantom: a few planes of known numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

XML = """<?xml version="1.0" encoding="utf-8"?>
<push_config version="1.0">
  <info specimen_name="fish 3" />
  <info timestamp="2024/05/06 07:08:09" />
  <info angle="0.00" />
  <info camera_index="{cameras}" />
  <info camera_type="C11440-22C,C11440-22C" />
  <info wavelength="488,561" />
  <info illumination_arms="1" />
  <info exposure_time="12.5" />
  <info detection_objective="SpecialOptics 16x/0.70,SpecialOptics 16x/0.70" />
  <info dimensions="{dimensions}" />
  <info z_step="2.500" />
  <info stack_direction="Z" />
</push_config>
"""
SHAPE = (12, 40, 56)


@dataclass(frozen=True)
class Raw:
    """Which raw files.

    Attributes
    ----------
    times, cameras : tuple of int
        Which there are.
    shape : tuple of int
        (Z, Y, X).
    xml_depth : int or None
        As the XML has it, where that is stale.
    """

    times: tuple[int, ...] = (0, 1, 2)
    cameras: tuple[int, ...] = (0, 1)
    shape: tuple[int, int, int] = SHAPE
    xml_depth: int | None = None


def stack_path(folder: Path, time: int, camera: int, specimen: int = 0) -> Path:
    return folder / f"SPC{specimen:02d}_TM{time:05d}_ANG000_CM{camera}_CHN00_PH0.stack"


def pixels(time: int, camera: int, shape: tuple[int, ...] = SHAPE) -> NDArray[Any]:
    """Return what a look holds; the same each time."""
    return np.random.default_rng([time, camera]).integers(0, 65536, shape).astype("<u2")


def write_xml(folder: Path, dimensions: str, cameras: str = "0,1", name: str = "ch0.xml") -> Path:
    path = folder / name
    path.write_text(XML.format(dimensions=dimensions, cameras=cameras), encoding="utf-8")
    return path


def write_raw(folder: Path, raw: Raw | None = None) -> Path:
    """Write raw files and their XML into a folder, and return that."""
    raw = raw or Raw()
    depth, height, width = raw.shape
    for time in raw.times:
        for camera in raw.cameras:
            pixels(time, camera, raw.shape).tofile(stack_path(folder, time, camera))
    size = f"{width}x{height}x{raw.xml_depth or depth}"
    write_xml(folder, ",".join([size] * len(raw.cameras)), ",".join(map(str, raw.cameras)))
    return folder
