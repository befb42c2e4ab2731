"""Volumes as OME-Zarr 0.5, axes z, y, x: sharded, with labels, without loss."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from planish.errors import SlideError, WriteError
from planish.files import replacing_folder
from planish.lightsheet.lazyvolume import Volume
from planish.lightsheet.volumeoptions import VolumeOptions
from planish.lightsheet.zarrcodecs import fast_codecs
from planish.lightsheet.zarrlevels import Levels
from planish.lightsheet.zarrmetadata import OURS, image_attributes, labels_attributes, multiscale_of, voxel_of
from planish.slide.foreign import reason
from planish.threads import Progress

LABELS = "labels"


def write_zarr(path: Path, volume: Any, options: VolumeOptions, progress: Progress | None = None) -> Path:
    """Write an OME-Zarr. Memory: per thread two slabs of planes, each ten or as deep as a chunk."""
    with replacing_folder(path, overwrite=options.overwrite, ours=_is_ours) as temporary:
        # With mode "w", zarr would remove the folder and make it anew.
        group = zarr.open_group(str(temporary), mode="a", zarr_format=3)
        try:
            _write_images(temporary, group, volume, options, progress)
        except RuntimeError as error:  # the errors of zarrs are in words only
            if f"os error {errno.ENOSPC}" in str(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise WriteError(f"{path}: writing failed ({reason(error)}); nothing was left there") from error
    return path


def _write_images(
    temporary: Path, group: zarr.Group, volume: Any, options: VolumeOptions, progress: Progress | None
) -> None:
    _write_image(temporary, group, volume, options, progress, label=False)
    if options.labels:
        labels = group.create_group(LABELS, attributes=labels_attributes(sorted(options.labels)))
        for name in sorted(options.labels):
            _write_image(temporary, labels.create_group(name), options.labels[name], options, progress, label=True)


def _write_image(
    folder: Path, group: zarr.Group, volume: Any, options: VolumeOptions, progress: Progress | None, *, label: bool
) -> None:
    with fast_codecs():
        levels = Levels(group, volume, options, label=label)
    levels.fill(progress)
    attributes = image_attributes(levels.count, options.voxel_um, label=label)
    # Files that lack are zeros to zarr: of a slab without light there is none, but one may also be lost.
    attributes[OURS]["files"] = _pixel_files(folder / group.path / "0")
    group.attrs.update(attributes)


def _is_ours(folder: Path) -> bool:
    """Whether a folder is a volume that planish wrote, which another may replace."""
    try:
        attributes = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        return OURS in attributes
    except (OSError, ValueError, KeyError, TypeError):
        return False


class ZarrPlanes:
    """A Zarr array of which axes of size 1 are left out, so that it is (Z, Y, X)."""

    def __init__(self, array: zarr.Array[Any], first: int) -> None:
        self._array, self._first = array, first
        self._flat = len(array.shape) - first == 2
        sizes = tuple(array.shape[first:])
        self.shape = (1, *sizes) if self._flat else sizes
        self.dtype = array.dtype

    def __getitem__(self, box: tuple[slice, ...]) -> Any:
        if any(part.start == part.stop for part in box):
            return self._empty(box)
        inner = box[1:] if self._flat else box
        pixels: Any = self._array[(0,) * self._first + inner]
        return pixels[None] if self._flat else pixels

    def _empty(self, box: tuple[slice, ...]) -> NDArray[Any]:
        return np.empty([part.stop - part.start for part in box], self.dtype)


def open_zarr(path: Path) -> Volume:
    """Open the full size of an OME-Zarr, 0.4 or 0.5, or of a plain array; it holds one volume.

    Raises
    ------
    SlideError
        Where it is damaged, or holds something else.
    """
    try:
        with fast_codecs():
            return _opened(path)
    except SlideError:
        raise
    except Exception as error:  # foreign code, which damaged metadata throws off in any way
        raise SlideError(f"{path}: not a readable OME-Zarr ({error}); write or copy it again") from error


def _opened(path: Path) -> Volume:
    node = zarr.open(str(path), mode="r")
    if isinstance(node, zarr.Array):
        return Volume(path, _planes(path, node), None)
    multiscale = multiscale_of(node.attrs.asdict())
    if multiscale is None:
        raise SlideError(f"{path}: is a Zarr group that tells of no image; name the image's own folder")
    array = node[multiscale["datasets"][0]["path"]]
    if not isinstance(array, zarr.Array):
        raise SlideError(f"{path}: its first level is no array; write it again")
    _check_axes(path, multiscale, array)
    _check_files(path / array.path, node.attrs.asdict())
    return Volume(path, _planes(path, array), voxel_of(multiscale))


def _check_files(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Raise SlideError where files are missing that planish wrote, which zarr would read as zeros."""
    ours = attributes.get(OURS)
    wanted = ours.get("files", 0) if isinstance(ours, Mapping) else 0
    if (there := _pixel_files(folder)) < wanted:
        raise SlideError(f"{folder}: has {there} of {wanted} files of pixels; copy it again, or write it anew")


def _pixel_files(array: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(array / "c"))


def _check_axes(path: Path, multiscale: Mapping[str, Any], array: zarr.Array[Any]) -> None:
    names = "".join(axis["name"] for axis in multiscale["axes"])
    held = "".join(name for name, size in zip(names, array.shape, strict=True) if size > 1 or name in "zyx")
    if held not in ("zyx", "yx"):
        raise SlideError(f"{path}: holds {array.shape} along {names}, not one volume (z, y, x); save that by itself")


def _planes(path: Path, array: zarr.Array[Any]) -> ZarrPlanes:
    first = max(0, len(array.shape) - 3)
    if len(array.shape) < 2 or any(size > 1 for size in array.shape[:first]):
        raise SlideError(f"{path}: holds {array.shape}, not one volume (Z, Y, X); save that by itself")
    return ZarrPlanes(array, first)
