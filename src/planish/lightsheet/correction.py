"""One raw volume corrected: turned, its bad pixels replaced, its background taken off, its specimen found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import SlideError
from planish.lightsheet.background import background_level, dark_level
from planish.lightsheet.badpixels import find_bad_pixels, replace_bad_pixels
from planish.lightsheet.correctoptions import CorrectOptions
from planish.lightsheet.lazyvolume import Volume
from planish.lightsheet.mask import Foreground, MaskOptions, foreground
from planish.threads import each_in_threads


@dataclass(frozen=True, eq=False)
class Corrected:
    """What came of one volume.

    Attributes
    ----------
    pixels : ndarray, (Z, Y, X)
        Of the raw dtype, without background, so that an empty voxel is about 0.
    bad : ndarray of bool, (Y, X)
        Pixels that were replaced.
    background : float
        What was taken off, in counts.
    found : Foreground or None
        Where the specimen is.
    """

    pixels: NDArray[Any]
    bad: NDArray[np.bool_]
    background: float
    found: Foreground | None


def correct_volume(
    raw: Volume, camera: int, dark: NDArray[Any] | None, options: CorrectOptions, *, masked: bool = True
) -> Corrected:
    """Correct a volume. Memory: its pixels as stored, once, and its mask.

    Parameters
    ----------
    raw : Volume
        As the camera recorded it.
    camera : int
        Which one it was.
    dark : ndarray or None, (Y, X)
        What it records without light, not turned yet.
    options : CorrectOptions
        How.
    masked : bool
        Whether to find the specimen.

    Raises
    ------
    SlideError
        Where the dark frame is of another size.
    OptionError
        Where the crop goes beyond the volume.
    """
    turn = options.orientation(camera)
    if dark is not None:
        _check_dark(raw, dark)
        dark = turn.apply(dark)
    volume = turn.apply(raw)
    bad = np.zeros(volume.shape[1:], bool)
    if options.bad_pixels:
        bad = find_bad_pixels(volume, dark, options.bad_pixels)
    pixels = _replaced(volume, bad, options.output.jobs)
    level = _background(pixels, dark, options)
    each_in_threads(lambda z: subtract(pixels[z], level), len(pixels), options.output.jobs)
    found = foreground(pixels, mask_options(raw, options)) if masked and options.mask.mode != "none" else None
    return Corrected(pixels, bad, level, found)


def _replaced(volume: NDArray[Any], bad: NDArray[np.bool_], jobs: int) -> NDArray[Any]:
    """Return a copy without bad pixels; turned volumes are views of others' pixels, maybe of a file."""
    pixels = np.empty(volume.shape, volume.dtype)
    each_in_threads(lambda z: np.copyto(pixels[z], replace_bad_pixels(volume[z], bad)), len(pixels), jobs)
    return pixels


def mask_options(raw: Volume, options: CorrectOptions) -> MaskOptions:
    """Return the mask options with what the volume tells: how much farther apart than pixels planes are."""
    gaussian = options.mask.gaussian
    if raw.voxel_um:
        gaussian = replace(gaussian, axial_ratio=raw.voxel_um[0] / raw.voxel_um[2])
    return replace(options.mask, gaussian=gaussian, jobs=options.output.jobs)


def subtract(plane: NDArray[Any], level: float) -> None:
    """Take a level off a plane, in place; what would be below 0 becomes 0, and whole numbers stay whole."""
    if plane.dtype.kind not in "iu":
        plane -= plane.dtype.type(level)
        return
    whole = plane.dtype.type(min(max(round(level), 0), np.iinfo(plane.dtype).max))
    np.subtract(np.maximum(plane, whole), whole, out=plane)


def _background(pixels: NDArray[Any], dark: NDArray[Any] | None, options: CorrectOptions) -> float:
    told = options.background
    if dark is not None:
        return dark_level(dark, told.dark_percentile)
    return background_level(pixels, told.percentile, told.step)


def _check_dark(raw: Volume, dark: NDArray[Any]) -> None:
    if dark.shape != raw.shape[1:]:
        height, width = dark.shape
        raise SlideError(
            f"{raw.source}: planes of {raw.shape[2]} × {raw.shape[1]} px, but its camera's dark frame has {width} × "
            f"{height}; put the right Background_*.tif there, or remove them to have the background estimated"
        )
