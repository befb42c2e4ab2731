"""Olympus VSI: a small TIFF of metadata, and beside it a folder of ETS files with the tiles; through slideio."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import slideio
from numpy.typing import NDArray

from planish.errors import PlanishError, SlideError, TileError, UnsupportedSlide
from planish.model import Box, Encoding, Level, Missing, Plane, SlideMetadata
from planish.slide.base import Associated, Slide, Source
from planish.slide.bytefile import ChunkCache
from planish.slide.foreign import reason
from planish.slide.page import MAX_CHUNK, MIN_CHUNK, VIRTUAL_TILE
from planish.slide.parts import open_part, part_notes
from planish.slide.vsimetadata import ZAxis, external_files, z_axis

_RGB = ("R", "G", "B")
_UM = 1e6


class VsiFile:
    """A VSI opened once, for all scenes and time points of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._slide = slideio.open_slide(str(path), "VSI")
            self.scenes = [self._slide.get_scene(index) for index in range(self._slide.num_scenes)]
            self.raw = str(self._slide.raw_metadata or "")
        except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
            raise SlideError(f"{path}: not a readable VSI ({reason(error)}); copy or export it again") from error
        self.image_files = len(list((path.parent / f"_{path.stem}_").rglob("*.ets")))
        if not self.scenes:
            self._refuse()
        self.closed = False

    def _refuse(self) -> None:
        folder = f"_{self.path.stem}_"
        if self.image_files:
            raise SlideError(
                f"{self.path}: no image in the .ets files of {folder} can be read; they are damaged: copy them again"
            )
        raise SlideError(
            f"{self.path}: its image data is missing: there is no .ets file in {folder} beside it; copy that folder too"
        )

    def associated(self) -> Associated:
        """Return label, macro and overview, read when asked."""
        names = self._slide.get_aux_image_names()
        return Associated({str(name).lower(): partial(self._auxiliary, name) for name in names})

    def _auxiliary(self, name: str) -> NDArray[Any]:
        self.refuse_closed()
        try:
            image = np.asarray(self._slide.get_aux_image(name).read_block())
        except Exception as error:  # as above
            raise TileError(f"{self.path}: its {name} cannot be decoded ({reason(error)})") from error
        return image if image.ndim == 3 else image[..., None]

    def refuse_closed(self) -> None:
        """Raise SlideError after closing."""
        if self.closed:
            raise SlideError(f"{self.path}: read after closing; open it again")

    def close(self) -> None:
        """Close the file; what other threads are reading ends as it would, or says that it was closed."""
        self.closed = True
        for scene in self.scenes:
            scene.close()
        self._slide.close()


class VsiSlide(Slide):
    """One scene and time point of a VSI.

    slideio keeps the index of tiles. Tiles of 64 to 1024 px are decoded when asked and not kept. Larger ones (an ETS
    may hold a plane in one) are served in parts, and kept decoded within the bound of `planish.slide.bytefile`.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        assert isinstance(source, Path)
        self._file = VsiFile(source)
        try:
            self._take(0, 0)
        except PlanishError:
            self.close()
            raise
        except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
            self.close()
            raise SlideError(f"{source}: its index is damaged ({reason(error)}); copy or export it again") from error

    def _take(self, place: int, time: int) -> None:
        self._scene, self._time, self._cache = self._file.scenes[place], time, ChunkCache()
        scene, count = self._scene, self._scene.num_channels
        dtypes = {np.dtype(scene.get_channel_data_type(index)) for index in range(count)}
        if len(dtypes) != 1:
            listed = ", ".join(sorted(map(str, dtypes)))
            raise UnsupportedSlide(f"{self.name}: its channels are of types {listed}; export them one by one")
        (self.dtype,) = dtypes
        names = [str(scene.get_channel_name(index)) for index in range(count)]
        named = all(names) and len(set(names)) == count
        self._rgb = count == 3 and self.dtype == np.uint8 and not named
        self.channels = _RGB if self._rgb else tuple(names) if named else tuple(str(index) for index in range(count))
        self._storage = [_storage(scene.get_zoom_level_info(index)) for index in range(scene.num_zoom_levels)]
        self.levels = tuple(_served(level, self._storage[0]) for level in self._storage)
        self.scenes = tuple(str(scene.name) for scene in self._file.scenes)
        self.times = max(1, int(scene.num_t_frames))
        axis = z_axis(self._file.raw, str(scene.name))
        self._order, self.planes = self._sort(axis)
        mpp_x, mpp_y = (metres * _UM or None for metres in scene.resolution)
        self.metadata = SlideMetadata(
            format="VSI",
            mpp_x=mpp_x,
            mpp_y=mpp_y,
            objective_power=float(scene.magnification) or None,
            vendor="Olympus",
            notes=(*part_notes(self.scenes, self.times, place, time), *self._notes(axis)),
        )
        self.associated = self._file.associated()

    def _sort(self, axis: ZAxis) -> tuple[list[int], tuple[Plane, ...]]:
        """Return the slices of the file lowest first, and the planes that they become."""
        count, start, step = max(1, int(self._scene.num_z_slices)), axis.start_um, axis.step_um
        if start is None or step is None:
            start, step = 0.0, float(self._scene.z_resolution) * _UM
        z_um = [round(start + index * step, 6) if step else None for index in range(count)]
        order = list(range(count)) if step >= 0 else list(reversed(range(count)))
        return order, tuple(Plane(index, z_um[place]) for index, place in enumerate(order))

    def _notes(self, axis: ZAxis) -> list[str]:
        notes: list[str] = []
        named, there = external_files(self._file.raw), self._file.image_files
        if named > there:
            notes.append(Missing(f"{named} files of image data belong to it, of which {there} are there"))
        if axis.count is not None and axis.count != len(self.planes):
            told = f"its tags tell of {axis.count} planes, of which its image data has {len(self.planes)}"
            notes.append(Missing(told))
        if self._rgb:
            notes.append("tiles that the scanner left out are shown white")
        return notes

    def _part(self, scene: int, time: int) -> Slide:
        return VsiPart(self, scene, time)

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        return self._decode_channels(level, plane, column, row, range(len(self.channels)))

    def _decode_channels(self, level: int, plane: int, column: int, row: int, channels: Sequence[int]) -> NDArray[Any]:
        box, storage = self.levels[level].tile_box(column, row), self._storage[level]
        stored = storage.tile_box(box.x // storage.tile_width, box.y // storage.tile_height)
        if box == stored or not _inside(box, stored):
            return self._read(level, plane, box, channels)
        x, y = box.x - stored.x, box.y - stored.y
        rows, columns = slice(y, y + box.height), slice(x, x + box.width)
        if self._rgb:
            return self._kept(level, plane, stored, range(3))[rows, columns][..., list(channels)]
        kept = [self._kept(level, plane, stored, [channel])[rows, columns] for channel in channels]
        return np.concatenate(kept, axis=2)

    def _kept(self, level: int, plane: int, stored: Box, channels: Sequence[int]) -> NDArray[Any]:
        """Return a stored tile that is served in parts, so that it is decoded once."""
        image = (level * len(self.planes) + plane) * len(self.channels) + channels[0]
        size = stored.width * stored.height * len(channels) * self.dtype.itemsize
        place = stored.y * self.levels[level].width + stored.x
        return self._cache.get((image, place), size, lambda: self._read(level, plane, stored, channels))

    def _read(self, level: int, plane: int, box: Box, channels: Sequence[int]) -> NDArray[Any]:
        self._file.refuse_closed()
        z = self._order[plane]
        try:
            pixels = self._scene.read_block_from_level(
                level,
                rect=tuple(box),
                channel_indices=list(channels),
                slices=(z, z + 1),
                frames=(self._time, self._time + 1),
            )
        except Exception as error:  # decoding is foreign code, too
            self._file.refuse_closed()
            raise TileError(
                f"{self.source}: the region {tuple(box)} of level {level}, plane {plane} cannot be decoded "
                f"({reason(error)}); the .ets file is damaged or incomplete: copy the slide again"
            ) from error
        shaped = np.asarray(pixels, self.dtype).reshape(box.height, box.width, len(channels))
        if self._rgb and not shaped.any():
            shaped[:] = 255  # no scanned tile is that black; slideio makes those so that the scanner left out
        return shaped

    def encoding(self, level: int, plane: int) -> Encoding | None:
        """Return JPEG 2000 where that is it; of JPEG, slideio does not give what is needed to go on with it."""
        self._check(level, plane)
        jpeg2000 = self._scene.compression == slideio.Compression.Jpeg2000
        return Encoding("jpeg2000", "rgb" if self._rgb else "gray") if jpeg2000 else None

    def sizes_refusal(self, level: int) -> str | None:
        """Return why there are no byte counts."""
        return "slideio hands out no compressed tiles"

    def close(self) -> None:
        """Close the file, for all of its scenes and time points."""
        self._file.close()


class VsiPart(VsiSlide):
    """Another scene or time point; it reads through the file of the first, and closes with it."""

    def __init__(self, whole: VsiSlide, scene: int, time: int) -> None:
        Slide.__init__(self, whole.source)
        whole._file.refuse_closed()
        self._file, self._shown = whole._file, (scene, time)
        self.decoded, self._count_lock = whole.decoded, whole._count_lock
        self._take(scene, time)

    def __reduce__(self) -> tuple[Any, ...]:
        return open_part, (VsiSlide, self.source, *self._shown)


def _storage(info: Any) -> Level:
    """Return a level with the tiles of the ETS file."""
    return Level(info.size.width, info.size.height, info.tile_size.width, info.tile_size.height)


def _served(level: Level, full: Level) -> Level:
    """Return a level with the tiles that are served, and its downsample."""
    tiles = level.tile_width, level.tile_height
    if min(tiles) < MIN_CHUNK or max(tiles) > MAX_CHUNK:
        tiles = VIRTUAL_TILE, VIRTUAL_TILE
    return Level(level.width, level.height, *tiles, full.width / level.width, full.height / level.height)


def _inside(box: Box, other: Box) -> bool:
    return box.x + box.width <= other.x + other.width and box.y + box.height <= other.y + other.height
