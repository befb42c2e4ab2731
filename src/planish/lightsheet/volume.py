"""Volumes (Z, Y, X) in files: opened lazily and written by slabs of planes, whatever the format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from planish.errors import OptionError, SlideError, SlideNotFound, UnsupportedSlide
from planish.files import check_output
from planish.lightsheet.acquisition import acquisition_of, find_acquisitions
from planish.lightsheet.lazyvolume import Volume, Voxel
from planish.lightsheet.names import parse_raw
from planish.lightsheet.rawstack import map_stack
from planish.lightsheet.stored import Stored
from planish.lightsheet.volumeoptions import COMPRESSORS, Compressor, VolumeOptions, check_volume
from planish.threads import Progress

__all__ = ["COMPRESSORS", "Compressor", "Volume", "VolumeOptions", "Voxel", "open_volume", "stem_of", "write_volume"]

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ZARR = ("zarr.json", ".zattrs", ".zgroup", ".zarray")


def is_zarr(path: Path) -> bool:
    """Whether a path is the folder of a Zarr."""
    return path.is_dir() and any((path / name).exists() for name in _ZARR)


def stem_of(path: Path) -> str:
    """Return a file's name up to the first dot: without ``.ome.tif``, or what a mask or projection is called."""
    return path.name.split(".")[0]


def open_volume(path: str | Path, width: int | None = None, height: int | None = None) -> Volume:
    """Open a volume; pixels are read when they are asked for.

    Parameters
    ----------
    path : path
        Raw ``.stack``, KLB, TIFF or OME-Zarr.
    width, height : int, optional
        px of a plane of a ``.stack``; by default the XML beside it tells them.

    Raises
    ------
    SlideNotFound
        Where there is no such file.
    UnsupportedSlide
        Where it is of another kind.
    SlideError
        Where it is damaged or cut short, or no volume; a damaged part may only be found when it is read.
    """
    path = Path(path)
    if not path.exists():
        raise SlideNotFound(f"{path}: no such file; check the name")
    if path.suffix.lower() == ".stack":
        return _open_stack(path, width, height)
    if is_zarr(path):
        from planish.lightsheet.zarrvolume import open_zarr

        return open_zarr(path)
    if path.is_file() and path.suffix.lower() == ".klb":
        return _open_klb(path)
    if path.is_file() and (path.suffix.lower() in (".tif", ".tiff") or _head(path) in _TIFF_MAGIC):
        from planish.lightsheet.tiffvolume import open_tiff

        return open_tiff(path)
    raise UnsupportedSlide(f"{path}: is no volume; name a .stack, .klb or .tif file, or a .zarr folder")


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise SlideError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def _open_stack(path: Path, width: int | None, height: int | None) -> Volume:
    voxel = None
    if not width or not height:
        look = parse_raw(path.name)
        acquisition = acquisition_of(look, find_acquisitions(path.parent, look.specimen)) if look else None
        if not look or not acquisition:
            raise SlideError(
                f"{path}: no XML beside it tells the size of its planes; copy ch*.xml there, or give width and height"
            )
        width, height = acquisition.size(look.camera)
        voxel = acquisition.voxel_um
    return Volume(path, map_stack(path, width, height), voxel)


def _open_klb(path: Path) -> Volume:
    from planish.lightsheet.klb import KlbFile

    file = KlbFile(path)
    if len(file.shape) != 3:
        file.close()
        raise SlideError(f"{path}: holds {file.shape}, (T, C, Z, Y, X); save each volume by itself")
    return Volume(path, file, file.voxel_um, file.close)


def write_volume(
    path: str | Path, volume: Any, options: VolumeOptions | None = None, progress: Progress | None = None
) -> Path:
    """Write a volume, in the format that the name ends with; it appears whole, or not at all.

    Parameters
    ----------
    path : path
        ``….zarr`` (OME-Zarr 0.5), ``….klb``, or ``….tif`` (OME-TIFF, whether or not it is called so).
    volume : array-like, (Z, Y, X)
        Of real numbers; sliced by planes. Bool is written as uint8.
    options : VolumeOptions
        How. Labels of a TIFF or KLB become files beside it, written first.
    progress : callable
        Called with (stage, done, total) in planes; an exception that it raises cancels.

    Returns
    -------
    Path
        The file.

    Memory: of a Zarr two slabs per thread, each of ten planes or as deep as a chunk; of a TIFF or KLB one or two slabs.

    Raises
    ------
    OptionError
        Where the name ends otherwise, or the format cannot hold the volume.
    WriteError
        Where writing fails, or the file is there and may not be replaced.
    """
    path, options = Path(path), options or VolumeOptions()
    check_volume(path, volume, options.labels)
    if path.suffix.lower() == ".zarr":
        from planish.lightsheet.zarrvolume import write_zarr

        return write_zarr(path, volume, options, progress)
    if path.suffix.lower() not in (".klb", ".tif", ".tiff"):
        raise OptionError(f"{path}: a volume is written as .zarr, .klb or .tif; give it one of these endings")
    check_output(path, overwrite=options.overwrite)
    for name, label in options.labels.items():
        ending = "".join(path.suffixes)
        write_volume(path.with_name(f"{stem_of(path)}.{name}{ending}"), label, replace(options, labels={}))
    if path.suffix.lower() == ".klb":
        return _write_klb(path, volume, options)
    from planish.lightsheet.tiffvolume import write_tiff

    return write_tiff(path, volume, options, progress)


def _write_klb(path: Path, volume: Any, options: VolumeOptions) -> Path:
    from planish.lightsheet import klb

    codec = {"none": "none", "gzip": "zlib"}.get(options.compressor, "bzip2")
    return klb.write(
        path,
        Stored(volume),
        klb.KlbOptions(codec, pixel_um=options.voxel_um, jobs=options.jobs, overwrite=options.overwrite),
    )
