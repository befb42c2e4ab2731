"""`Quality`: how near a fused image comes to the truth of a `FocalStack`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.phantom.stacks import FocalStack

SSIM_SIGMA = 1.5
"""Standard deviation of the window, in pixels; 11 × 11 taps."""


@dataclass(frozen=True)
class Quality:
    """How near an image comes to the truth.

    Attributes
    ----------
    psnr : mapping of str to float
        In dB, by part of the image: ``"whole"``, ``"specimen"``, ``"glass"``, ``"halo"``; those that are empty are
        left out. The peak is the dtype's largest value.
    ssim : mapping of str to float
        Mean structural similarity, likewise.
    depth_error : float or None
        Mean of |depth − true depth| in planes, over textured pixels. Whole planes cannot come below about 0.25.
    plane_error : float or None
        Mean of |depth − nearest plane| in planes, over textured pixels.
    """

    psnr: Mapping[str, float]
    ssim: Mapping[str, float]
    depth_error: float | None
    plane_error: float | None


def quality(stack: FocalStack, image: NDArray[Any], depth: NDArray[Any] | None = None) -> Quality:
    """Compare an image with the truth.

    Parameters
    ----------
    stack : FocalStack
        What was fused.
    image : ndarray, (Y, X) or (Y, X, 3)
        The fused image.
    depth : ndarray, (Y, X), or None
        Where its pixels come from, in planes, whole or fractional.
    """
    peak = float(np.iinfo(stack.stack.dtype).max)
    squares, similar = (image - stack.truth.astype(np.float64)) ** 2, ssim(image, stack.truth, peak)
    parts = {
        "whole": np.ones(stack.depth.shape, bool),
        "specimen": stack.specimen,
        "glass": stack.glass,
        "halo": stack.halo,
    }
    parts = {name: part for name, part in parts.items() if part.any()}
    errors: list[float | None] = [None, None]
    if depth is not None:
        errors = [float(np.abs(depth - true)[stack.textured].mean()) for true in (stack.depth, stack.nearest)]
    return Quality(
        {name: float(10 * np.log10(peak**2 / squares[part].mean())) for name, part in parts.items()},
        {name: float(similar[part].mean()) for name, part in parts.items()},
        *errors,
    )


def ssim(image: NDArray[Any], truth: NDArray[Any], peak: float) -> NDArray[np.float64]:
    """Return the structural similarity of every pixel, the mean of the channels', (Y, X).

    Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity", IEEE
    Trans. Image Process. 13(4):600, 2004: Gaussian window of 11 × 11 px and σ = 1.5, K₁ = 0.01, K₂ = 0.03.
    """
    height, width = image.shape[:2]
    channels = [part.reshape(height, width, -1).astype(np.float64) for part in (image, truth)]
    maps = [_ssim(a, b, peak) for a, b in zip(*(np.moveaxis(part, 2, 0) for part in channels), strict=True)]
    return np.asarray(np.mean(maps, axis=0), np.float64)


def _ssim(image: NDArray[np.float64], truth: NDArray[np.float64], peak: float) -> NDArray[np.float64]:
    mean, true_mean = _windowed(image), _windowed(truth)
    variance, true_variance = _windowed(image**2) - mean**2, _windowed(truth**2) - true_mean**2
    covariance = _windowed(image * truth) - mean * true_mean
    of_mean, of_contrast = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    alike = (2 * mean * true_mean + of_mean) * (2 * covariance + of_contrast)
    return alike / ((mean**2 + true_mean**2 + of_mean) * (variance + true_variance + of_contrast))


def _windowed(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(image), (11, 11), SSIM_SIGMA), np.float64)
