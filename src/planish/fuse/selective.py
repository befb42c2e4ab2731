"""`Selective`: the noise-robust selective all-in-focus image of Pertuz et al. 2013."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import pi, sqrt
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.fuse.backend import Array, Backend
from planish.fuse.checks import flag, odd, within
from planish.fuse.method import Fused, Method, Window
from planish.fuse.planes import Planes
from planish.fuse.selective_fit import STEP, Profile, reference_curve, sound_curve

_TINY = np.float32(np.finfo(np.float32).tiny)
_ROUNDING = np.float32(1 / 12)
"""Variance of rounding to whole grey levels."""
_ZERO = np.float32(1e-30)
"""Stands in for a variance of 0 of floats."""


@dataclass(frozen=True, kw_only=True)
class Selective(Method):
    """Planes weighted by a focus measure, the more selectively the better its profile over z fits a Gaussian.

    Pertuz, Puig, García, Fusiello, "Generation of all-in-focus images by noise-robust selective fusion of limited
    depth-of-field images", IEEE Trans. Image Process. 22(3):1242, 2013. The focus measure F is the mean of
    (I − mean I)² over a window. A Gaussian is laid through the plane where F is largest and its neighbours two planes
    away. The selectivity is S = 20 log₁₀(contrast / mean error of the fit); with φ = (1 + tanh(α (S − S_th))) / (2 α),
    smoothed by a 3 × 3 median, a plane weighs ½ + ½ tanh(φ (F / max F − 1)).

    Attributes
    ----------
    window : int
        Edge of the window of all means, in pixels; odd.
    focus : tuple of float or None
        z of each plane, in any unit, increasing; None for planes at equal distances.
    alpha : float
        α, 0.001 … 100 per dB: 1/α is the largest φ, thus a smaller α is more selective where planes are chosen.
    threshold : float
        S_th, −1000 … 1000 dB. Where S is lower, all planes weigh nearly the same, which averages noise away.
    compat : bool
        The arithmetic of coppafish's ``focus_stack``, a port of Pertuz's ``fstack``, with its faults.

    Notes
    -----
    What differs from the reference, for the truth's sake:

    - The samples surround the plane where F is largest; where that is the first or the last one, the curve is symmetric
      about it. (The reference compares with 2 where P − 2 is meant, and so takes its first sample for the third one,
      too, nearly everywhere; and it lays the curve about the third plane where F is largest in the first.)
    - The variance of rounding, 1/12 for whole grey levels, is added to F. No logarithm is taken of 0, and what is below
      it is no evidence.
    - The contrast is 2 (1 − min F / max F), where the reference has 1, as for profiles that fall to a half: wide
      Gaussians fit the noise of flat glass well.
    - Three parameters fit few planes too well. What they hide of the sampling error of F in white noise,
      2 / (√π window) · min(1, 3/P), is added to the error. So any number of planes will do.

    With ``compat``, images are coppafish's to ± 1 grey level: it computes in double precision, this in single, which
    rounds halves the other way now and then. As there, colours are rounded down, and grey values to the nearest. The
    exception are regions without noise. Where F is 0 or does not change, the reference takes logarithms of 0, and sets
    S to the least S of the image; here S is −∞ there, so that tiles need not know the whole image. Both mean equal
    weights, unless every S is about S_th or more. Where F is 0 in all planes, the reference makes integers of NaN;
    here such pixels are the planes' mean.

    Each plane is read three times: for its samples, for the error of the fit, and for the weights. The memory does not
    grow with the number of planes. Tiles are equal to the whole bit for bit, with ``compat``, too.
    """

    name: ClassVar[str] = "selective"
    visits: ClassVar[int] = 3

    window: int = 9
    focus: tuple[float, ...] | None = None
    alpha: float = 0.2
    threshold: float = 13.0
    compat: bool = False

    def __post_init__(self) -> None:
        odd("window", self.window)
        within("alpha", self.alpha, 1e-3, 100)
        within("threshold", self.threshold, -1000, 1000)
        if self.focus is not None:
            if not isinstance(self.focus, tuple | list | np.ndarray) or getattr(self.focus, "ndim", 1) != 1:
                raise OptionError(f"focus={self.focus!r}: needs the positions of all planes, one number for each")
            for position in self.focus:
                within("focus", position, -1e9, 1e9)
            focus = tuple(float(position) for position in self.focus)
            if any(above - below <= 1e-6 * (focus[-1] - focus[0]) for below, above in pairwise(focus)):
                raise OptionError(
                    f"focus={focus}: needs positions each above the one before, by more than a millionth of the range"
                )
            object.__setattr__(self, "focus", focus)
        flag("compat", self.compat)

    @property
    def float_planes(self) -> float:
        """The samples of the profiles, and their plane's number, error and contrast."""
        return 11

    @property
    def margin(self) -> int:
        """Three means, of the grey levels, F and the error; and the median."""
        return 3 * (self.window // 2) + 1

    @property
    def windows(self) -> dict[str, tuple[int, int]]:
        """The window of the means."""
        return {"window": (self.window, self.window)}

    def check(self, planes: Planes) -> None:
        """Raise OptionError where the options do not fit the planes."""
        super().check(planes)
        count = planes.shape[0]
        if self.focus is not None and len(self.focus) != count:
            raise OptionError(f"focus: holds {len(self.focus)} positions for {count} planes; each plane needs one")
        if self.compat and count <= 2 * STEP:
            raise OptionError(
                f"compat=True: the reference's curve spans {2 * STEP + 1} planes, and it fails on {count}; "
                f"at least {2 * STEP + 1} are needed, or compat=False, which takes any number"
            )

    def fuse(self, window: Window) -> Fused:
        """Visit each plane three times."""
        if len(window.numbers) == 1:
            return Fused(next(window.read())[1])
        top, contrast, error = self._fit(window)
        return Fused(self._weighted(window, top, self._selectivity(contrast, error, window)))

    def _fit(self, window: Window) -> tuple[Array, Array, Array]:
        """Return max F, the contrast, and the mean error as a share of max F; (height, width) float32."""
        positions = self._positions(window.planes.shape[0])[list(window.numbers)]
        curve = reference_curve(positions) if self.compat else sound_curve(positions)
        profile = Profile(curve, window.backend.xp)
        for index, (_, pixels) in enumerate(window.read()):
            profile.add(index, self._measure(pixels, window.backend))
        profile.fit()
        for index, (_, pixels) in enumerate(window.read()):
            profile.compare(index, self._measure(pixels, window.backend))
        return profile.top, profile.contrast(), profile.error / np.float32(len(positions))

    def _positions(self, count: int) -> NDArray[np.float64]:
        """Return the planes' z in mean distances above the first."""
        if self.focus is None:
            return np.arange(count, dtype=np.float64)
        z = np.asarray(self.focus)
        return np.asarray((z - z[0]) / (z[-1] - z[0]) * (count - 1))

    def _measure(self, pixels: Array, backend: Backend) -> Array:
        """Return F, (height, width) float32, in (grey levels)²."""
        grey = _reference_grey(pixels, backend) if self.compat else backend.grey(pixels)
        difference = backend.mean(grey, self.window)
        difference -= grey
        difference *= difference
        measure = backend.mean(difference, self.window)
        if not self.compat:
            measure += _ROUNDING if pixels.dtype.kind in "ui" else _ZERO
        return measure

    def _selectivity(self, contrast: Array, error: Array, window: Window) -> Array:
        """Return φ, (height, width) float32."""
        backend, xp = window.backend, window.backend.xp
        error = backend.mean(error, self.window)
        if self.compat:
            ratio = 1 / xp.maximum(error, _TINY)
        else:
            error += np.float32(2 / (sqrt(pi) * self.window) * min(1, 3 / len(window.numbers)))
            ratio = 2 * backend.mean(contrast, self.window) / error
        selectivity = 20 * xp.log10(xp.maximum(ratio, _TINY))
        phi = xp.tanh(np.float32(self.alpha) * (selectivity - np.float32(self.threshold)))
        phi += 1
        phi *= np.float32(0.5 / self.alpha)
        if self.compat:
            # The median of the reference has zeros around the image.
            return backend.median(xp.pad(phi, 1))[1:-1, 1:-1]
        return backend.median(phi)

    def _weighted(self, window: Window, top: Array, phi: Array) -> Array:
        """Return the weighted mean of the planes."""
        xp = window.backend.xp
        total = xp.zeros(top.shape, np.float32)
        fused = xp.zeros(window.shape, np.float32)
        for _, pixels in window.read():
            weight = self._measure(pixels, window.backend)
            weight /= top
            weight -= 1
            weight *= phi
            xp.tanh(weight, out=weight)
            weight += 1
            total += weight
            for channel in range(window.shape[2]):
                fused[..., channel] += weight * pixels[..., channel]
        fused /= total[..., None]
        dtype = window.planes.dtype
        if dtype.kind in "ui":
            (xp.floor if self.compat and window.shape[2] == 3 else xp.rint)(fused, out=fused)
        return fused.astype(dtype)


def _reference_grey(pixels: Array, backend: Backend) -> Array:
    """Return whole grey levels of colours, as MATLAB weights them."""
    if pixels.shape[2] != 3:
        return backend.grey(pixels)
    red, green, blue = (pixels[..., channel].astype(np.float32) for channel in range(3))
    red *= np.float32(0.2989)
    green *= np.float32(0.5870)
    blue *= np.float32(0.1140)
    red += green
    red += blue
    return backend.xp.rint(red, out=red)
