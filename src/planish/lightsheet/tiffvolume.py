"""Volumes as OME-TIFF: one page per plane."""

from __future__ import annotations

import logging
import math
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from planish._version import __version__
from planish.errors import SlideError
from planish.files import replacing
from planish.lightsheet.lazyvolume import Volume, Voxel
from planish.lightsheet.stored import SLAB, Stored
from planish.lightsheet.volumeoptions import VolumeOptions
from planish.threads import Progress

# What tifffile logs of damaged files, our errors say.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_BIG = 2**32 - 2**25
"""Bytes above which a classic TIFF's 32-bit offsets may not do."""
_UM = {"µm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "pm": 1e-6}


class TiffPlanes:
    """The planes of an open TIFF, (Z, Y, X); each is decoded when it is asked for, whole.

    It may be used from several threads. Memory is what was asked for, and one plane.
    """

    def __init__(self, tif: tifffile.TiffFile, shape: tuple[int, int, int]) -> None:
        self._tif, self._lock = tif, threading.Lock()
        self._pages: list[Any] = list(tif.series[0].pages)
        self.shape, self.dtype = shape, np.dtype(tif.series[0].dtype)

    def __getitem__(self, box: tuple[slice, ...]) -> NDArray[Any]:
        z, y, x = (range(*part.indices(size)) for part, size in zip(box, self.shape, strict=True))
        pixels = np.empty((len(z), len(y), len(x)), self.dtype)
        with self._lock:
            for place, plane in enumerate(z):
                pixels[place] = self._pages[plane].asarray().reshape(self.shape[1:])[box[1:]]
        return pixels


def open_tiff(path: Path) -> Volume:
    """Open a TIFF of one volume; planes that lie in it one after the other, uncompressed, are mapped into memory.

    Raises
    ------
    SlideError
        Where it is no TIFF, damaged, cut short, or holds something else than one volume.
    """
    try:
        tif = tifffile.TiffFile(path)
    except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
        raise SlideError(f"{path}: not a readable TIFF ({error}); it may be cut short: copy it again") from error
    try:
        return _opened(path, tif)
    except SlideError:
        tif.close()
        raise
    except Exception as error:  # as above
        tif.close()
        raise SlideError(f"{path}: its TIFF structure is damaged ({error}); copy it again") from error


def _opened(path: Path, tif: tifffile.TiffFile) -> Volume:
    _check_whole(path, tif)
    series = tif.series[0]
    sizes = [size for size, axis in zip(series.shape, series.axes, strict=True) if size > 1 or axis in "YX"]
    if len(sizes) not in (2, 3) or not series.axes.endswith("YX") or series.dtype is None:
        raise SlideError(f"{path}: holds {series.shape} ({series.axes}), not one volume (Z, Y, X); save that by itself")
    depth, height, width = (1, *sizes) if len(sizes) == 2 else sizes
    voxel = _voxel_um(tif.ome_metadata)
    if series.dataoffset is not None:
        tif.close()
        order = np.dtype(series.dtype).newbyteorder(tif.byteorder)
        pixels = np.memmap(path, order, "r", series.dataoffset, (depth, height, width))
        return Volume(path, pixels, voxel)
    return Volume(path, TiffPlanes(tif, (depth, height, width)), voxel, tif.close)


def _check_whole(path: Path, tif: tifffile.TiffFile) -> None:
    """Raise SlideError where pages or their pixels lie beyond the end; tifffile would read fewer, or zeros."""
    size = tif.filehandle.size
    pages: list[Any] = list(tif.series[0].pages)
    if None in pages or not pages:
        raise SlideError(f"{path}: pages are missing, so the file is cut short; copy it again")
    parts = [part for page in pages for part in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if max(start + count for start, count in parts) > size or _lost_tags(tif):
        raise SlideError(f"{path}: parts of it lie beyond its end, so the file is cut short; copy it again")
    tif.filehandle.seek(tif.pages.next_page_offset or 0)
    last = tif.filehandle.read(tif.tiff.offsetsize)
    if len(last) < tif.tiff.offsetsize or any(last):
        raise SlideError(f"{path}: the list of pages breaks off, so the file is cut short; copy it again")


def _lost_tags(tif: tifffile.TiffFile) -> bool:
    """Whether the first page has fewer tags than it counts: tifffile leaves out those whose values lie beyond the end.

    The description is such a one, which tifffile itself writes last.
    """
    tif.filehandle.seek(tif.pages.first.offset)
    (count,) = struct.unpack(tif.tiff.tagnoformat, tif.filehandle.read(tif.tiff.tagnosize))
    return len(list(tif.pages.first.tags)) < int(count)


def _voxel_um(description: str | None) -> Voxel | None:
    """Return the steps in z, y and x from OME-XML, where all three are there."""
    if not description:
        return None
    pixels = next((each for each in ElementTree.fromstring(description).iter() if each.tag.endswith("}Pixels")), None)
    if pixels is None:
        return None
    steps = []
    for axis in "ZYX":
        size, unit = pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")
        if size is None or unit not in _UM:
            return None
        steps.append(float(size) * _UM[unit])
    return steps[0], steps[1], steps[2]


def write_tiff(path: Path, volume: Any, options: VolumeOptions, progress: Progress | None = None) -> Path:
    """Write an OME-TIFF, a page per plane; deflated unless the compressor is ``none``. Memory is a slab of planes."""
    stored = Stored(volume)
    size = math.prod(stored.shape) * stored.dtype.itemsize
    deflated = options.compressor != "none"
    with (
        replacing(path, overwrite=options.overwrite) as temporary,
        tifffile.TiffWriter(temporary, bigtiff=size > _BIG, ome=True) as tif,
    ):
        tif.write(
            _planes(stored, progress),
            shape=stored.shape,
            dtype=stored.dtype,
            photometric="minisblack",
            compression="zlib" if deflated else None,
            compressionargs={"level": options.level or 6} if deflated else None,
            predictor=deflated,
            maxworkers=options.jobs,
            buffersize=size * SLAB // stored.shape[0],  # of what is compressed in one pass, by default 256 MiB
            software=f"planish {__version__}",
            metadata=_metadata(options.voxel_um),
        )
    return path


def _planes(stored: Stored, progress: Progress | None) -> Iterator[NDArray[Any]]:
    done = 0
    for slab in stored.slabs():
        done += len(slab)
        if progress:  # before they are taken, for nobody asks for a plane after the last
            progress("writing", done, stored.shape[0])
        yield from slab


def _metadata(voxel_um: Voxel | None) -> dict[str, Any]:
    steps = dict(zip("ZYX", voxel_um or (), strict=False))
    sizes = {f"PhysicalSize{axis}": step for axis, step in steps.items()}
    return {"axes": "ZYX", **sizes, **{f"{name}Unit": "µm" for name in sizes}}
