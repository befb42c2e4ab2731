"""How a volume is written, and what can be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from planish.errors import OptionError
from planish.lightsheet.lazyvolume import Voxel
from planish.threads import cores

Compressor = Literal["blosc-zstd", "blosc-lz4", "blosc-lz4hc", "gzip", "bzip2", "none"]
COMPRESSORS: tuple[Compressor, ...] = ("blosc-zstd", "blosc-lz4", "blosc-lz4hc", "gzip", "bzip2", "none")
CHUNK = (10, 128, 128)


@dataclass(frozen=True)
class VolumeOptions:
    """How a volume is written. All is kept without loss.

    Attributes
    ----------
    voxel_um : tuple of float or None
        Steps in z, y and x.
    compressor : str
        Of Zarr. KLB knows bzip2, gzip and none, TIFF gzip and none: KLB has bzip2 and TIFF gzip for all others.
    level : int or None
        Of the compressor; None for what it is best at.
    chunk : tuple of int, or ``"plane"``
        What is compressed as one, (z, y, x) px; for Zarr.
    sharded : bool
        Whether a Zarr has one file per slab of planes, not per chunk.
    pyramid : bool
        Whether a Zarr has smaller levels, each half as wide and high, down to 256 px.
    overwrite : bool
        Replace what is there.
    jobs : int
        Threads.
    labels : Mapping
        Names and volumes of whole numbers, of the same shape: in the Zarr, else in files beside, STEM.NAME.tif.
    """

    voxel_um: Voxel | None = None
    compressor: Compressor = "blosc-zstd"
    level: int | None = None
    chunk: tuple[int, int, int] | Literal["plane"] = CHUNK
    sharded: bool = True
    pyramid: bool = False
    overwrite: bool = False
    jobs: int = field(default_factory=cores)
    labels: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.compressor not in COMPRESSORS:
            raise OptionError(f"compressor is one of {', '.join(COMPRESSORS)}, not {self.compressor!r}")
        if self.jobs < 1:
            raise OptionError(f"jobs must be 1 or more, not {self.jobs}")
        if self.chunk != "plane" and (len(self.chunk) != 3 or min(self.chunk) < 1):
            raise OptionError(f'chunk must be three numbers above 0, or "plane", not {self.chunk!r}')
        if self.voxel_um and not all(np.isfinite(step) and step > 0 for step in self.voxel_um):
            raise OptionError(f"voxel_um must be three numbers above 0, not {self.voxel_um!r}")


def check_volume(path: Path, volume: Any, labels: Mapping[str, Any]) -> None:
    """Raise OptionError where something is no volume, or a label does not fit it."""
    shape, kind = tuple(volume.shape), np.dtype(volume.dtype).kind
    if len(shape) != 3 or not all(shape) or kind not in "biuf":
        raise OptionError(
            f"{path}: {shape} of {np.dtype(volume.dtype)} cannot be written; a volume is (Z, Y, X), of real numbers"
        )
    for name, label in labels.items():
        if tuple(label.shape) != shape or np.dtype(label.dtype).kind not in "biu":
            raise OptionError(
                f"{path}: label {name} is {tuple(label.shape)} of {np.dtype(label.dtype)}; labels are whole numbers "
                f"of the volume's shape, {shape}"
            )
        if not name or not name.replace("-", "").replace("_", "").isalnum():
            raise OptionError(f"{path}: label name {name!r} must be of letters, digits, - and _")
