"""Which frame of a sparse DICOM image is which tile of which plane, by what the file says of each frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from wsidicom.file.io import WsiDicomReader

from planish.errors import SlideError, UnsupportedSlide

Key = tuple[float | None, str]
"""z in µm and optical path, which together tell a plane of frames."""
Z_DECIMALS = 3
"""µm: wsidicom's, so that planes of several images are told apart and matched alike."""
_PLANES = "TotalPixelMatrixFocalPlanes"


def sparse_tables(readers: Sequence[WsiDicomReader]) -> dict[Key, NDArray[np.int64]]:
    """Return the frame of each tile, (rows, columns) with -1 where there is none, of each plane and optical path.

    Parameters
    ----------
    readers : sequence of WsiDicomReader
        The files of one image.

    Raises
    ------
    SlideError
        Where frames stand outside the image.
    UnsupportedSlide
        Where they are off the grid of tiles, or several are of one place.
    """
    size, tile = readers[0].dataset.image_size, readers[0].dataset.tile_size
    shape = -(-size.height // tile.height), -(-size.width // tile.width)
    tables: dict[Key, NDArray[np.int64]] = {}
    for reader in readers:
        columns, rows = _cells(reader, shape)
        z, paths = _planes(reader)
        frames = np.arange(reader.frame_count) + reader.frame_offset
        for key in sorted(set(zip(z.tolist(), paths.tolist(), strict=True))):
            own = (z == key[0]) & (paths == key[1])
            table = tables.setdefault(key, np.full(shape, -1, np.int64))
            there = int((table >= 0).sum())
            table[rows[own], columns[own]] = frames[own]
            if int((table >= 0).sum()) < there + int(own.sum()):
                raise UnsupportedSlide(
                    f"{reader.filepath}: several of its frames are of one place at z {key[0]:g} µm, so its planes "
                    "cannot be told apart; export it with the z of each frame (ZOffsetInSlideCoordinateSystem, µm)"
                )
    _check_count(readers[0], Counter(path for _, path in tables))
    return tables


def _cells(reader: WsiDicomReader, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return column and row of each frame in the grid of tiles."""
    places, tile = reader.dataset.frame_positions, reader.dataset.tile_size
    x, y = places.columns - 1, places.rows - 1
    columns, rows = x // tile.width, y // tile.height
    inside = (columns >= 0) & (columns < shape[1]) & (rows >= 0) & (rows < shape[0])
    if len(x) != reader.frame_count or not inside.all():
        raise SlideError(
            f"{reader.filepath}: its frames stand outside its {shape[1]} × {shape[0]} tiles; export it again"
        )
    off = (x % tile.width != 0) | (y % tile.height != 0)
    if off.any():
        frame = int(off.argmax())
        raise UnsupportedSlide(
            f"{reader.filepath}: frame {frame + 1} starts at pixel {x[frame]}, {y[frame]}, off the grid of its "
            f"{tile.width} × {tile.height} px tiles, which planish needs; export it on a grid, or as OME-TIFF"
        )
    return columns, rows


def _planes(reader: WsiDicomReader) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Return z in µm and optical path of each frame."""
    data, count = reader.dataset, reader.frame_count
    places = data.frame_positions
    z = np.full(count, data.read_z_offset()) if places.z_offsets is None else places.z_offsets
    paths = places.optical_path_identifiers
    paths = np.full(count, data.read_optical_path_identifier()) if paths is None else paths
    return np.round(z, Z_DECIMALS), paths


def _check_count(reader: WsiDicomReader, planes: Counter[str]) -> None:
    """Raise where the file says that it has more or fewer focal planes than any of its optical paths."""
    stated = reader.dataset.as_dataset().get(_PLANES)
    for found in planes.values():
        if stated is not None and int(stated) != found:
            raise UnsupportedSlide(
                f"{reader.filepath}: says that it has {stated} focal planes, but its frames are of {found} different "
                "z; export it with the z of each frame (ZOffsetInSlideCoordinateSystem, µm)"
            )
