"""A bright-field microscope: what a plane shows of stain that lies above or below it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import hypot
from typing import Any

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from planish.phantom.deposit import Layers

GLASS = (243.0, 241.0, 242.0)
"""Empty glass in red, green and blue, grey levels of 255."""

Spectra = Mapping[tuple[float, int], NDArray[np.complex64]]
"""Fourier transforms of density maps, by depth in µm and stain."""


@dataclass(frozen=True)
class Optics:
    """Defocus as a Gaussian that widens with distance, and absorption after Beer and Lambert.

    Attributes
    ----------
    side : int
        Width and height of the patches it works on, in pixels.
    margin : int
        Pixels at each side of a patch that only serve to blur the rest; defocus is held to what fits into them.
    mpp : float
        µm per pixel.
    spread : float
        Gaussian sigma in µm per µm of defocus: half the slope of the light cone, 0.26 at NA 0.7 in glass.
    rest_um : float
        Sigma in focus, in µm, for diffraction.
    """

    side: int
    margin: int
    mpp: float
    spread: float = 0.26
    rest_um: float = 0.14

    def sigma(self, defocus_um: float) -> float:
        """Return the blur in pixels; at most what the margin holds with a tail below 0.1 %."""
        return min(hypot(self.rest_um, self.spread * defocus_um) / self.mpp, self.margin / 3.3)

    def spectra(self, layers: Layers) -> Spectra:
        """Transform density maps once, to be blurred for any number of planes."""
        return {key: scipy.fft.rfft2(density) for key, density in layers.items()}

    def image(self, spectra: Spectra, stains: NDArray[np.float32], z_um: float | None) -> NDArray[np.float32]:
        """Return what a camera focused at `z_um` sees, or, where that is None, with every layer in focus.

        Returns
        -------
        ndarray of float32, (height, width, 3)
            Grey levels of 255, without the margin.
        """
        total = np.zeros((len(stains), self.side, len(self._frequencies)), np.complex64)
        for (layer_um, stain), spectrum in spectra.items():
            self._accumulate(total[stain], spectrum, self.sigma(0.0 if z_um is None else layer_um - z_um))
        inner = slice(self.margin, self.side - self.margin)
        if spectra:
            density = scipy.fft.irfft2(total, (self.side, self.side))[:, inner, inner]
        else:
            density = np.zeros((len(stains), self.side - 2 * self.margin, self.side - 2 * self.margin), np.float32)
        # Beer and Lambert: glass · exp(-absorbance), the glass taken into the exponent.
        mixing = np.column_stack([-stains.T, np.log(GLASS)])
        return np.asarray(cv2.exp(cv2.transform(np.ascontiguousarray(density.transpose(1, 2, 0)), mixing)), np.float32)

    def _accumulate(self, total: NDArray[Any], spectrum: NDArray[Any], sigma: float) -> None:
        """Add a blurred layer; frequencies that the blur leaves less than 0.01 % of are not touched."""
        gain = np.exp(-2 * (np.pi * sigma * self._frequencies) ** 2, dtype=np.float32)
        kept = int(np.count_nonzero(gain > 1e-4))
        total[:kept, :kept] += spectrum[:kept, :kept] * (gain[:kept, None] * gain[None, :kept])
        negative = min(kept - 1, self.side - len(gain))
        if negative:
            down = gain[negative:0:-1]
            total[-negative:, :kept] += spectrum[-negative:, :kept] * (down[:, None] * gain[None, :kept])

    @cached_property
    def _frequencies(self) -> NDArray[np.float32]:
        return np.asarray(np.fft.rfftfreq(self.side), np.float32)
