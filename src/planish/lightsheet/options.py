"""What all steps are told: which part of a data set, which cameras face each other, how volumes are written."""

from __future__ import annotations

from dataclasses import dataclass, field

from planish.errors import OptionError
from planish.lightsheet.layout import FORMATS
from planish.lightsheet.lazyvolume import Voxel
from planish.lightsheet.names import Fused, Look
from planish.lightsheet.volumeoptions import Compressor, VolumeOptions
from planish.threads import cores

Pair = tuple[int, int]

PAIRS: tuple[Pair, ...] = ((0, 1), (2, 3))
"""Cameras that face each other; the second one is flipped, and moved onto the first."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which volumes of a data set are meant.

    Attributes
    ----------
    specimen : int or None
        Only that one; None for all.
    times : tuple of int or None
        The first time point and the one after the last, None for open ends.
    """

    specimen: int | None = None
    times: tuple[int | None, int | None] = (None, None)

    def __contains__(self, key: Look | Fused) -> bool:
        first, stop = self.times
        return (
            self.specimen in (None, key.specimen)
            and (first is None or key.time >= first)
            and (stop is None or key.time < stop)
        )


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """How a step writes.

    Attributes
    ----------
    format : str
        ``"zarr"``, ``"klb"`` or ``"tif"``.
    compressor, level, sharded
        As in `VolumeOptions`.
    overwrite : bool
        Make anew what is there; else it is skipped.
    diagnostics : bool
        Whether pictures for people are drawn.
    jobs : int
        Threads within a volume.
    """

    format: str = "zarr"
    compressor: Compressor = "blosc-zstd"
    level: int | None = None
    sharded: bool = True
    overwrite: bool = False
    diagnostics: bool = True
    jobs: int = field(default_factory=cores)

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise OptionError(f"volumes are written as {', '.join(FORMATS)}, not {self.format!r}")
        self.writing(None)

    def writing(self, voxel_um: Voxel | None) -> VolumeOptions:
        """Return how a volume is written; what is there is replaced, for who asks has looked."""
        return VolumeOptions(
            voxel_um=voxel_um,
            compressor=self.compressor,
            level=self.level,
            sharded=self.sharded,
            overwrite=True,
            jobs=self.jobs,
        )


def check_pairs(pairs: tuple[Pair, ...]) -> None:
    """Raise OptionError where a camera is in two pairs, or faces itself."""
    cameras = [camera for pair in pairs for camera in pair]
    if not cameras or len(set(cameras)) < len(cameras) or min(cameras) < 0:
        raise OptionError(f"pairs of cameras {pairs} must name each camera once, e.g. 0,1 and 2,3")
