"""Sharpness measures: one number per image, larger = sharper.

Each takes a 2-D array of any integer or float dtype and works on signed floats, so that nothing wraps around. Those
that square differences between grey levels are in (grey levels)². An image too small for a measure scores 0.

Every measure but `vollath_f4` ignores a constant added to the image, so the image's mean is taken off first: float32
then keeps the small contrasts of 16-bit data.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[Any]
"""(height, width), any integer or float dtype."""


def luma(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Return the brightness that measures are taken on, in grey levels.

    Parameters
    ----------
    pixels : ndarray
        (height, width, channels) of any integer or float dtype.

    Returns
    -------
    ndarray of float32
        (height, width): 0.299 R + 0.587 G + 0.114 B (Rec. 601) of three channels, one channel as it is, else the
        channels' mean.
    """
    channels = pixels.shape[2]
    if channels == 1:
        return np.ascontiguousarray(pixels[:, :, 0], np.float32)
    values: NDArray[np.float32] = np.ascontiguousarray(pixels, np.float32)
    if channels == 3:
        return np.asarray(cv2.cvtColor(values, cv2.COLOR_RGB2GRAY), np.float32)
    return np.asarray(values.mean(axis=2), np.float32)


def blur_difference(image: Image) -> float:
    """Return Σ |blur₅ₓ₅(I) − I|, box blur, in grey levels × pixels.

    Pathomation's blog, "blur detection in z-stacks". The code printed there subtracts unsigned integers, which wraps
    around; the difference is a signed one here.
    """
    grey = _centred(image)
    return float(cv2.norm(cv2.blur(grey, (5, 5)), grey, cv2.NORM_L1))


def variance(image: Image) -> float:
    """Return the population variance Var(I), in (grey levels)².

    Best of 16 measures on Pap and blood smears: Liu et al. 2007, 10.1111/j.1365-2818.2007.01779.x.
    """
    return _variance(_centred(image))


def gaussian_variance(image: Image, sigma: float = 2.0) -> float:
    """Return the mean of `gaussian_variance_map`, in grey levels."""
    return float(gaussian_variance_map(image, sigma).mean())


def gaussian_variance_map(image: Image, sigma: float = 2.0) -> NDArray[np.float32]:
    """Return f = √(G_σ(I²) − G_σ(I)²) of every pixel: the standard deviation under a Gaussian window, in grey levels.

    Conor Lawless's post on focus. A smaller σ, in pixels, gives more sharply bounded areas.
    """
    grey: NDArray[Any] = _centred(image)
    if cv2.norm(grey, cv2.NORM_INF) > 255:
        # Beside a strong edge the squares of 16-bit data need more digits than float32 has.
        grey = grey.astype(np.float64)
    mean = cv2.GaussianBlur(grey, (0, 0), sigma)
    square = cv2.GaussianBlur(grey * grey, (0, 0), sigma)
    spread: NDArray[np.float32] = np.sqrt(np.maximum(square - mean * mean, 0)).astype(np.float32)
    return spread


def laplacian(image: Image) -> float:
    """Return Var(∇²I) with the 4-neighbour Laplacian, in (grey levels)². The common default; no single source."""
    return _variance(np.asarray(cv2.Laplacian(_centred(image), cv2.CV_32F), np.float32))


def tenengrad(image: Image) -> float:
    """Return mean(Sobel_x² + Sobel_y²), 3×3 kernels, in (grey levels)². Tenenbaum's gradient measure."""
    grey = _centred(image)
    slopes = (cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return sum(float(cv2.norm(slope, cv2.NORM_L2SQR)) for slope in slopes) / grey.size


def brenner(image: Image) -> float:
    """Return mean((I[x+2] − I[x])²), x along rows, in (grey levels)².

    With Vollath's the best for curve fitting on TB smears: PMC2965442.
    """
    grey = _centred(image)
    if grey.shape[1] < 3:
        return 0.0
    return float(cv2.norm(grey[:, 2:], grey[:, :-2], cv2.NORM_L2SQR)) / (grey[:, 2:].size)


def vollath_f4(image: Image) -> float:
    """Return Σ I[x]·I[x+1] − Σ I[x]·I[x+2], x along rows, each sum over all pairs inside, in (grey levels)².

    Vollath's F₄; the best mean error, 0.27 µm, in PMC2965442. It does depend on the image's brightness: the first sum
    has a pair more per row.
    """
    grey = np.ascontiguousarray(image, np.float64)
    if grey.shape[1] < 2:
        return 0.0
    # The same pairs, sorted so that large numbers are subtracted before they are multiplied.
    inner = np.vdot(grey[:, :-2], grey[:, 1:-1] - grey[:, 2:])
    return float(inner + np.vdot(grey[:, -2], grey[:, -1]))


def _centred(image: Image) -> NDArray[np.float32]:
    """Subtract the mean, in double precision where float32 could not hold the values."""
    wide = image.dtype.itemsize > 4 or (image.dtype.kind in "iu" and image.dtype.itemsize > 2)
    grey: NDArray[Any] = np.ascontiguousarray(image, np.float64 if wide else np.float32)
    centred = np.subtract(grey, cv2.mean(grey)[0], dtype=grey.dtype)
    return np.asarray(centred, np.float32)


def _variance(grey: NDArray[np.float32]) -> float:
    return float(cv2.meanStdDev(grey)[1][0, 0] ** 2)
