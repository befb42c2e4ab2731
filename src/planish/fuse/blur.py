"""`Blur`: a Gaussian over a whole image, or over a smaller one where that is good enough."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from planish.errors import OptionError
from planish.fuse.backend import Array, Backend, gaussian_radius
from planish.fuse.checks import sigma_of_blur
from planish.fuse.method import padded

DECIMATIONS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Blur:
    """A Gaussian blur.

    Attributes
    ----------
    sigma : float
        Standard deviation in pixels, at most 1000; 0 for none.
    decimation : int
        D: 1 blurs the image itself; 2, 4 or 8 blur the means of D × D pixels, then enlarge. That takes a share of the
        time, and the small blur has the standard deviation √(σ² − (D² − 1)/12 − D²/6)/D: averaging and enlarging
        blur, too.

    Raises
    ------
    OptionError
        Where either is out of range, or averaging and enlarging alone blur more than σ.
    """

    sigma: float
    decimation: int = 1

    def __post_init__(self) -> None:
        check_blur("sigma", self.sigma, self.decimation)

    @property
    def _small_sigma(self) -> float:
        return sqrt(self.sigma**2 - _own_variance(self.decimation)) / self.decimation

    @property
    def reach(self) -> int:
        """How far around a pixel it looks, in pixels: 4σ; decimated, two blocks more."""
        if self.decimation == 1:
            return gaussian_radius(self.sigma)
        return (gaussian_radius(self._small_sigma) + 2) * self.decimation

    def of(self, image: Array, backend: Backend) -> Array:
        """Return the blurred image, (height, width) float32."""
        if self.decimation == 1:
            return backend.gaussian(image, self.sigma) if self.reach else image
        small = backend.shrink(padded(image, self.decimation, backend), self.decimation)
        grown = backend.grow(backend.gaussian(small, self._small_sigma), self.decimation)
        return grown[: image.shape[0], : image.shape[1]]


def check_blur(option: str, sigma: Any, decimation: Any) -> None:
    """Raise OptionError, naming the option that σ stands for, unless the two make a `Blur`."""
    sigma_of_blur(option, sigma, zero=True)
    if isinstance(decimation, bool) or not isinstance(decimation, int | np.integer) or decimation not in DECIMATIONS:
        raise OptionError(f"decimation={decimation!r}: choose 1 (exact), 2, 4 or 8")
    own = _own_variance(int(decimation))
    if decimation > 1 and sigma**2 <= own:
        raise OptionError(
            f"decimation={decimation}: blurs more than {option}={sigma} does; choose {option} above {sqrt(own):.1f}, "
            "or decimation=1"
        )


def _own_variance(decimation: int) -> float:
    """Return what averaging blocks and enlarging them adds, in pixels²."""
    return (decimation**2 - 1) / 12 + decimation**2 / 6
