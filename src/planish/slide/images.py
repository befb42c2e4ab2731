"""A folder or a list with one image or one-plane slide per focal plane."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import PlanishError, SlideError, UnsupportedSlide
from planish.model import EncodedTile, Encoding, Level, Plane
from planish.slide.base import Slide, Source
from planish.slide.page import VIRTUAL_TILE

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".svs", ".ndpi", ".btf")
"""Files of a folder that are taken for planes."""
Z_IN_NAME = re.compile(r"(?:^|[^a-z])z(?:stack|_|=)?([+-]?)(\d+(?:[.,]\d+)?)\s*(um|µm|μm|nm)?", re.IGNORECASE)
"""The z of a plane in its file's name: groups are sign, number and unit."""


class ImagesSlide(Slide):
    """One file per plane, in natural order of their names or by the z in them (``…_z-1.5um.tif``).

    A z with a unit is taken as a position; without a unit it only orders the planes.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        paths, z_um = sort_by_z(_files(source))
        self._slides: list[Slide] = []
        try:
            self._slides = [_open_plane(path) for path in paths]
            self._check_alike(paths)
        except PlanishError:
            self.close()
            raise
        self.files = tuple(file for slide in self._slides for file in slide.files)
        first = self._slides[0]
        self.dtype, self.channels, self.metadata = first.dtype, first.channels, first.metadata
        self.associated = first.associated
        self._shared_grid = all(slide.levels == first.levels for slide in self._slides)
        full = first.levels[0]
        self.levels = (
            first.levels if self._shared_grid else (Level(full.width, full.height, VIRTUAL_TILE, VIRTUAL_TILE),)
        )
        self.planes = tuple(Plane(index, z) for index, z in enumerate(z_um))

    def _check_alike(self, paths: list[Path]) -> None:
        def facts(slide: Slide) -> tuple[Any, ...]:
            return slide.levels[0].width, slide.levels[0].height, slide.dtype, len(slide.channels)

        first = facts(self._slides[0])
        for path, slide in zip(paths, self._slides, strict=True):
            if facts(slide) != first:
                found, wanted = ("{} × {} px, {}, {} channels".format(*each) for each in (facts(slide), first))
                raise SlideError(
                    f"{path}: is {found}, but {paths[0].name} is {wanted}; all planes must be alike: "
                    "take the odd file out of the folder"
                )

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        if self._shared_grid:
            return self._slides[plane].read_tile(level, 0, column, row)
        box = self.levels[level].tile_box(column, row)
        return self._slides[plane].read_region(level, 0, *box)

    def encoding(self, level: int, plane: int) -> Encoding | None:
        """Return what the plane's own file says, though no tile is handed out where files do not share a grid."""
        return self._slides[plane].encoding(level, 0)

    def encoded_tile(self, level: int, plane: int, column: int, row: int) -> EncodedTile | None:
        """Return what the plane's own file holds."""
        return self._slides[plane].encoded_tile(level, 0, column, row) if self._shared_grid else None

    def encoded_sizes(self, level: int) -> NDArray[np.int64] | None:
        """Return the sizes of all files, where each has them."""
        if self.sizes_refusal(level):
            return None
        sizes = [slide.encoded_sizes(level) for slide in self._slides]
        return np.concatenate([size for size in sizes if size is not None])

    def sizes_refusal(self, level: int) -> str | None:
        """Return why byte counts tell nothing: planes were compressed one by one, so compare how."""
        if not self._shared_grid:
            return "the planes' files do not share their tile grid"
        refusals = [slide.sizes_refusal(level) for slide in self._slides]
        if any(refusals):
            return next(refusal for refusal in refusals if refusal)
        encodings = {slide.encoding(level, 0) for slide in self._slides}
        return None if len(encodings) == 1 else "the planes' files were compressed differently"

    def close(self) -> None:
        """Close every file."""
        for slide in self._slides:
            slide.close()


def _files(source: Source) -> list[Path]:
    if isinstance(source, tuple):
        return list(source)
    files = [path for path in source.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    if not files:
        raise UnsupportedSlide(
            f"{source}: no images in this folder; one image per focal plane is needed ({', '.join(SUFFIXES)})"
        )
    return files


def _open_plane(path: Path) -> Slide:
    from planish.slide.open import open_slide

    slide = open_slide(path)
    if len(slide.planes) > 1:
        count = len(slide.planes)
        slide.close()
        raise UnsupportedSlide(f"{path}: holds {count} planes itself; open it alone, or keep one plane per file")
    return slide


def sort_by_z(paths: list[Path]) -> tuple[list[Path], list[float | None]]:
    """Sort files lowest plane first: by the z in their names if each has its own, else in natural order.

    Returns
    -------
    paths : list of Path
        Lowest first; a list in natural order is taken to start at the lowest plane.
    z_um : list of float or None
        µm where the names give a unit.
    """
    matches = [match for path in paths if (match := Z_IN_NAME.search(path.stem))]
    units = [match[3] and match[3].lower() for match in matches]
    # In z-1, z-2, z-3 the dash is no sign, unless a unit says that positions are meant.
    signed = any(units) or any(match[1] != "-" for match in matches)
    found = [float(match[2].replace(",", ".")) * (-1 if signed and match[1] == "-" else 1) for match in matches]
    if len(found) == len(paths) and len(set(found)) == len(paths) and len(set(units)) == 1:
        scale = {None: None, "nm": 1e-3}.get(units[0], 1.0)
        order = sorted(range(len(paths)), key=lambda index: found[index])
        return [paths[i] for i in order], [None if scale is None else found[i] * scale for i in order]
    return sorted(paths, key=_natural), [None] * len(paths)


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """Sort key under which ``p2`` comes before ``p10``."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]
