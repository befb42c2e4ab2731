"""Focus images: where in a picture the focus lies, after Conor Lawless (`gaussian-variance`).

The focus measure of a pixel is the standard deviation of the grey levels under a Gaussian window around it, divided by
the largest one in the picture. Shown dark on light it is the *focus image*; where it is large, the *focus mask* shows
the picture's own colours, and a plain background elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.colors import to_rgb as parse_color
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.focus.measures import gaussian_variance_map, luma
from planish.report.thumbnail import middle_plane, overview, to_rgb, write_png
from planish.slide.base import Slide

MOST_SIGMA = 100.0
"""Pixels. Beyond, a window holds all that a cell does, and filtering with it takes minutes and gigabytes."""


@dataclass(frozen=True, slots=True)
class FocusImageOptions:
    """How a focus image is made.

    Attributes
    ----------
    sigma : float
        Standard deviation of the Gaussian window in pixels, at most `MOST_SIGMA`. Smaller, and areas are bounded more
        sharply.
    mask : bool
        Whether to show the picture's own colours where it is in focus, instead of the focus measure.
    background : str
        What a mask shows elsewhere: a CSS colour name or ``#rrggbb``.
    threshold : float or None
        Focus measure, 0 to 1, from which on a mask counts a pixel as in focus; None: Otsu's, from the picture itself.
    plane : int or None
        Plane of a slide, by default the middle one.
    longest : int
        Longer side in pixels at which a slide is looked at, at most.
    """

    sigma: float = 2.0
    mask: bool = False
    background: str = "white"
    threshold: float | None = None
    plane: int | None = None
    longest: int = 4096

    def __post_init__(self) -> None:
        if not 0 < self.sigma <= MOST_SIGMA:
            raise OptionError(f"sigma must be above 0 and at most {MOST_SIGMA:g} pixels, got {self.sigma}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise OptionError(f"the focus threshold must lie between 0 and 1, got {self.threshold}")
        if self.longest < 1:
            raise OptionError(f"a focus image needs at least 1 pixel, got {self.longest}")
        _ = self.background_rgb

    @property
    def background_rgb(self) -> tuple[int, int, int]:
        """The background as red, green and blue, 0 to 255."""
        try:
            red, green, blue = parse_color(self.background)
        except ValueError as error:
            raise OptionError(
                f"unknown background colour {self.background!r}; give a CSS colour name or #rrggbb"
            ) from error
        return round(255 * red), round(255 * green), round(255 * blue)


def focus_measure(pixels: NDArray[Any], sigma: float = 2.0) -> NDArray[np.float32]:
    """Return the focus measure of every pixel, (height, width), 0 to 1; all 0 for a picture without any detail.

    Parameters
    ----------
    pixels : ndarray
        (height, width) or (height, width, channels) of any integer or float dtype.
    sigma : float, optional
        Standard deviation of the Gaussian window in pixels.
    """
    FocusImageOptions(sigma=sigma)
    spread = gaussian_variance_map(luma(np.atleast_3d(pixels)), sigma)
    largest = spread.max()
    return spread / largest if largest > 0 else spread


def focus_image(pixels: NDArray[Any], sigma: float = 2.0) -> NDArray[np.uint8]:
    """Return round(255·(1 − f)) of the focus measure f, (height, width): dark is sharp."""
    return np.rint(255 * (1 - focus_measure(pixels, sigma))).astype(np.uint8)


def focus_mask(pixels: NDArray[Any], options: FocusImageOptions | None = None) -> NDArray[np.uint8]:
    """Return the picture in its own colours where it is in focus, and the background elsewhere, (height, width, 3)."""
    options = options or FocusImageOptions(mask=True)
    measure = focus_measure(pixels, options.sigma)
    threshold = otsu(measure) if options.threshold is None else options.threshold
    background = np.array(options.background_rgb, np.uint8)
    return np.where((measure >= threshold)[:, :, np.newaxis], to_rgb(np.atleast_3d(pixels)), background)


def otsu(measure: NDArray[np.float32]) -> float:
    """Return the focus measure that parts the pixels best into two classes (Otsu 1979)."""
    threshold, _ = cv2.threshold(np.rint(255 * measure).astype(np.uint8), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    # OpenCV's threshold is the last step of the lower class.
    return float((threshold + 0.5) / 255)


def write_focus_image(
    picture: Slide | NDArray[Any], path: Path, options: FocusImageOptions | None = None, *, overwrite: bool = False
) -> None:
    """Write the focus image, or the mask where the options say so, as PNG.

    Parameters
    ----------
    picture : Slide or ndarray
        Pixels, (height, width) or (height, width, channels), are taken at full size; a slide at its largest level of
        at most ``options.longest`` pixels, or made that small where it has none.
    path : Path
        Ends in ``.png``.
    options : FocusImageOptions, optional
        How it is made.
    overwrite : bool, optional
        Whether a file of that name may be replaced.
    """
    write_png(focus_picture(picture, options), path, overwrite=overwrite)


def focus_picture(picture: Slide | NDArray[Any], options: FocusImageOptions | None = None) -> NDArray[np.uint8]:
    """Return what `write_focus_image` writes: the focus image, (height, width), or the mask, (height, width, 3)."""
    options = options or FocusImageOptions()
    pixels = _look(picture, options) if isinstance(picture, Slide) else picture
    return focus_mask(pixels, options) if options.mask else focus_image(pixels, options.sigma)


def _look(slide: Slide, options: FocusImageOptions) -> NDArray[Any]:
    """Return the pixels of the slide's plane at a size that a focus image can be looked at."""
    plane = middle_plane(slide) if options.plane is None else options.plane
    for index, level in enumerate(slide.levels):
        if max(level.width, level.height) <= options.longest:
            return slide.read_region(index, plane, 0, 0, level.width, level.height)
    return overview(slide, plane, len(slide.levels) - 1, options.longest)
