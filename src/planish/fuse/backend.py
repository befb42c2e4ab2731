"""The seam between the fusion methods and what computes them: NumPy and OpenCV, or CuPy on a GPU.

A backend is chosen per call, never at import. Methods see arrays of the backend (`Array`) and the few operations of
`Backend`; everything else they do with plain arithmetic, which both kinds of array know.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError

Array = Any
"""A NumPy or a CuPy array, whichever the backend works on."""

BACKENDS = ("auto", "numpy", "cupy")

LEAST = np.float32(1e-9)
"""Smallest share of the largest measure that counts: with power 4 its weight is just inside float32."""
NOTHING = np.float32(1e-28)
"""Measures below this are none; LEAST of it is just inside float32."""


class Sharpest(Protocol):
    """Keeps of every pixel the plane with the largest measure so far; of equal ones the first."""

    image: Array
    """(height, width, channels), the source's dtype."""
    index: Array
    """(height, width) int16."""

    def add(self, measure: Array, pixels: Array, plane: int) -> None:
        """Offer a plane: (height, width) float32 and (height, width, channels); `measure` may be used up."""


class Blend(Protocol):
    """Adds planes up, each weighted by measureᵖ, without overflow however large the measure is.

    Measures below `NOTHING` count as `NOTHING`: planes that have no larger ones weigh the same.
    """

    def add(self, measure: Array, pixels: Array, plane: int) -> None:
        """Add a plane: (height, width) float32, not negative, and (height, width, channels); `measure` is used up."""

    def image(self) -> Array:
        """Return the weighted mean, (height, width, channels), rounded to the source's dtype."""

    def depth(self) -> Array | None:
        """Return the weighted mean plane, (height, width) float32, where it was asked for."""


class Backend(Protocol):
    """What a fusion method needs of an array library. Images are (height, width); borders repeat the edge's pixels.

    Every operation gives a pixel the same value, to the bit, wherever in the image it lies, as long as its
    neighbourhood is the same: that makes tiles equal to the whole.
    """

    name: str
    xp: Any
    """The array module, NumPy or CuPy, for element-wise functions."""

    def free_bytes(self) -> int | None:
        """Return how much memory windows may take, where it is the backend's own."""

    def put(self, array: NDArray[Any]) -> Array:
        """Bring an array to the backend."""

    def get(self, array: Array) -> NDArray[Any]:
        """Bring an array back."""

    def grey(self, pixels: Array) -> Array:
        """Return (height, width) float32 of (height, width, channels): see `planish.focus.measures.luma`."""

    def variance(self, image: Array, radius_x: float, radius_y: float, *, about: float | None = None) -> Array:
        """Return the population variance over an ellipse x²/rx² + y²/ry² ≤ 1, float32, of any real dtype.

        Of integers it is exact but for the rounding to float32, as long as n·Σx² < 2⁵³ over its n pixels: of bright
        16-bit ones up to a radius of about 20; at 40 it is off by some 10⁻⁶ of itself. Where `about` is given, a grey
        level, sums may be of float32 x − about, and then cost about 10⁻⁷ of (x − about)².
        """

    def gaussian(self, image: Array, sigma: float) -> Array:
        """Return the blurred image, float32; the kernel has ``int(8 σ)`` taps, made odd, and sums to 1."""

    def mean(self, image: Array, window: int) -> Array:
        """Return the mean over window × window pixels, float32; `window` is odd."""

    def median(self, image: Array) -> Array:
        """Return the median over 3 × 3 pixels, float32."""

    def laplacian(self, image: Array) -> Array:
        """Return the 4-neighbour Laplacian, float32."""

    def shrink(self, image: Array, factor: int) -> Array:
        """Return the means of factor × factor blocks, float32; sizes are multiples of `factor`."""

    def grow(self, image: Array, factor: int) -> Array:
        """Return the image enlarged by a power of two, bilinear between the centres of the blocks, float32."""

    def reduce(self, image: Array) -> Array:
        """Return an image of half the size, a step up a Gaussian pyramid, float32.

        Takes (height, width) or (height, width, channels), float32; gives ⌈height / 2⌉ × ⌈width / 2⌉ pixels. Along each
        axis ``out[j] = (in[2j−2] + 4 in[2j−1] + 6 in[2j] + 4 in[2j+1] + in[2j+2]) / 16``; indices below 0 stand for the
        first pixel, those beyond the end for the last one, also where a size is odd.
        """

    def expand(self, image: Array, shape: tuple[int, int]) -> Array:
        """Return an image of twice the size, the way back from `reduce`, float32.

        Takes (height, width) or (height, width, channels), float32; `shape` is (2 height or 2 height − 1, 2 width or
        2 width − 1). Along each axis ``out[2j] = (in[j−1] + 6 in[j] + in[j+1]) / 8`` and
        ``out[2j+1] = (in[j] + in[j+1]) / 2``, with borders as in `reduce`.
        """

    def sharpest(self, height: int, width: int, channels: int, dtype: np.dtype[Any]) -> Sharpest:
        """Return an empty `Sharpest`."""

    def blend(
        self, height: int, width: int, channels: int, dtype: np.dtype[Any], power: float, *, depth: bool
    ) -> Blend:
        """Return an empty `Blend`."""


def gaussian_radius(sigma: float) -> int:
    """Return how far a Gaussian kernel of ``int(8 σ)`` taps, made odd, reaches, in pixels."""
    return int(8 * sigma) // 2


def gaussian_kernel(sigma: float) -> NDArray[np.float32]:
    """Return the kernel's taps, (2 r + 1,), as CLIJ2 has them."""
    radius = gaussian_radius(sigma)
    offsets = np.arange(-radius, radius + 1, dtype=np.float64)
    taps = np.exp(-0.5 * (offsets / sigma) ** 2)
    return np.asarray(taps / taps.sum(), np.float32)


def half_widths(radius_x: float, radius_y: float) -> list[int]:
    """Return, for each row from the ellipse's middle outwards, how far the ellipse reaches to each side, in pixels."""
    reach = range(int(radius_x) + 1)
    return [
        max(dx for dx in reach if dx**2 / radius_x**2 + dy**2 / radius_y**2 <= 1) for dy in range(int(radius_y) + 1)
    ]


def choose_backend(name: str = "auto") -> Backend:
    """Return a backend by name.

    Parameters
    ----------
    name : str
        ``"numpy"``, ``"cupy"``, or ``"auto"``: CuPy where it is installed and finds a GPU, else NumPy. Where CuPy is
        installed and finds none, a `RuntimeWarning` says so.

    Raises
    ------
    OptionError
        Where the name is unknown, or CuPy was asked for and cannot be used.
    """
    from planish.fuse.host import HostBackend

    if name not in BACKENDS:
        raise OptionError(f"backend={name!r}: choose one of {', '.join(BACKENDS)}")
    if name == "numpy" or (name == "auto" and importlib.util.find_spec("cupy") is None):
        return HostBackend()
    from planish.fuse.device import open_device

    try:
        return open_device()
    except OptionError as error:
        if name == "cupy":
            raise
        reason = str(error).removeprefix("backend='cupy': ")
        warnings.warn(f"backend='auto': NumPy computes, since CuPy cannot ({reason})", RuntimeWarning, stacklevel=3)
        return HostBackend()
