"""What files are called: by specimen, time point, camera and channel."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RAW = re.compile(r"SPC(\d+)_TM(\d+)_ANG\d+_CM(\d+)_CHN(\d+)_PH\d+\.stack", re.IGNORECASE)
# Without TM it is one of several tiles at a single time; VW repeats what the cameras say.
_STEM = re.compile(r"SPM(\d+)(?:_TM(\d+))?((?:_CM\d+)+)(?:_VW\d+)?(?:_CHN(\d+))?(?:\.fusedStack)?")
_SUFFIX = re.compile(r"(?:\.ome)?\.(?:zarr|klb|tiff?|stack)", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Look:
    """What one camera saw once, in one channel.

    Attributes
    ----------
    specimen, time, camera, channel : int
        Numbers as the files have them.
    """

    specimen: int
    time: int
    camera: int
    channel: int

    @property
    def stem(self) -> str:
        """Name of its files without a suffix: ``SPM00_TM000000_CM00_CHN00``."""
        return f"SPM{self.specimen:02d}_TM{self.time:06d}_CM{self.camera:02d}_CHN{self.channel:02d}"

    @property
    def view(self) -> tuple[int, int]:
        """Camera and channel."""
        return self.camera, self.channel


@dataclass(frozen=True, order=True)
class Fused:
    """What several cameras saw together, made one.

    Attributes
    ----------
    specimen, time, channel : int
        Numbers as the files have them.
    cameras : tuple of int
        Those that were fused.
    """

    specimen: int
    time: int
    cameras: tuple[int, ...]
    channel: int

    @property
    def stem(self) -> str:
        """Name of its files without a suffix: ``SPM00_TM000000_CM00_CM01_CHN00``."""
        cameras = "".join(f"_CM{camera:02d}" for camera in self.cameras)
        return f"SPM{self.specimen:02d}_TM{self.time:06d}{cameras}_CHN{self.channel:02d}"

    @property
    def view(self) -> tuple[int, int]:
        """First camera, and channel."""
        return self.cameras[0], self.channel


def parse_raw(name: str) -> Look | None:
    """Return what a file as the microscope names them holds, ``SPC00_TM00000_ANG000_CM0_CHN00_PH0.stack``."""
    found = _RAW.fullmatch(name)
    return Look(*(int(number) for number in found.groups())) if found else None


def parse(name: str) -> Look | Fused | None:
    """Return what a processed volume holds, from its name with or without a suffix; None for all other files.

    Masks and projections, which have a word between stem and suffix, are other files.
    """
    found = _STEM.match(name)
    if not found or (found.end() < len(name) and not _SUFFIX.fullmatch(name, found.end())):
        return None
    specimen, time, channel = (int(found[group] or 0) for group in (1, 2, 4))
    cameras = tuple(int(number) for number in re.findall(r"\d+", found[3]))
    if len(cameras) == 1:
        return Look(specimen, time, cameras[0], channel)
    return Fused(specimen, time, cameras, channel)
