"""The files of a raw data set, as the microscope writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from planish.lightsheet.phantom_options import PhantomOptions

CAMERA_PIXEL_UM = 6.5


def stack_name(specimen: int, time: int, camera: int, channel: int) -> str:
    """Return the name of one look's raw file."""
    return f"SPC{specimen:02d}_TM{time:05d}_ANG000_CM{camera}_CHN{channel:02d}_PH0.stack"


def write_dark(folder: Path, camera: int, frame: NDArray[np.uint16]) -> None:
    """Write a camera's dark frame; it is the files' order by name that tells the cameras."""
    tifffile.imwrite(folder / f"Background_{camera}.tif", frame)


def write_xml(folder: Path, options: PhantomOptions, channel: int, depth: int | None = None) -> None:
    """Write a channel's `push_config`: an element with one attribute for each fact."""
    root = ElementTree.Element("push_config", version="1.0")
    for name, value in _facts(options, channel, depth).items():
        ElementTree.SubElement(root, "info", {name: str(value)})
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(folder / f"ch{channel}.xml", encoding="utf-8", xml_declaration=True)


def _facts(options: PhantomOptions, channel: int, depth: int | None) -> dict[str, Any]:
    planes, height, width = options.shape
    size = f"{width}x{height}x{planes if depth is None else depth}"
    magnification = CAMERA_PIXEL_UM / options.voxel_um[2]
    return {
        "data_header": "phantom",
        "specimen_name": "phantom",
        "timestamp": "2026/01/31 12:00:00",
        "time_point": 0,
        "specimen_XYZT": "X=0.000_Y=0.000_Z=0.000_T=0.000",
        "angle": "0.00",
        "camera_index": "0,1",
        "camera_type": "C11440-22C,C11440-22C",
        "camera_roi": f"0_{width}_0_{height},0_{width}_0_{height}",
        "wavelength": (488, 561)[channel],
        "illumination_arms": channel + 1,
        "illumination_filter": "BP525/50",
        "exposure_time": "10.00",
        "detection_filter": "BP525/50,BP525/50",
        "detection_objective": ",".join([f"SpecialOptics {magnification:g}x/0.70"] * 2),
        "dimensions": f"{size},{size}",
        "z_step": f"{options.voxel_um[0]:.3f}",
        "stack_direction": "Z",
        "planes": f"0-{planes - 1}",
    }
