"""Slides cut out of other slides: some channels, some planes, a region, a coarser level as full size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.model import Box, EncodedTile, Encoding, Level, Plane
from planish.slide.base import Slide


class View(Slide):
    """A slide that reads through another, and closes with it."""

    def __init__(self, slide: Slide) -> None:
        super().__init__(slide.source)
        self._slide = slide
        self.levels, self.planes = slide.levels, slide.planes
        self.dtype, self.channels = slide.dtype, slide.channels
        self.metadata, self.associated = slide.metadata, slide.associated
        self.decoded, self.files = slide.decoded, slide.files

    def _count(self, level: int) -> None:
        """Count nothing: what a view decodes, the slide behind decodes and counts, by its own levels."""

    def close(self) -> None:
        """Close the slide behind the view."""
        self._slide.close()


class ChannelView(View):
    """Some channels of a slide, in the order given. Stored tiles may hold others too, so none are handed out."""

    def __init__(self, slide: Slide, channels: Sequence[int]) -> None:
        super().__init__(slide)
        if not channels:
            raise OptionError(f"{slide.name}: no channel chosen; it has {', '.join(slide.channels)}")
        self._kept = tuple(channels)
        self.channels = tuple(slide.channels[index] for index in self._kept)

    def one_channel(self, channel: int | str) -> Slide:
        """Return a channel of the slide behind."""
        return self._slide.one_channel(channel)

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        self._slide._count(level)
        return self._slide._decode_channels(level, plane, column, row, self._kept)

    def sizes_refusal(self, level: int) -> str | None:
        """Return why there are no byte counts."""
        return "some channels were chosen, while stored tiles may hold all"

    def __reduce__(self) -> tuple[Any, ...]:
        return ChannelView, (self._slide, self._kept)


class PlaneView(View):
    """Some planes of a slide in the order given, numbered anew."""

    def __init__(self, slide: Slide, planes: Sequence[int]) -> None:
        super().__init__(slide)
        for index in planes:
            slide._check(0, index)
        if not planes:
            raise OptionError(f"{slide.name}: no plane chosen; it has planes 0 to {len(slide.planes) - 1}")
        self._kept = tuple(planes)
        self.planes = tuple(Plane(index, slide.planes[kept].z_um) for index, kept in enumerate(self._kept))

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        return self._slide.read_tile(level, self._kept[plane], column, row)

    def one_channel(self, channel: int | str) -> Slide:
        """Return these planes of a channel of the slide behind."""
        return PlaneView(self._slide.one_channel(channel), self._kept)

    def _of_channels(self, channels: Sequence[int]) -> Slide:
        return PlaneView(self._slide.view(channels=channels), self._kept)

    def encoding(self, level: int, plane: int) -> Encoding | None:
        """Return what the slide behind says."""
        return self._slide.encoding(level, self._kept[plane])

    def encoded_tile(self, level: int, plane: int, column: int, row: int) -> EncodedTile | None:
        """Return what the slide behind holds."""
        return self._slide.encoded_tile(level, self._kept[plane], column, row)

    def encoded_sizes(self, level: int) -> NDArray[np.int64] | None:
        """Return the sizes of the planes that were kept."""
        sizes = self._slide.encoded_sizes(level)
        return None if sizes is None else sizes[list(self._kept)]

    def encoded_row(self, level: int, row: int, planes: NDArray[np.int16]) -> list[EncodedTile | None]:
        """Return what the slide behind holds."""
        kept = np.array([*self._kept, -1], np.int16)
        return self._slide.encoded_row(level, row, kept[planes])

    def sizes_refusal(self, level: int) -> str | None:
        """Return what the slide behind says."""
        return self._slide.sizes_refusal(level)

    def __reduce__(self) -> tuple[Any, ...]:
        return PlaneView, (self._slide, self._kept)


class RegionView(View):
    """A rectangle of a slide, and the pyramid from one of its levels down.

    Parameters
    ----------
    slide : Slide
        The whole.
    level : int
        The level of `slide` that becomes full size.
    region : Box or None
        In level-0 pixels of `slide`; None for all of it.

    The tile grid is the slide's own where the region starts on it, so that tiles are read once, not cut from four.
    """

    def __init__(self, slide: Slide, level: int = 0, region: Box | None = None) -> None:
        super().__init__(slide)
        slide._check(level, 0)
        full = slide.levels[0]
        region = region or Box(0, 0, full.width, full.height)
        x, y, width, height = region
        if min(x, y) < 0 or min(width, height) < 1 or x + width > full.width or y + height > full.height:
            raise OptionError(
                f"{slide.name}: region {x},{y},{width},{height} is not inside the slide, "
                f"which is {full.width} × {full.height} px"
            )
        self._level, self._region = level, region
        self._boxes = [_scaled(region, level) for level in slide.levels[level:]]
        base = self._boxes[0]
        self.levels = tuple(
            replace(level, width=b.width, height=b.height, downsample_x=base.width / b.width,
                    downsample_y=base.height / b.height)
            for level, b in zip(slide.levels[level:], self._boxes, strict=True)
        )  # fmt: skip
        scale = slide.levels[level]
        meta = slide.metadata
        self.metadata = replace(
            meta,
            mpp_x=meta.mpp_x and meta.mpp_x * scale.downsample_x,
            mpp_y=meta.mpp_y and meta.mpp_y * scale.downsample_y,
            objective_power=meta.objective_power and meta.objective_power / scale.downsample_x,
        )

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        tile, origin = self.levels[level].tile_box(column, row), self._boxes[level]
        return self._slide.read_region(
            level + self._level, plane, origin.x + tile.x, origin.y + tile.y, tile.width, tile.height
        )

    def one_channel(self, channel: int | str) -> Slide:
        """Return this region of a channel of the slide behind."""
        return RegionView(self._slide.one_channel(channel), self._level, self._region)

    def _of_channels(self, channels: Sequence[int]) -> Slide:
        return RegionView(self._slide.view(channels=channels), self._level, self._region)

    def encoding(self, level: int, plane: int) -> Encoding | None:
        """Return what the slide behind says."""
        return self._slide.encoding(level + self._level, plane)

    def encoded_tile(self, level: int, plane: int, column: int, row: int) -> EncodedTile | None:
        """Return what the slide behind holds, where the region starts on its grid."""
        first = self._first_tile(level)
        if first is None:
            return None
        return self._slide.encoded_tile(level + self._level, plane, column + first[0], row + first[1])

    def encoded_sizes(self, level: int) -> NDArray[np.int64] | None:
        """Return the sizes of the tiles of the region, where it starts on the grid of the slide behind."""
        first, sizes = self._first_tile(level), self._slide.encoded_sizes(level + self._level)
        if first is None or sizes is None:
            return None
        grid = self.levels[level]
        return sizes[:, first[1] : first[1] + grid.rows, first[0] : first[0] + grid.columns]

    def sizes_refusal(self, level: int) -> str | None:
        """Return why there are no byte counts, None where there are."""
        if self._first_tile(level) is None:
            return "the region does not start on the grid of the slide's tiles"
        return self._slide.sizes_refusal(level + self._level)

    def _first_tile(self, level: int) -> tuple[int, int] | None:
        """Return column and row of the region's first tile in the slide behind, None where it starts inside of one."""
        origin, grid = self._boxes[level], self.levels[level]
        on_grid = origin.x % grid.tile_width == 0 and origin.y % grid.tile_height == 0
        return (origin.x // grid.tile_width, origin.y // grid.tile_height) if on_grid else None

    def __reduce__(self) -> tuple[Any, ...]:
        return RegionView, (self._slide, self._level, self._region)


def _scaled(box: Box, level: Level) -> Box:
    """Return a level-0 box in level pixels, at least one pixel and inside the level."""
    left, top = int(box.x / level.downsample_x), int(box.y / level.downsample_y)
    right = min(max(left + 1, round((box.x + box.width) / level.downsample_x)), level.width)
    bottom = min(max(top + 1, round((box.y + box.height) / level.downsample_y)), level.height)
    return Box(min(left, right - 1), min(top, bottom - 1), max(1, right - left), max(1, bottom - top))
