"""Files beside a volume that were made from it: labels and projections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import SlideError
from planish.lightsheet.volume import Volume, open_volume, stem_of

PROJECTIONS = ("xy", "xz", "yz", "focus")
_LABELS, _FOLDER = "labels", "projections"


def projection_path(volume: Path, kind: str) -> Path:
    """Return the file of a volume's projection: ``STEM.xyProjection.tif`` beside it."""
    return volume.with_name(f"{stem_of(volume)}.{kind}Projection.tif")


class Sidecars:
    """What was made from one volume.

    Parameters
    ----------
    folder : Path
        Of the data set; projections may lie in a folder of their own in it.
    volume : Path
        The volume.
    """

    def __init__(self, folder: Path, volume: Path) -> None:
        self._folder, self._volume, self._stem = folder, volume, stem_of(volume)

    def has_labels(self, name: str) -> bool:
        """Whether there are labels of that name."""
        return name in self._labels()

    def _labels(self) -> dict[str, Path]:
        inside = {path.name: path for path in (self._volume / _LABELS).glob("*") if path.is_dir()}
        return _named(self._volume.parent, self._stem) | inside

    def labels(self, name: str) -> Volume:
        """Open labels, in the Zarr itself or in a file beside; SlideError where there are none of that name."""
        there = self._labels()
        if name not in there:
            raise SlideError(f"{self._volume}: has no labels {name!r}; {_listed(there)}")
        return open_volume(there[name])

    def projection(self, kind: str) -> NDArray[Any]:
        """Read a projection, (rows, columns); SlideError where it was not made."""
        folders = [self._volume.parent, *(parent / _FOLDER for parent in self._parents())]
        for folder in folders:
            found = _named(folder, self._stem).get(f"{kind}Projection")
            if found:
                with open_volume(found) as volume:
                    return np.asarray(volume[0])
        raise SlideError(
            f"{self._volume}: has no {kind} projection (of {', '.join(PROJECTIONS)}); make it with planish lightsheet "
            "project"
        )

    def _parents(self) -> list[Path]:
        """Return the folders from the volume's up to the data set's."""
        parents = [parent for parent in self._volume.parents if self._folder in (parent, *parent.parents)]
        return parents or [self._folder]


def _named(folder: Path, stem: str) -> dict[str, Path]:
    """Return the files called STEM.NAME.… by name."""
    parts = {path: path.name.removeprefix(f"{stem}.").split(".") for path in sorted(folder.glob(f"{stem}.*.*"))}
    return {part[0]: path for path, part in parts.items() if part[0] != "ome"}


def _listed(there: dict[str, Path]) -> str:
    return f"there are {', '.join(sorted(there))}" if there else "correct the data set first, which makes them"
