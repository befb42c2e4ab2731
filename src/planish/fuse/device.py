"""`DeviceBackend`: the fusion methods' operations with CuPy, on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.fuse import kernels
from planish.fuse.arrays import ArrayBackend, ArrayBlend, ArraySharpest
from planish.fuse.backend import NOTHING, Array, Backend, half_widths

ROW_THREADS = 128
"""Threads of a block of the kernel `rows`."""
LONGEST = 4096
"""Radius up to which a row's part fits the 48 KiB of shared memory that every GPU has."""


def open_device() -> Backend:
    """Return the GPU's backend.

    Raises
    ------
    OptionError
        Where CuPy is missing or finds no GPU.
    """
    try:
        import cupy
        from cupyx.scipy import ndimage
    except ImportError as error:
        raise OptionError(f"backend='cupy': needs CuPy, pip install 'planish[gpu]' ({error})") from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
        cupy.cuda.nvrtc.getVersion()  # compiles the kernels; from the CUDA toolkit, and easily missing
    except (ImportError, OSError, RuntimeError) as error:
        raise OptionError(
            f"backend='cupy': CuPy is here, but needs an NVIDIA GPU, its driver and the CUDA toolkit ({error})"
        ) from error
    if not count:
        raise OptionError("backend='cupy': CuPy is here, but finds no GPU")
    return DeviceBackend(cupy, ndimage)


class DeviceBackend(ArrayBackend):
    """CuPy, with kernels of its own where they save passes over the memory; see `planish.fuse.backend.Backend`.

    While the GPU works on a plane, the next one is read and copied to page-locked memory.
    """

    def __init__(self, cupy: Any, ndimage: Any) -> None:
        super().__init__(cupy, ndimage)
        self._kernels = Kernels(cupy)
        self._sent: Any = None

    def free_bytes(self) -> int | None:
        """Return the GPU's free memory, and what CuPy keeps of it for its next arrays."""
        return int(self.xp.cuda.Device().mem_info[0] + self.xp.get_default_memory_pool().free_bytes())

    def put(self, array: NDArray[Any]) -> Array:
        """Send an array to the GPU, without waiting for its arrival."""
        sent = self.xp.asarray(array)
        before, self._sent = self._sent, self.xp.cuda.get_current_stream().record()
        if before is not None:
            before.synchronize()  # or a fast reader would fill the main memory with planes that wait
        return sent

    def get(self, array: Array) -> NDArray[Any]:
        """Bring an array back."""
        return np.asarray(self.xp.asnumpy(array))

    def _rgb_grey(self, red: Array, green: Array, blue: Array) -> Array:
        return self._kernels.luma(red, green, blue)

    def variance(self, image: Array, radius_x: float, radius_y: float, *, about: float | None = None) -> Array:
        """Return the variance from sums in integers, or of floats in float64, whatever `about` is."""
        image = self.xp.ascontiguousarray(image)
        widths = np.array(half_widths(radius_x, radius_y), np.int32)
        count = int(2 * (2 * widths + 1).sum() - (2 * widths[0] + 1))
        height, width = image.shape
        result = self.xp.empty(image.shape, np.float32)
        ellipse = self.xp.asarray(widths), np.int32(len(widths) - 1), np.int32(count), np.float64(1 / count**2)
        self._kernels.launch(
            f"variance_{image.dtype}",
            (_parts(width, 32), _parts(height, 8)),
            (32, 8),
            (image, *ellipse, np.int32(height), np.int32(width), result),
        )
        return result

    def _separable(self, image: Array, taps: NDArray[np.float32]) -> Array:
        radius, (height, width) = len(taps) // 2, image.shape
        if radius > LONGEST:
            return super()._separable(image, taps)
        image = self.xp.ascontiguousarray(image, np.float32)
        across, result = self.xp.empty_like(image), self.xp.empty_like(image)
        kernel = self.xp.asarray(np.pad(taps, (0, kernels.OUTPUTS - 1))), np.int32(radius)
        span = ROW_THREADS * kernels.OUTPUTS
        self._kernels.launch(
            "rows",
            (height, _parts(width, span)),
            (ROW_THREADS, 1),
            (image, *kernel, np.int32(width), across),
            shared_mem=4 * (span + 2 * radius),
        )
        self._kernels.launch(
            "columns",
            (_parts(width, 32), _parts(height, 4 * kernels.OUTPUTS)),
            (32, 4),
            (across, *kernel, np.int32(height), np.int32(width), result),
        )
        return result

    def grow(self, image: Array, factor: int) -> Array:
        """Return the enlarged image."""
        height, width = image.shape
        grown = self.xp.empty((height * factor, width * factor), np.float32)
        return self._kernels.grow(image, height, width, factor, grown)

    def reduce(self, image: Array) -> Array:
        """Return the image at half its size."""
        height, width, *channels = image.shape
        small = self.xp.empty(((height + 1) // 2, (width + 1) // 2, *channels), np.float32)
        return self._kernels.reduce(image, height, width, *(channels or [1]), small)

    def expand(self, image: Array, shape: tuple[int, int]) -> Array:
        """Return the image at twice its size."""
        height, width, *channels = image.shape
        large = self.xp.empty((*shape, *channels), np.float32)
        return self._kernels.expand(image, height, width, shape[1], *(channels or [1]), large)

    def sharpest(self, height: int, width: int, channels: int, dtype: np.dtype[Any]) -> DeviceSharpest:
        """Return an empty `DeviceSharpest`."""
        return DeviceSharpest(self._kernels, (height, width, channels), dtype)

    def blend(
        self, height: int, width: int, channels: int, dtype: np.dtype[Any], power: float, *, depth: bool
    ) -> DeviceBlend:
        """Return an empty `DeviceBlend`."""
        return DeviceBlend(self._kernels, (height, width, channels), dtype, power, depth=depth)


class Kernels:
    """The kernels of `planish.fuse.kernels`, each compiled by CuPy when first called."""

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self._module = cupy.RawModule(code=kernels.SOURCE)
        make = cupy.ElementwiseKernel
        self.luma = make(*kernels.LUMA, "planish_luma")
        self.sharpest = make(*kernels.SHARPEST, "planish_sharpest")
        self.blend = make(*kernels.BLEND, "planish_blend")
        self.blend_depth = make(*kernels.BLEND_DEPTH, "planish_blend_depth")
        self.grow = make(*kernels.GROW, "planish_grow", preamble=kernels.INSIDE)
        self.reduce = make(*kernels.REDUCE, "planish_reduce", preamble=kernels.INSIDE)
        self.expand = make(*kernels.EXPAND, "planish_expand", preamble=kernels.INSIDE)

    def launch(
        self, name: str, grid: tuple[int, int], block: tuple[int, int], args: tuple[Any, ...], shared_mem: int = 0
    ) -> None:
        """Launch a kernel of `kernels.SOURCE`; `grid` counts blocks, `block` threads, `shared_mem` bytes."""
        self._module.get_function(name)(grid, block, args, shared_mem=shared_mem)


def _parts(length: int, size: int) -> int:
    return -(-length // size)


class DeviceSharpest(ArraySharpest):
    """See `planish.fuse.backend.Sharpest`; one pass for each plane."""

    def __init__(self, own: Kernels, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
        super().__init__(own.cupy, shape, dtype)
        self._kernel = own.sharpest

    def add(self, measure: Array, pixels: Array, plane: int) -> None:
        """Offer a plane."""
        self._kernel(measure, pixels, plane, pixels.shape[2], self._best, self.index, self.image)


class DeviceBlend(ArrayBlend):
    """See `planish.fuse.backend.Blend`; one pass for each plane."""

    def __init__(
        self, own: Kernels, shape: tuple[int, int, int], dtype: np.dtype[Any], power: float, *, depth: bool
    ) -> None:
        super().__init__(own.cupy, shape, dtype, float(power), depth=depth)
        self._kernel = own.blend_depth if depth else own.blend

    def add(self, measure: Array, pixels: Array, plane: int) -> None:
        """Add a plane."""
        numbers = plane, self._power, float(NOTHING), pixels.shape[2]
        outputs = [self._top, self._weight, self._sum]
        if self._depth is not None:
            outputs.append(self._depth)
        self._kernel(measure, pixels, *numbers, *outputs)
