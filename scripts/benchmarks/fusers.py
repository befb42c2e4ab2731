"""What `bench_fuse.py` compares, each run in a process of its own: python fusers.py NAME STACK.npy OUT.npz REPEATS."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.focus.measures import luma
from planish.fuse.methods import PIXEL_METHODS
from planish.fuse.stack import fuse_stack
from planish.report.record import peak_memory_mib

Fuser = Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any] | None]]
"""From a stack to an image and, where there is one, the depth of each pixel in planes."""

SCIPY = "SciPy, 5, 20"
WARM_UP = 256
"""Side of the crop that is fused before the clock starts, so that nobody pays for loading libraries."""


def scipy_variance(stack: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Fuse as KINTSUGI does: blur each plane (σ = 20), take the variance over 11 × 11 px, pick the largest.

    In float32 throughout, as there. Colours are measured on their luma, which it does not know.
    """
    from scipy.ndimage import gaussian_filter, uniform_filter

    planes = stack.astype(np.float32)
    variances = np.empty(stack.shape[:3], np.float32)
    for number, plane in enumerate(planes):
        blurred = gaussian_filter(plane if plane.ndim == 2 else luma(plane), 20)
        variances[number] = uniform_filter(blurred**2, 11) - uniform_filter(blurred, 11) ** 2
    index = np.argmax(variances, axis=0)
    rows, columns = np.indices(index.shape)
    return planes[index, rows, columns].astype(stack.dtype), index


def ours(method: str, **parameters: Any) -> Fuser:
    """Return a fuser of planish's."""

    def fuse(stack: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any] | None]:
        fused = fuse_stack(stack, method, backend="numpy", **parameters)
        return fused.image, fused.plane_index if fused.depth is None else fused.depth

    return fuse


VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "clij2": {"clij2 exact": {}, "clij2 decimated": {"decimation": 4}},
    "selective": {"selective": {}, "selective compat": {"compat": True}},
    "soft": {"soft": {}, "soft with depth": {"depth": True}},
}
"""What to run of a method, by the name that the table has, where that is not just its defaults."""


def fusers() -> dict[str, Fuser]:
    """Return all fusers by name, the yardstick first."""
    found: dict[str, Fuser] = {SCIPY: scipy_variance}
    for method in PIXEL_METHODS:
        for name, parameters in VARIANTS.get(method, {method: {}}).items():
            found[name] = ours(method, **parameters)
    return found


def main() -> None:
    """Fuse, keep the image and the depth, and print the seconds and the peak memory in MiB."""
    name, stack_path, out_path, repeats = sys.argv[1:]
    fuse, stack = fusers()[name], np.load(stack_path)
    fuse(np.ascontiguousarray(stack[:, :WARM_UP, :WARM_UP]))
    seconds = []
    for _ in range(int(repeats)):
        begin = time.perf_counter()
        image, depth = fuse(stack)
        seconds.append(time.perf_counter() - begin)
    print(min(seconds), peak_memory_mib())
    if depth is None:
        np.savez(out_path, image=image)
    else:
        np.savez(out_path, image=image, depth=depth)


if __name__ == "__main__":
    main()
