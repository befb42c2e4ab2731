"""Zeiss CZI through pylibCZIrw: planes, channels, scenes and time points, mosaics composed as ZEN shows them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError, PlanishError, SlideError, TileError
from planish.model import Box, Plane, SlideMetadata
from planish.slide.base import Associated, Slide, Source
from planish.slide.czi_blocks import Blocks, gaps, pyramid
from planish.slide.czi_file import Channel, CziFile
from planish.slide.foreign import reason
from planish.slide.parts import join_channels, open_part, part_notes


class CziSlide(Slide):
    """The first scene and time point of a CZI; `view` gives the others.

    Levels are those that the file has sub-blocks for. Memory: the list of sub-blocks, 200 bytes each, and
    libCZI's cache of at most `planish.slide.bytefile.CACHE_BYTES`.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        assert isinstance(source, Path)
        self._file = CziFile(source)
        self._numbers = {axis: self._file.blocks.values(axis) for axis in "ST"}
        self.scenes, self.times = self._scene_names(), len(self._numbers["T"])
        try:
            self._take(0, 0)
        except PlanishError:
            self.close()
            raise

    def _scene_names(self) -> tuple[str, ...]:
        scenes = self._numbers["S"]
        return tuple(self._file.about.scene_names(scenes)) if len(scenes) > 1 else ("",)

    def _take(self, scene: int, time: int) -> None:
        """Set what is shown: scene and time count from 0, while the file's own numbers may start anywhere."""
        self._at = {"S": self._numbers["S"][scene], "T": self._numbers["T"][time]}
        blocks = self._file.blocks.where(**self._at)
        full = blocks.at(1)
        if not len(full):
            raise OptionError(f"{self.source}: scene {scene} has no full-size image at time point {time}")
        self._take_channels(self._file.channels(full))
        self._take_planes(full)
        self._box = full.box
        number = full.fullest()
        levels = pyramid(blocks.where(Z=number.values("Z")[0], C=number.values("C")[0]), full.box)
        self.levels, self._downsamples = tuple(levels.values()), list(levels)
        parts = part_notes(self.scenes, self.times, scene, time)
        left_out = sorted(set(blocks.downsamples.tolist()) - set(self._downsamples))
        coarse = tuple(f"its level of 1/{down} covers a part only and is not read" for down in left_out)
        self._describe((*parts, *gaps(full, self._stored), *coarse))

    def _take_channels(self, stored: list[Channel]) -> None:
        self._stored = stored
        self.dtype = stored[0].kind.dtype
        names: list[str] = []
        for channel in stored:
            prefix = f"{channel.name} " if len(stored) > 1 else ""
            names += [prefix + colour for colour in "RGB"] if channel.kind.samples == 3 else [channel.name]
        self.channels = tuple(names)

    def _take_planes(self, full: Blocks) -> None:
        numbers = full.values("Z")
        z_um = self._file.about.z_um(numbers)
        order = np.argsort([np.inf if z is None else z for z in z_um], kind="stable")
        self._z = [numbers[place] for place in order]
        self.planes = tuple(Plane(index, z_um[place]) for index, place in enumerate(order))

    def _describe(self, notes: tuple[str, ...]) -> None:
        about = self._file.about
        beside = self._file.attachments
        loaders = {name: partial(self._file.read_attachment, each, CziSlide) for name, each in beside.items()}
        self.associated = Associated(loaders)
        missing = ("its metadata is missing or damaged, so pixel size and z are unknown",) if about.missing else ()
        self.metadata = SlideMetadata(
            format="CZI",
            mpp_x=about.scaling_um("X"),
            mpp_y=about.scaling_um("Y"),
            objective_power=about.objective_power,
            vendor="zeiss",
            notes=(*notes, *missing),
        )

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        return self._decode_channels(level, plane, column, row, range(len(self.channels)))

    def _decode_channels(self, level: int, plane: int, column: int, row: int, channels: Sequence[int]) -> NDArray[Any]:
        samples = [channel.kind.samples for channel in self._stored]
        return join_channels(
            samples, channels, lambda index: self._read(level, plane, (column, row), self._stored[index])
        )

    def _read(self, level: int, plane: int, tile: tuple[int, int], channel: Channel) -> NDArray[Any]:
        box, scale = self.levels[level].tile_box(*tile), self._downsamples[level]
        region = Box(self._box.x + box.x * scale, self._box.y + box.y * scale, box.width * scale, box.height * scale)
        try:
            pixels = self._file.read(region, scale, self._at | {"Z": self._z[plane]}, channel)
        except SlideError:
            raise
        except Exception as error:  # libCZI raises errors of many kinds
            raise TileError(
                f"{self.source}: tile {tile} of level {level}, plane {plane} cannot be decoded ({reason(error)}); the "
                "file is damaged: export it again"
            ) from error
        if pixels.shape[:2] != (box.height, box.width):
            raise TileError(f"{self.source}: tile {tile} of level {level} has the wrong size {pixels.shape[:2]}")
        return pixels

    def sizes_refusal(self, level: int) -> str | None:
        """Return why there are no byte counts."""
        return "libCZI gives no byte counts"

    def _part(self, scene: int, time: int) -> Slide:
        return CziPart(self, scene, time)

    def close(self) -> None:
        """Close the file, and so all parts of it."""
        self._file.close()


class CziPart(CziSlide):
    """Another scene or time point of an open CZI; it closes with it."""

    def __init__(self, whole: CziSlide, scene: int, time: int) -> None:
        Slide.__init__(self, whole.source)
        self._file, self._numbers = whole._file, whole._numbers
        self.scenes, self.times = whole.scenes, whole.times
        self.decoded, self._count_lock = whole.decoded, whole._count_lock
        self._take(scene, time)
        self._shown = scene, time
        self.scenes, self.times = (self.scenes[scene],), 1

    def __reduce__(self) -> tuple[Any, ...]:
        return open_part, (CziSlide, self.source, *self._shown)
