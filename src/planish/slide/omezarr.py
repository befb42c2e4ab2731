"""OME-Zarr 0.4 and 0.5, sharded or not, with all of their planes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError, SlideError, TileError, UnsupportedSlide
from planish.model import Level, Missing, Plane, SlideMetadata
from planish.slide.base import Slide, Source
from planish.slide.foreign import reason
from planish.slide.omezarrfile import ZarrFile
from planish.slide.omezarrimage import ZarrImage
from planish.slide.omezarrlevel import Place, ZarrLevel
from planish.slide.parts import part_notes

_RGB = ("R", "G", "B")


class OmeZarrSlide(Slide):
    """An image of an OME-Zarr folder. Planes are sorted by z, which may be stored downwards.

    Tiles are chunks of 128 to 1024 px, else 256 px. Holds no pixels but chunks that several tiles or planes lie in:
    at most 32 MiB in memory, and 4 GiB of those beyond 4 MiB in temporary files.
    """

    def __init__(self, source: Source) -> None:
        assert isinstance(source, Path)
        self._take(ZarrFile(source), 0, 0)

    def _take(self, file: ZarrFile, scene: int, time: int) -> None:
        super().__init__(file.path)
        self._file, self._scene, self._time = file, scene, time
        if len(file.images) > 1:
            self.scenes = _distinct([each.name for each in file.images])
        notes: list[str] = []
        image, levels = self._largest_first(file.images[scene])
        self._levels = self._check_levels(image, levels, notes)
        full = self._levels[0]
        self.times = full.size("t")
        self.dtype = full.dtype
        self.levels = tuple(_level(full, level) for level in self._levels)
        depth = full.size("z")
        order = range(depth - 1, -1, -1) if image.runs_down else range(depth)
        z_um = image.z_um(depth)
        self._order = tuple(order)
        self.planes = tuple(Plane(index, z_um[stored]) for index, stored in enumerate(order))
        self._stored = self._channels(image, full.size("c"), notes)
        self.metadata = self._metadata(image, notes)

    def _largest_first(self, image: ZarrImage) -> tuple[ZarrImage, list[ZarrLevel]]:
        """Return the image and its levels, full size first however they are listed."""
        pairs = [(dataset, self._file.level(self._scene, dataset.path)) for dataset in image.datasets]
        pairs.sort(key=lambda pair: (-pair[1].size("y") * pair[1].size("x"), -pair[1].size("z")))
        return replace(image, datasets=tuple(dataset for dataset, _ in pairs)), [level for _, level in pairs]

    def _check_levels(self, image: ZarrImage, levels: Sequence[ZarrLevel], notes: list[str]) -> list[ZarrLevel]:
        """Return the levels that have all planes."""
        names = [axis.name for axis in image.axes]
        full = levels[0]
        self._check_full(full, names, notes)
        kept = [full]
        for level in levels[1:]:
            self._check_alike(full, level)
            if level.size("z") == full.size("z"):
                kept.append(level)
            else:
                notes.append(f"level {level.path} has {level.size('z')} of {full.size('z')} planes and is left out")
        return kept

    def _check_full(self, full: ZarrLevel, names: Sequence[str], notes: list[str]) -> None:
        if full.dtype.kind not in "uif":
            raise UnsupportedSlide(f"{self.name}: has {full.dtype} pixels; numbers are needed: convert it")
        for name in names:
            if name not in "tczyx" and full.size(name) > 1:
                raise UnsupportedSlide(
                    f"{self.name}: has {full.size(name)} images along the axis {name!r}, which planish cannot show; "
                    "export one of them"
                )
        if note := full.missing_note():
            notes.append(note)

    def _check_alike(self, full: ZarrLevel, level: ZarrLevel) -> None:
        for what, first, other in (
            ("pixels", full.dtype, level.dtype),
            ("channels", full.size("c"), level.size("c")),
            ("time points", full.size("t"), level.size("t")),
        ):
            if first != other:
                raise SlideError(
                    f"{self.name}: level {level.path} has {other} {what}, level {full.path} has {first}; levels must "
                    "be alike: export it again"
                )

    def _channels(self, image: ZarrImage, count: int, notes: list[str]) -> tuple[int, ...]:
        """Name the channels; return where they are stored."""
        if count == len(_RGB) and self.dtype == np.uint8:
            rgb, note = image.rgb()
            if note:
                notes.append(note)
            if rgb:
                self.channels = _RGB
                return rgb
        named = len(image.labels) == count
        self.channels = _distinct(image.labels) if named else tuple(str(index) for index in range(count))
        return tuple(range(count))

    def _metadata(self, image: ZarrImage, notes: list[str]) -> SlideMetadata:
        notes += part_notes(self.scenes, self.times, self._scene, self._time)
        if (self._file.path / image.group / "labels").is_dir():
            notes.append(Missing("holds label images, which are not read"))
        if len(self.planes) > 1 and self.planes[0].z_um is None:
            notes.append("its z has no step in a unit of length; planes are in the order stored")
        mpp_x, mpp_y = (abs(step) if step else None for step in map(image.um_per_pixel, "xy"))
        icc, power = image.extra.get("icc_profile"), image.extra.get("objective_power")
        return SlideMetadata(
            f"OME-Zarr {image.version}",
            mpp_x,
            mpp_y,
            objective_power=float(power) if power else None,
            icc_profile=base64.b64decode(icc) if icc else None,
            notes=tuple(notes),
        )

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        return self._decode_channels(level, plane, column, row, range(len(self.channels)))

    def _decode_channels(self, level: int, plane: int, column: int, row: int, channels: Sequence[int]) -> NDArray[Any]:
        own = self._levels[level]
        self._file.check_there(own.folder)
        place = Place(self._order[plane], self._time)
        try:
            return own.read(place, [self._stored[each] for each in channels], self.levels[level].tile_box(column, row))
        except Exception as error:  # decoding is foreign code, which damaged chunks throw off in any way
            raise TileError(
                f"{self.name}: tile ({column}, {row}) of plane {plane}, level {level} cannot be decoded "
                f"({reason(error)}); copy or export it again"
            ) from error

    def sizes_refusal(self, level: int) -> str | None:
        """Return why there are no byte counts."""
        return "chunks of a Zarr are lossless, or span planes"

    def _part(self, scene: int, time: int) -> Slide:
        part = type(self).__new__(type(self))
        part._take(self._file, self._scene + scene, time)
        if not time < part.times:
            raise OptionError(f"{self.name}: scene {scene} has no time point {time}; it has 0 to {part.times - 1}")
        # What was chosen is not chosen again: numbers of the whole file would be taken for those of the part.
        part.scenes, part.times = part.scenes[part._scene :][:1], 1 if time else part.times
        return part

    def close(self) -> None:
        """End reading, of all scenes and time points."""
        self._file.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._scene or self._time:
            return _open_part, (self.source, self._scene, self._time)
        return super().__reduce__()


def _open_part(source: Path, scene: int, time: int) -> Slide:
    return OmeZarrSlide(source).view(scene=scene, time=time)


def _level(full: ZarrLevel, level: ZarrLevel) -> Level:
    width, height = level.size("x"), level.size("y")
    return Level(width, height, level.tile_width, level.tile_height, full.size("x") / width, full.size("y") / height)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, told apart by their number where some are the same."""
    if len(set(names)) == len(names):
        return tuple(names)
    return tuple(f"{name} {index}".strip() for index, name in enumerate(names))
