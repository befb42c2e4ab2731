"""`fuse_stack`: one sharp image out of an array of focal planes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.fuse.backend import choose_backend
from planish.fuse.budget import check_memory
from planish.fuse.checks import whole
from planish.fuse.method import Fused, Method, described
from planish.fuse.methods import make_method
from planish.fuse.planes import ArrayPlanes, Planes
from planish.fuse.tiles import Tiling, fuse_box
from planish.model import Box
from planish.threads import Progress, cores, in_threads


@dataclass(frozen=True, eq=False)
class FusedStack:
    """One sharp image out of focal planes, and where its pixels come from.

    Attributes
    ----------
    image : ndarray, (Y, X) or (Y, X, C)
        As the stack, of its dtype.
    plane_index : ndarray of int16, (Y, X), or None
        The plane that each pixel was taken from; None for methods that mix planes.
    depth : ndarray of float32, (Y, X), or None
        Depth in planes, fractional, where it was asked for.
    method : Method
        What it was fused with, all parameters included.
    backend : str
        What computed it: ``"numpy"`` or ``"cupy"``.
    """

    image: NDArray[Any]
    plane_index: NDArray[np.int16] | None
    depth: NDArray[np.float32] | None
    method: Method
    backend: str

    def __repr__(self) -> str:
        return f"FusedStack({described(vars(self))})"


def fuse_stack(
    stack: Any,
    method: str | Method = "soft",
    *,
    tile_size: int | tuple[int, int] | None = None,
    overlap: int | None = None,
    backend: str = "auto",
    jobs: int | None = None,
    progress: Progress | None = None,
    **parameters: Any,
) -> FusedStack:
    """Fuse focal planes into one sharp image.

    Parameters
    ----------
    stack : array_like, (Z, Y, X) or (Z, Y, X, C)
        uint8, uint16, float32 or float64, these finite and within ±10¹⁵; lowest plane first, 1 to 32767 planes, and up
        to 32 channels, for all of which one plane is chosen by their luma. Also anything that is sliced like an array
        and read tile by tile (memory-mapped files, Zarr), or a sequence of planes.
    method : str or Method
        One of the names below; or options made before, of the class named there.
    tile_size, overlap : int, optional
        See `planish.fuse.tiles.Tiling`; the result does not depend on them.
    backend : str
        ``"auto"``, ``"numpy"`` or ``"cupy"``: see `planish.fuse.backend.choose_backend`.
    jobs : int, optional
        Threads; all cores by default. A GPU takes one tile at a time.
    progress : callable, optional
        Called with (stage, done, total); an exception that it raises cancels.
    **parameters
        Of the method, by its class:

        - ``"soft"``, `planish.fuse.soft.Soft`: sigma=4, fine_sigma=1, decimation=1, power=4, prior=None (a
          `planish.fuse.prior.Prior`: planes that are expected), depth=False;
        - ``"pick"``, `planish.fuse.soft.Pick`: sigma=4, fine_sigma=1, decimation=1;
        - ``"clij2"``, `planish.fuse.clij2.Clij2`: radius=5, sigma=20, decimation=1, about=None;
        - ``"selective"``, `planish.fuse.selective.Selective`: window=9, focus=None, alpha=0.2, threshold=13,
          compat=False;
        - ``"laplacian"``, `planish.fuse.laplacian.Laplacian`: levels=5, sigma=2.

    Returns
    -------
    FusedStack
        The image, and where the method has them, the plane or the depth of each pixel.

    Raises
    ------
    OptionError
        A `ValueError` that names the argument and what it may be.

    See Also
    --------
    planish.fuse.take.take_planes : other channels from the planes that were chosen here.

    Examples
    --------
    >>> fused = fuse_stack(np.zeros((3, 64, 64), np.uint8), "clij2", radius=2, sigma=10)
    >>> fused.image.shape
    (64, 64)
    """
    planes = ArrayPlanes(stack)
    fused, chosen, used = fuse_planes(
        planes, make_method(method, **parameters), Tiling(tile_size, overlap), backend, jobs=jobs, progress=progress
    )
    image = fused.image if planes.has_channels else fused.image[..., 0]
    return FusedStack(image, fused.plane_index, fused.depth, chosen, used)


def fuse_planes(
    planes: Planes,
    method: Method,
    tiling: Tiling,
    backend: str = "auto",
    *,
    jobs: int | None = None,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Fused, Method, str]:
    """Fuse planes from anywhere; return the result, the method as it was prepared, and the backend's name.

    Each thread holds `Method.float_planes` float images and two of the planes' own of a tile with its margin. The
    result stands in memory, or in files of the folder `scratch`: ``image.npy``, ``plane_index.npy``, ``depth.npy``.

    Raises
    ------
    OptionError
        Where options do not fit the planes, or more memory would be needed than there is.
    """
    method.check(planes)
    margin = tiling.margin(method)
    computer = choose_backend(backend)
    _, height, width, _ = planes.shape
    jobs = 1 if computer.name == "cupy" else _threads(jobs)
    check_memory(planes, method, tiling, computer, jobs, in_files=scratch is not None)
    method = method.prepare(planes, computer)
    boxes = list(tiling.boxes(method, width, height, jobs))
    result = _Result((height, width), scratch)

    def fuse(box: Box) -> tuple[Box, Fused]:
        return box, fuse_box(planes, method, box, computer, margin)

    with in_threads(fuse, ((box,) for box in boxes), jobs) as results:
        for done, (box, part) in enumerate(results, 1):
            result.put(box, part)
            if progress:
                progress("fuse", done, len(boxes))
    return result.fused(), method, computer.name


class _Result:
    """Arrays that tiles are put into, made when the first tile shows which there are."""

    def __init__(self, size: tuple[int, int], scratch: Path | None) -> None:
        self._size, self._scratch = size, scratch
        self._arrays: dict[str, NDArray[Any]] = {}

    def put(self, box: Box, part: Fused) -> None:
        """Copy a tile to its place."""
        for name, pixels in vars(part).items():
            if pixels is None:
                continue
            if name not in self._arrays:
                self._arrays[name] = self._new(name, (*self._size, *pixels.shape[2:]), pixels.dtype)
            self._arrays[name][box.y : box.y + box.height, box.x : box.x + box.width] = pixels

    def _new(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        if self._scratch is None:
            return np.empty(shape, dtype)
        return np.lib.format.open_memmap(self._scratch / f"{name}.npy", "w+", dtype, shape)

    def fused(self) -> Fused:
        """Return them."""
        return Fused(**self._arrays)


def _threads(jobs: int | None) -> int:
    if jobs is None:
        return cores()
    whole("jobs", jobs, 1)
    return jobs
