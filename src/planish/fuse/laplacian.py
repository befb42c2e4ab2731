"""`Laplacian`: focus stacking in a Laplacian pyramid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from planish.fuse.backend import Array, Backend, Sharpest, gaussian_radius
from planish.fuse.checks import sigma_of_blur, whole
from planish.fuse.method import Fused, Method, Window

MOST_LEVELS = 10
"""Of a pyramid; one pixel of its top stands for 1024 × 1024 of the image."""


@dataclass(frozen=True, kw_only=True)
class Laplacian(Method):
    """Each detail, from fine to coarse, from the plane that shows it most clearly, on the mean of all planes' bases.

    Each plane is split into a Laplacian pyramid (Burt and Adelson 1983, 10.1109/TCOM.1983.1095851). On each of its
    levels every coefficient is taken from the plane where the coefficients' energy G_σ(c²) is largest, of equal ones
    the lowest; the coarsest remainder is the mean over the planes. The energy is that of the luma, and all channels
    follow it.

    Attributes
    ----------
    levels : int
        Levels of detail, 1 to 10; each is half the size of the one before. An image of at most ``2**n`` pixels, along
        its longer side, has n at most: it is a single pixel then.
    sigma : float
        Standard deviation of the window in which the energy is averaged, above 0, at most 1000 pixels of each level.

    Notes
    -----
    It mixes planes, so its pixels have no single source. Integers are rounded and held within their dtype's range.
    """

    name: ClassVar[str] = "laplacian"
    visits: ClassVar[int] = 1

    levels: int = 5
    sigma: float = 2.0

    def __post_init__(self) -> None:
        whole("levels", self.levels, 1, MOST_LEVELS)
        sigma_of_blur("sigma", self.sigma)

    @property
    def float_planes(self) -> float:
        """The best coefficients and their energy on all levels, and a plane's own while they are made."""
        return 8

    @property
    def channel_planes(self) -> float:
        """The same without the energy."""
        return 3

    @property
    def margin(self) -> int:
        """As far as the coarsest coefficients reach, and the base that their energy is made of; 252 px by default."""
        coarsest = self.align // 2
        # To either side, in pixels of the image: down to the coarsest coefficients, over the blur of their energy,
        # down to the base, and from there up to the planes. A step up or down reaches two pixels of its finer level.
        down, up = 2 * (coarsest - 1), 2 * (self.align - 1)
        return down + coarsest * gaussian_radius(self.sigma) + 2 * coarsest + up

    @property
    def align(self) -> int:
        """The pyramid's pixels are the same in every tile."""
        return int(2**self.levels)

    def fuse(self, window: Window) -> Fused:
        """Visit each plane once, holding each level's best coefficients and the sum of the bases."""
        backend, (height, width, channels) = window.backend, window.shape
        _, *full, _ = window.planes.shape
        best = [
            backend.sharpest(-(-height // 2**level), -(-width // 2**level), channels, np.dtype(np.float32))
            for level in range(min(self.levels, (max(full) - 1).bit_length()))
        ]
        base: Array = 0
        for plane, pixels in window.read():
            base = base + self._offer(pixels.astype(np.float32, copy=False), plane, best, backend)
        fused = base / np.float32(len(window.numbers))
        while best:
            detail = best.pop().image
            fused = backend.xp.add(detail, backend.expand(fused, detail.shape[:2]), out=detail)
        return Fused(_as_dtype(fused, window.planes.dtype, backend))

    def _offer(self, image: Array, plane: int, best: list[Sharpest], backend: Backend) -> Array:
        """Offer the coefficients of a plane, and return its base."""
        for level in best:
            small = backend.reduce(image)
            detail = backend.expand(small, image.shape[:2])
            backend.xp.subtract(image, detail, out=detail)
            image = small
            energy = backend.xp.square(backend.grey(detail))
            level.add(backend.gaussian(energy, self.sigma), detail, plane)
        return image


def _as_dtype(image: Array, dtype: np.dtype[Any], backend: Backend) -> Array:
    if dtype.kind in "ui":
        backend.xp.rint(image, out=image)
        backend.xp.clip(image, np.iinfo(dtype).min, np.iinfo(dtype).max, out=image)
    return image.astype(dtype, copy=False)
