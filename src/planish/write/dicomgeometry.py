"""Sizes and distances in a DICOM output: of pixels in mm, of focal planes in µm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from pydicom.dataset import Dataset

from planish.fuse.flat import FlatSlide
from planish.fuse.fused import FusedSlide
from planish.model import Level, Plane
from planish.slide.base import Slide

_UM_PER_MM = 1000.0
_THIN_UM = 1.0
"""Depth of an image whose planes are not known: DICOM wants a number."""


def source_planes(slide: Slide | None) -> Sequence[Plane]:
    """Return the focal planes that a flat slide was made of."""
    return slide.stack.planes if isinstance(slide, FlatSlide | FusedSlide) else ()


def source_notes(slide: Slide) -> Sequence[str]:
    """Return what the reader said of the slide that a flat slide was made of."""
    return (slide.stack if isinstance(slide, FlatSlide | FusedSlide) else slide).metadata.notes


def mean_distance(planes: Sequence[Plane]) -> float | None:
    """Return how far apart planes lie on average, in µm; None where the file does not tell."""
    z_um = [plane.z_um for plane in planes if plane.z_um is not None]
    gaps = [high - low for low, high in pairwise(z_um)]
    return sum(gaps) / len(gaps) if gaps and len(z_um) == len(planes) else None


def measures(slide: Slide, level: Level) -> Dataset:
    """Return the attributes of pixel spacing, none where it is not known."""
    data, size = Dataset(), _pixel_um(slide, level)
    if not all(size):
        return data
    data.PixelSpacing = [f"{side / _UM_PER_MM:.12f}" for side in reversed(size)]
    data.SliceThickness = f"{_depth_um(slide) / _UM_PER_MM:.6f}"
    return data


def volume(slide: Slide, level: Level) -> Dataset:
    """Return the attributes of the imaged volume."""
    data, (width_um, height_um) = Dataset(), _pixel_um(slide, level)
    data.ImagedVolumeWidth, data.ImagedVolumeHeight = (
        side / _UM_PER_MM for side in (level.width * width_um, level.height * height_um)
    )
    data.ImagedVolumeDepth = _depth_um(slide)
    return data


def _pixel_um(slide: Slide, level: Level) -> tuple[float, float]:
    """Return the width and height of a level's pixels."""
    metadata, full = slide.metadata, slide.levels[0]
    across, down = level.downsample_x, level.downsample_y
    halvings = 2 ** round(math.log2(max(across, down)))
    if level.width == -(-full.width // halvings) or level.width == full.width // halvings:
        # Halved levels cover a little more or less than full size; their pixels are halvings all the same, and wsidicom
        # takes no others.
        across = down = halvings
    return (metadata.mpp_x or 0.0) * across, (metadata.mpp_y or 0.0) * down


def _depth_um(slide: Slide) -> float:
    planes = source_planes(slide)
    return (mean_distance(planes) or 0.0) * (len(planes) - 1) or _THIN_UM
