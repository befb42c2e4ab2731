"""What is missing in a data set, or not as planned, in plain words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from planish.lightsheet.acquisition import Acquisition


@dataclass(frozen=True)
class Extent:
    """Size and type of a volume.

    Attributes
    ----------
    shape : tuple of int
        (Z, Y, X).
    dtype : numpy.dtype
        Of its pixels.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]


def look_gaps(looks: Sequence[Any]) -> Iterator[str]:
    """Yield which time points are missing in between, and which views at single time points; by specimen."""
    for specimen, group in groupby(looks, key=lambda look: look.specimen):
        own = list(group)
        times, views = sorted({look.time for look in own}), sorted({look.view for look in own})
        name = f"specimen {specimen}"
        if missing := sorted(set(range(times[0], times[-1])) - set(times)):
            yield f"{name}: no files of time points {_ranges(missing)}, between {times[0]} and {times[-1]}"
        for camera, channel in views:
            there = {look.time for look in own if look.view == (camera, channel)}
            if lacking := [time for time in times if time not in there]:
                yield f"{name}: no volume of camera {camera}, channel {channel} at time points {_ranges(lacking)}"


def extent_gaps(extents: Mapping[Any, Extent], raw: Mapping[Any, tuple[int, Acquisition]]) -> Iterator[str]:
    """Yield where XML tells another depth than a raw file has, and where volumes are not equally deep.

    Parameters
    ----------
    extents : Mapping
        Of the looks in the array.
    raw : Mapping
        Planes that raw files hold, and their XML.
    """
    stale: dict[tuple[str, int, int], list[str]] = defaultdict(list)
    for look, (planes, acquisition) in raw.items():
        told = acquisition.xml_depth(look.camera)
        if told != planes:
            stale[acquisition.source.name, told, planes].append(look.stem)
    for (name, told, planes), stems in stale.items():
        yield f"{name} tells {told} planes, but {_some(stems)} has {planes}, which are read; the XML is stale"
    deepest = max(extent.shape[0] for extent in extents.values())
    fewer: dict[int, list[str]] = defaultdict(list)
    for look, extent in extents.items():
        if extent.shape[0] < deepest:
            fewer[extent.shape[0]].append(look.stem)
    for planes, stems in sorted(fewer.items()):
        yield f"{_some(stems)} has {planes} planes of {deepest}; the others are 0 in the array"


def double_gaps(doubles: Sequence[Path], unused: int) -> Iterator[str]:
    """Yield which files are left out, because others hold the same, or because they are fused."""
    if doubles:
        yield f"{_some([path.name for path in doubles])} is there in another file, too, which is taken"
    if unused:
        yield f"{unused} fused volumes lie among those of single cameras, and are left out; open their own folder"


def dark_gaps(folder: Path, raw: Iterable[Any], files: int) -> Iterator[str]:
    """Yield whether dark frames are missing."""
    cameras = {look.camera for look in raw}
    if not files:
        yield f"{folder}: no Background_*.tif; the background is estimated from the volumes"
    elif files != len(cameras):
        yield f"{folder}: {files} Background_*.tif for {len(cameras)} cameras, {', '.join(map(str, sorted(cameras)))}"


def _ranges(numbers: Sequence[int]) -> str:
    """Return ``3, 5–7`` of 3, 5, 6, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _some(names: Sequence[str]) -> str:
    """Return the first name, and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]}, like {len(names) - 1} more,"
