"""A one-plane slide becomes an OME-Zarr 0.5 pyramid, axes t, c, z, y, x, sharded and without loss.

Memory: per thread four shards, each at most 2048 × 2048 px and 32 MiB; independent of the slide's size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from planish.encoding import Encoding
from planish.errors import OptionError
from planish.model import Box, Level
from planish.slide.base import Slide
from planish.slide.omezarr import OmeZarrSlide
from planish.threads import Progress, in_threads
from planish.write.encode import DeflateTiles
from planish.write.levels import LevelPlan, plan_levels
from planish.write.omezarrmetadata import AXES, OURS, attributes
from planish.write.options import WriteOptions, Written
from planish.write.output import Container, Place, check_one_plane
from planish.write.pyramid import halve
from planish.write.tiles import TileSource
from planish.write.verify import SAMPLE, compare

_CHUNK, _MOST_CHUNK = 512, 1024
"""px: 256 costs zarr 4 times as many steps. Multiples of the slide's tiles, so that none is read twice."""
_SHARD, _SHARD_BYTES = 2048, 32 << 20
"""px, and bytes of pixels at most: each thread holds four."""
_BLOCKS, _SAMPLES = 64, 1 << 20
"""Shards of the last level, and pixels of them, that the range of values to show is taken from."""
_METADATA = "zarr.json"
# Level 5 makes files 1 to 2 % smaller, and takes 3 to 4 times as long; no shuffle, 1 to 15 % larger ones.
_COMPRESSOR = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle")


def is_our_kind(folder: Path) -> bool:
    """Whether a folder is a Zarr of planish's with nothing added, which another may replace."""
    try:
        marked = OURS in json.loads((folder / _METADATA).read_text(encoding="utf-8"))["attributes"]
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return marked and all(each.name.isdecimal() or each.name in ("c", _METADATA) for each in folder.rglob("*"))


def check_zarr_options(slide: Slide, options: WriteOptions) -> None:
    """Raise OptionError where a slide cannot be written so as OME-Zarr."""
    check_one_plane(slide)
    refused = {
        "--write copy": options.mode == "copy",
        "--quality": options.quality is not None,
        "--layout": options.layout != "ome",
        "--label": options.label,
        "--macro": options.macro,
        "--study": options.study,
    }
    if asked := [name for name, is_asked in refused.items() if is_asked]:
        raise OptionError(
            f"{asked[0]}: OME-Zarr is written without loss, and holds no copied tiles or other images; leave it out, "
            "or write a TIFF"
        )


def fill_zarr(slide: Slide, folder: Path, options: WriteOptions, progress: Progress | None) -> Written:
    """Write and check an OME-Zarr in an empty folder, for callers that rename several outputs together."""
    check_zarr_options(slide, options)
    output = _Output(slide, _planned(slide, options.levels), folder)
    output.fill(options.jobs, progress)
    checked = compare(folder, zarr_source(slide, options), SAMPLE, OmeZarrSlide).tiles_checked
    levels = output.plan.levels
    return Written(
        folder,
        sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        levels,
        Encoding("zstd", "rgb" if slide.channels == ("R", "G", "B") else "gray"),
        tiles_copied=0,
        tiles_encoded=sum(level.columns * level.rows for level in levels),
        bytes_copied=0,
        tiles_checked=checked,
    )


def zarr_source(slide: Slide, options: WriteOptions) -> TileSource:
    """Return where the pixels of an OME-Zarr come from."""
    plan = _planned(slide, options.levels)
    return TileSource(slide, plan, DeflateTiles(slide.dtype, len(slide.channels)), False, ())


def _planned(slide: Slide, which: str) -> LevelPlan:
    """Return the plan with chunks as tiles, and downsamples as a reader measures them."""
    plan = plan_levels(slide, which)
    full = plan.levels[0]
    levels = tuple(
        Level(
            level.width,
            level.height,
            _chunk(level.tile_width),
            _chunk(level.tile_height),
            full.width / level.width,
            full.height / level.height,
        )
        for level in plan.levels
    )
    return replace(plan, levels=levels)


def _chunk(tile: int) -> int:
    if tile > _MOST_CHUNK:
        return _CHUNK
    return tile * max(1, _CHUNK // tile)


@dataclass(frozen=True, slots=True)
class _Task:
    """A shard to be written: its level, its box in level pixels, and its channels."""

    level: int
    box: Box
    channels: range


class _Output:
    """A Zarr that is being filled."""

    def __init__(self, slide: Slide, plan: LevelPlan, folder: Path) -> None:
        self.plan, self._slide = plan, slide
        # With mode "w", zarr would remove the folder and make it anew.
        self._group = zarr.open_group(str(folder), mode="a", zarr_format=3)
        # Where a chunk of all channels were too much, shards hold fewer.
        chunk = max(level.tile_width * level.tile_height for level in plan.levels) * slide.dtype.itemsize
        self._together = max(1, min(len(slide.channels), _SHARD_BYTES // chunk))
        self._shards = [self._shard(level) for level in plan.levels]
        self._arrays = [self._array(index) for index in range(len(plan.levels))]

    def _shard(self, level: Level) -> tuple[int, int]:
        """Return height and width of a level's shards."""
        pixel = self._together * self._slide.dtype.itemsize
        side = min(_SHARD, math.isqrt(_SHARD_BYTES // pixel))
        return tuple(tile * max(1, side // tile) for tile in (level.tile_height, level.tile_width))  # type: ignore[return-value]

    def _array(self, index: int) -> zarr.Array[Any]:
        level, count = self.plan.levels[index], len(self._slide.channels)
        return self._group.create_array(
            str(index),
            shape=(1, count, 1, level.height, level.width),
            dtype=self._slide.dtype.newbyteorder("="),
            # A channel each, because viewers ask for channels one by one.
            chunks=(1, 1, 1, level.tile_height, level.tile_width),
            shards=(1, self._together, 1, *self._shards[index]),
            compressors=_COMPRESSOR,
            # Blank glass is white.
            fill_value=255 if self._slide.channels == ("R", "G", "B") and self._slide.dtype == np.uint8 else 0,
            dimension_names=AXES,
        )

    def fill(self, jobs: int, progress: Progress | None) -> None:
        """Write all levels one after the other, shards side by side; the metadata last."""
        tasks = [list(self._tasks(index)) for index in range(len(self.plan.levels))]
        done, total = 0, sum(map(len, tasks))
        for level_tasks in tasks:
            with in_threads(self._write, ((task,) for task in level_tasks), jobs) as written:
                for _ in written:
                    done += 1
                    if progress:
                        progress("writing", done, total)
        self._group.attrs.update(attributes(self._slide, self.plan, self._samples(tasks[-1])))

    def _tasks(self, index: int) -> Iterator[_Task]:
        level, (height, width) = self.plan.levels[index], self._shards[index]
        for y in range(0, level.height, height):
            for x in range(0, level.width, width):
                box = Box(x, y, min(width, level.width - x), min(height, level.height - y))
                for channels in self._groups():
                    yield _Task(index, box, channels)

    def _groups(self) -> Iterator[range]:
        """Yield the channels that stand in one shard."""
        count = len(self._slide.channels)
        for first in range(0, count, self._together):
            yield range(first, min(first + self._together, count))

    def _write(self, task: _Task) -> None:
        x, y, width, height = task.box
        segment = self.plan.segment_of(task.level)
        if task.level == segment.first:
            some = len(task.channels) < len(self._slide.channels)
            slide = self._slide.view(channels=task.channels) if some else self._slide
            pixels = slide.read_region(segment.source, 0, x, y, width, height)
        else:
            pixels = self._halved(task)
        place = (0, slice(task.channels.start, task.channels.stop), 0, slice(y, y + height), slice(x, x + width))
        self._arrays[task.level][place] = np.moveaxis(pixels, 2, 0)

    def _halved(self, task: _Task) -> NDArray[Any]:
        """Halve what was written of the level below, a quarter at a time to hold little."""
        below = self.plan.levels[task.level - 1]
        pixels = np.empty((task.box.height, task.box.width, len(task.channels)), self._slide.dtype)
        high, wide = (side // 2 for side in self._shards[task.level])
        for top in range(0, task.box.height, high):
            for left in range(0, task.box.width, wide):
                x, y = 2 * (task.box.x + left), 2 * (task.box.y + top)
                size = min(2 * wide, below.width - x), min(2 * high, below.height - y)
                part = halve(self._read(_Task(task.level - 1, Box(x, y, *size), task.channels)))
                pixels[top : top + part.shape[0], left : left + part.shape[1]] = part
        return pixels

    def _read(self, task: _Task) -> NDArray[Any]:
        x, y, width, height = task.box
        place = (0, slice(task.channels.start, task.channels.stop), 0, slice(y, y + height), slice(x, x + width))
        return np.ascontiguousarray(np.moveaxis(np.asarray(self._arrays[task.level][place]), 0, 2))

    def _samples(self, tasks: list[_Task]) -> list[NDArray[Any]]:
        """Return pixels of each channel that are spread over a level, all of them where they are few."""
        samples = []
        for group in self._groups():
            own = [task for task in tasks if task.channels == group]
            own = own[:: -(-len(own) // _BLOCKS)]
            step = 1 + math.isqrt(sum(task.box.width * task.box.height for task in own) // _SAMPLES)
            parts = [self._read(task)[::step, ::step].reshape(-1, len(group)) for task in own]
            samples += list(np.concatenate(parts).T)
        return samples


def _fill(slide: Slide, place: Place, options: WriteOptions, progress: Progress | None) -> Written:
    return fill_zarr(slide, place[0], options, progress)


CONTAINER = Container(check_zarr_options, _fill, is_our_kind, zarr_source, OmeZarrSlide)
