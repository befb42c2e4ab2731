"""`open_dataset`: all volumes of a folder as one lazy array."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError, SlideError
from planish.lightsheet.acquisition import Acquisition, acquisition_of, find_acquisitions
from planish.lightsheet.boxes import Index
from planish.lightsheet.darkframes import find_backgrounds
from planish.lightsheet.discovery import discover
from planish.lightsheet.gaps import Extent, dark_gaps, double_gaps, extent_gaps, look_gaps
from planish.lightsheet.names import Fused, Look
from planish.lightsheet.rawstack import DTYPE, depth
from planish.lightsheet.sidecars import Sidecars
from planish.lightsheet.views import Grid, ViewArray
from planish.lightsheet.volume import Volume, open_volume

Key = Look | Fused


def open_dataset(folder: str | Path, specimen: int | None = None, size: tuple[int, int] | None = None) -> Dataset:
    """Open a folder of volumes, raw or processed; nothing is read yet but names and XML.

    Parameters
    ----------
    folder : path
        With raw files in it, or with SPM##/TM######/ folders of processed ones.
    specimen : int, optional
        Only this one; all by default, and the first of them as the array.
    size : (width, height), optional
        px of the planes of raw files; needed where no XML tells it, and goes before it.

    Raises
    ------
    SlideNotFound
        Where there is no such folder.
    SlideError
        Where it holds no volume, or an XML file is damaged.
    OptionError
        Where the specimen is not there.
    """
    return Dataset(Path(folder), specimen, size)


class Dataset:
    """Volumes by specimen, time point, camera and channel, and those of one specimen as a lazy array.

    The array is (T, Z, Views, Y, X), or (Z, Views, Y, X) of one time point. T counts the time points that are there.
    What is not there (a view at some time point, the last planes of a volume of fewer) is 0 in the array, and named in
    `gaps`. Indexing takes integers, slices and an ellipsis; only the planes asked for are read.

    Attributes
    ----------
    folder : Path
        What was opened.
    looks : tuple of Look or Fused
        Volumes that are there and can be opened, of all specimens, sorted. Where a folder holds volumes of single
        cameras and fused ones, these are the former.
    specimen : int
        The one that is the array.
    """

    def __init__(self, folder: Path, specimen: int | None = None, size: tuple[int, int] | None = None) -> None:
        self.folder, self._given = folder, size
        found = discover(folder)
        self._paths: dict[Any, Path] = dict(found.looks) or dict(found.fused)
        self._doubles, self._unused = found.doubles, len(found.fused) if found.looks else 0
        there = sorted({key.specimen for key in self._paths})
        if specimen is not None and specimen not in there:
            raise OptionError(f"{folder}: has no specimen {specimen}; there are {', '.join(map(str, there))}")
        self.specimens: tuple[int, ...] = tuple(there) if specimen is None else (specimen,)
        self.specimen = self.specimens[0]
        self._acquisitions = {each: _find_xml(folder, each) for each in self.specimens}
        self._broken: dict[Key, str] = {}
        self.looks: tuple[Any, ...] = tuple(
            key for key in sorted(self._paths) if key.specimen in self.specimens and self._openable(key)
        )
        if not self.looks:
            raise SlideError(next(iter(self._broken.values())))
        self.specimens = tuple(sorted({look.specimen for look in self.looks}))
        self.specimen = self.specimens[0]

    def _openable(self, key: Key) -> bool:
        """Whether a raw file is whole, as far as its size tells."""
        try:
            if self._is_raw(key):
                self._depth(key)
        except SlideError as error:
            self._broken[key] = str(error)
            return False
        return True

    def _is_raw(self, key: Key) -> bool:
        return self._paths[key].suffix.lower() == ".stack"

    def acquisition(self, look: Key) -> Acquisition | None:
        """Return what the XML says of a look; None without XML."""
        single = look if isinstance(look, Look) else Look(look.specimen, look.time, *look.view)
        return acquisition_of(single, self._acquisitions[look.specimen])

    def path(self, look: Key) -> Path:
        """Return the file of a look."""
        return self._paths[look]

    def _size(self, key: Key) -> tuple[int, int]:
        if self._given:
            return self._given
        acquisition = self.acquisition(key)
        if acquisition is None:
            raise SlideError(
                f"{self._paths[key]}: no XML in {self.folder} tells the size of its planes; copy ch*.xml there, or "
                "give size=(width, height)"
            )
        return acquisition.size(key.view[0])

    def _depth(self, key: Key) -> int:
        return depth(self._paths[key], *self._size(key))

    def volume(self, look: Key) -> Volume:
        """Open one volume; who calls closes it.

        Raises
        ------
        SlideError
            Where it is not there, or damaged.
        """
        if look not in self._paths:
            raise SlideError(f"{self.folder}: has no {look.stem}; see .looks for what is there")
        volume = open_volume(self._paths[look], *(self._size(look) if self._is_raw(look) else ()))
        acquisition = self.acquisition(look)
        if volume.voxel_um is None and acquisition:
            volume.voxel_um = acquisition.voxel_um
        return volume

    @property
    def times(self) -> tuple[int, ...]:
        """Time points of the array's specimen that are there."""
        return tuple(sorted({look.time for look in self._shown}))

    @property
    def views(self) -> tuple[tuple[int, int], ...]:
        """(camera, channel) of each of the array's views; of fused volumes the first camera."""
        return tuple(sorted({look.view for look in self._shown}))

    @cached_property
    def _shown(self) -> tuple[Any, ...]:
        return tuple(look for look in self.looks if look.specimen == self.specimen)

    @cached_property
    def _extents(self) -> dict[Any, Extent]:
        extents = {}
        for look in self._shown:
            try:
                extents[look] = self._extent(look)
            except SlideError as error:
                self._broken[look] = str(error)
        if not extents:
            raise SlideError(next(iter(self._broken.values())))
        return extents

    def _extent(self, look: Key) -> Extent:
        if self._is_raw(look):
            width, height = self._size(look)
            return Extent((self._depth(look), height, width), DTYPE)
        with self.volume(look) as volume:
            return Extent(volume.shape, volume.dtype)

    @cached_property
    def array(self) -> ViewArray:
        """The array.

        Raises
        ------
        SlideError
            Where the views have different widths and heights; `volume` opens each of them all the same.
        """
        return ViewArray(self.folder, Grid(self.times, self.views, self._extents), self.volume)

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, Z, Views, Y, X), or (Z, Views, Y, X) of one time point."""
        return self.array.shape

    @property
    def ndim(self) -> int:
        """5 or 4."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """One that holds the numbers of all views."""
        return self.array.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Index) -> Any:
        return self.array[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self[...], dtype, copy=copy)

    @cached_property
    def gaps(self) -> tuple[str, ...]:
        """What is missing, stale or left out, in plain words; finding out opens each processed volume once."""
        raw = [look for look in self.looks if self._is_raw(look)]
        planned = {look: acquisition for look in raw if (acquisition := self.acquisition(look))}
        extents = self._extents
        return (
            *self._broken.values(),
            *look_gaps(self.looks),
            *extent_gaps(extents, {look: (self._depth(look), planned[look]) for look in planned}),
            *double_gaps(self._doubles, self._unused),
            *(dark_gaps(self.folder, raw, len(find_backgrounds(self.folder))) if raw else ()),
        )

    @property
    def metadata(self) -> dict[str, Any]:
        """What is known of the array's specimen: times, views, voxel size in µm, dark frames, and what its XML says."""
        acquisitions = self._acquisitions[self.specimen]
        with self.volume(next(iter(self._extents))) as volume:
            voxel_um = volume.voxel_um
        return {
            "folder": self.folder,
            "specimen": self.specimen,
            "times": self.times,
            "views": self.views,
            "voxel_um": voxel_um,
            "backgrounds": find_backgrounds(self.folder),
            "acquisitions": [asdict(each) | {"pixel_um": each.pixel_um} for each in acquisitions],
        }

    def get_labels(self, timepoint: int, camera: int, label_type: str, channel: int | None = None) -> Volume:
        """Open the labels of a look, e.g. its mask: (Z, Y, X), of a map with Z = 1; who calls closes them.

        Parameters
        ----------
        timepoint, camera : int
            As in `times` and `views`.
        label_type : str
            What they are called, in the Zarr or in the file beside the volume, STEM.NAME.tif.
        channel : int, optional
            The camera's first by default.

        Raises
        ------
        SlideError
            Where there are none; it names those that there are.
        """
        return Sidecars(self.folder, self._paths[self._look(timepoint, camera, channel)]).labels(label_type)

    def get_projection(
        self, timepoint: int, camera: int, proj_type: str = "xy", channel: int | None = None
    ) -> NDArray[Any]:
        """Read a projection of a look that was made before, (rows, columns): ``xy``, ``xz``, ``yz`` or ``focus``.

        See `get_labels` for the parameters and errors.
        """
        return Sidecars(self.folder, self._paths[self._look(timepoint, camera, channel)]).projection(proj_type)

    def _look(self, time: int, camera: int, channel: int | None) -> Any:
        for look in self._shown:
            if (look.time, look.view[0]) == (time, camera) and channel in (None, look.channel):
                return look
        raise SlideError(f"{self.folder}: has no camera {camera}, channel {'any' if channel is None else channel} at "
                         f"time point {time}; there are {self.views} at {self.times}")  # fmt: skip


def _find_xml(folder: Path, specimen: int) -> tuple[Acquisition, ...]:
    """Look in the folder, then in the specimen's own."""
    return find_acquisitions(folder, specimen) or find_acquisitions(folder / f"SPM{specimen:02d}", specimen)
