"""Tissue that shines on its own, as a fluorescence microscope sees it plane by plane over a smooth surface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.special
from numpy.typing import NDArray

from planish.model import Box
from planish.phantom.sheet import Sheet, SheetOptions
from planish.phantom.texture import Field, fractal, value_noise

MARGIN = 96
"""Pixels drawn around the image, so that blur reaches in from outside."""

SIGMAS = (0, 0.25, 0.5, 0.75, 1, 1.4, 2, 2.8, 4, 5.6, 8, 11, 16, 22, 32)
"""Blurs, in pixels, between which is interpolated."""


@dataclass(frozen=True)
class Tissue:
    """What tissue looks like and how it is recorded.

    Attributes
    ----------
    draw : callable
        Returns its brightness, about 0 to 1, in a box of pixels, from a seed.
    brightness : float
        Grey levels of brightness 1.
    spread : float
        Sigma in pixels per plane of defocus.
    read_noise : float
        Standard deviation of the camera's own noise in grey levels.
    gain : float
        Grey levels per photon: their noise has the variance gain × grey level.
    """

    draw: Callable[[Box, int], Field]
    brightness: float
    spread: float = 1.2
    read_noise: float = 190.0
    gain: float = 18.0


def tubules(box: Box, seed: int) -> Field:
    """Return bright tubules with a fine network inside, darker tissue with small nuclei between them."""
    inside = 1 / (1 + np.exp(-6 * (fractal(box, (256, 96), seed) - np.float32(0.3))))
    network = _ridges(box, (24,), seed + 11, 0.25) + _ridges(box, (8, 16), seed + 22, 0.3)
    nuclei = np.clip(fractal(box, (6, 12), seed + 44) - np.float32(0.6), 0, 1.5)
    detail = inside * (0.6 * network - 0.3) + (1 - inside) * (0.8 * nuclei - 0.2)
    grain = 0.1 * fractal(box, (24, 48), seed + 55) + 0.12 * fractal(box, (2, 4, 8), seed + 33)
    return np.asarray((0.15 + 0.21 * inside) * np.exp(detail + grain), np.float32)


def nuclei(box: Box, seed: int) -> Field:
    """Return bright nuclei in a dimmer, grainy matrix: a histological section's two stains as if they shone."""
    sheet = Sheet(SheetOptions(folded=False, seed=seed, mpp=0.25, planes=1, spacing_um=1.0, band=1.0))
    strength = {0: 0.6, 1: 0.6}
    return np.asarray(sum(strength[part.stain] * part.density for part in sheet.deposits(box)), np.float32)


TISSUES = {"tubules": Tissue(tubules, 52_000), "nuclei": Tissue(nuclei, 36_000)}
"""Tissues by name."""


def true_surface(size: int, planes: int, seed: int) -> Field:
    """Return the depth in planes, (size, size): hills and valleys that spend about as long at each plane."""
    hills = value_noise(Box(0, 0, size, size), size / 3, seed * 7919 + 5)
    return np.asarray(scipy.special.ndtr(hills) * np.float32(planes - 1), np.float32)


def draw_tissue(tissue: Tissue, surface: Field, planes: int, seed: int) -> tuple[NDArray[np.uint16], Field]:
    """Return the planes with noise, (planes, Y, X), and the truth, in grey levels of 65535."""
    size = len(surface)
    box = Box(-MARGIN, -MARGIN, size + 2 * MARGIN, size + 2 * MARGIN)
    sharp = np.clip(tissue.draw(box, seed * 7919) * np.float32(tissue.brightness), 0, 60_000)
    reach = tissue.spread * (planes - 1)
    used = [sigma for sigma, before in zip(SIGMAS, (0, *SIGMAS), strict=False) if before <= reach]
    blurred = np.stack(list(_blurred(sharp, used)))
    rng = np.random.default_rng(seed)
    stack = np.empty((planes, size, size), np.uint16)
    for plane in range(planes):
        seen = _interpolated(blurred, np.square(used), np.square(tissue.spread * (surface - np.float32(plane))))
        seen += np.sqrt(tissue.read_noise**2 + tissue.gain * seen) * rng.standard_normal(seen.shape, np.float32)
        stack[plane] = np.clip(np.rint(seen), 0, 65_535)
    return stack, blurred[0]


def _ridges(box: Box, periods: tuple[float, ...], seed: int, width: float) -> Field:
    """Return lines, 0 to 1, along the zeros of a field."""
    return np.asarray(np.exp(-((fractal(box, periods, seed) / np.float32(width)) ** 2)), np.float32)


def _blurred(sharp: Field, sigmas: list[float]) -> Iterator[Field]:
    """Yield the image, without its margin, blurred by each sigma; in Fourier space small ones are exact, too."""
    side = scipy.fft.next_fast_len(len(sharp), real=True)
    spectrum = scipy.fft.rfft2(sharp, (side, side))
    down, across = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    inner = slice(MARGIN, len(sharp) - MARGIN)
    for sigma in sigmas:
        gains = (np.exp(-2 * (np.pi * sigma * axis) ** 2).astype(np.float32) for axis in (down, across))
        yield np.maximum(scipy.fft.irfft2(spectrum * next(gains) * next(gains), (side, side))[inner, inner], 0)


def _interpolated(blurred: NDArray[np.float32], levels: NDArray[np.float64], variance: Field) -> Field:
    """Return each pixel blurred by its own variance, from images blurred by the `levels`, which grow."""
    lower = np.clip(np.searchsorted(levels, variance, side="right") - 1, 0, len(levels) - 2)
    share = ((variance - levels[lower]) / (levels[lower + 1] - levels[lower])).astype(np.float32)
    near, far = (np.take_along_axis(blurred, lower[None] + step, 0)[0] for step in (0, 1))
    return np.asarray(near + share * (far - near), np.float32)
