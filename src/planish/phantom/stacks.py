"""`FocalStack`: focal planes as an array, with the sharp truth and the true depth, for measuring fusion methods.

Two kinds, made as the peers were measured on: `tissue_stack`, grey fluorescence of tissue over a smooth surface, and
`clump_stack`, stained cells on bright glass, each clump at a depth of its own. Blur, contrast and noise are such that
the true nearest plane, and the middle one, lie as far from the truth as theirs did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.focus.measures import luma
from planish.phantom.clumps import CLUMPS, draw_clumps
from planish.phantom.tissue import TISSUES, draw_tissue, true_surface

Mask = NDArray[np.bool_]

HALO = 22
"""Glass this close to specimen, in pixels, is its halo."""


@dataclass(frozen=True, eq=False)
class FocalStack:
    """Focal planes of a specimen that is known.

    Attributes
    ----------
    stack : ndarray, (Z, Y, X) or (Z, Y, X, 3)
        The planes, lowest first, with noise; uint16 or uint8.
    truth : ndarray of float32, (Y, X) or (Y, X, 3)
        All in focus and without noise, in the same grey levels.
    depth : ndarray of float32, (Y, X)
        True depth in planes, fractional: that of the densest object; NaN on glass.
    textured : ndarray of bool, (Y, X)
        Where depth can be seen: a plane of defocus changes the truth by more than the noise.
    """

    stack: NDArray[Any]
    truth: NDArray[np.float32]
    depth: NDArray[np.float32]
    textured: Mask

    @property
    def specimen(self) -> Mask:
        """Where there is anything but glass, (Y, X)."""
        return np.isfinite(self.depth)

    @property
    def glass(self) -> Mask:
        """Where there is nothing, (Y, X)."""
        return ~self.specimen

    @property
    def halo(self) -> Mask:
        """Glass at most `HALO` pixels from specimen, (Y, X)."""
        glass = self.glass
        distance = cv2.distanceTransform(glass.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.asarray(glass & (distance <= HALO))

    @property
    def nearest(self) -> NDArray[np.intp]:
        """The plane nearest to the true depth, (Y, X); the middle one on glass, which has no depth."""
        middle = len(self.stack) // 2
        return np.asarray(np.rint(np.where(self.specimen, self.depth, middle)), np.intp)

    def taken(self, plane_index: NDArray[Any]) -> NDArray[Any]:
        """Return the image whose pixels come from these planes, (Y, X[, 3])."""
        index = plane_index if self.stack.ndim == 3 else plane_index[..., None]
        return np.asarray(np.take_along_axis(self.stack, index[None].astype(np.intp), 0)[0])


def tissue_stack(size: int = 2048, planes: int = 17, seed: int = 0, texture: str = "tubules") -> FocalStack:
    """Make grey 16-bit planes of tissue whose depth changes smoothly and spans them all.

    Parameters
    ----------
    size : int
        Width and height in pixels.
    planes : int
        How many.
    seed : int
        Another seed is another tissue.
    texture : str
        One of `planish.phantom.tissue.TISSUES`.
    """
    drawing = TISSUES[texture]
    surface = true_surface(size, planes, seed)
    stack, truth = draw_tissue(drawing, surface, planes, seed)
    noise = np.sqrt(drawing.read_noise**2 + drawing.gain * truth)
    return FocalStack(stack, truth, surface, _textured(truth, drawing.spread, noise))


def clump_stack(size: int = 2048, planes: int = 7, seed: int = 0, texture: str = "cells") -> FocalStack:
    """Make RGB 8-bit planes of clumps of cells on bright glass, which lie above one another, too.

    Parameters
    ----------
    size : int
        Width and height in pixels.
    planes : int
        How many; the clumps' depths span them all.
    seed : int
        Another seed is another smear.
    texture : str
        One of `planish.phantom.clumps.CLUMPS`.
    """
    drawing = CLUMPS[texture]
    stack, truth, depth = draw_clumps(drawing, size, planes, seed)
    noise = np.full(depth.shape, drawing.noise, np.float32)
    textured = _textured(luma(truth), drawing.spread, noise)
    return FocalStack(stack, truth, depth, textured & np.isfinite(depth))


def _textured(truth: NDArray[np.float32], spread: float, noise: NDArray[np.float32]) -> Mask:
    change = truth - cv2.GaussianBlur(truth, (0, 0), spread)
    return np.asarray(cv2.GaussianBlur(change * change, (0, 0), 4.0) > noise * noise)
