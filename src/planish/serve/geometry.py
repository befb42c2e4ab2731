"""Where tiles and regions lie: DZI levels, XYZ zooms and the levels that a slide has. Arithmetic, nothing is read.

Frames: *DZI level* 0 is 1 × 1 px, the last is full size; *step* counts the same from above, 0 = full size, each half of
the one before, rounded up. A *rung* is what there is to read at a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from planish.model import Box, Level
from planish.serve.wanted import Refused
from planish.write.levels import LevelPlan

DEFAULT_TILE = 256
LEAST_TILE, MOST_TILE = 128, 512
"""px: square tiles of the slide between these are served as they are."""
LARGEST_OUTPUT = 4096
"""px: longest side of a region's picture."""
MOST_HELD = 64 << 20
"""Pixels of a level that a region may be made of; they are held at once."""
MOST_DECODED = 512 << 20
"""Pixels of the slide that one answer may need where levels are missing; some seconds of decoding."""
SLOWER = {"jpeg2000": 10}
"""How much longer than for JPEG that takes, by codec."""


class TilePlace(NamedTuple):
    """A DZI tile."""

    level: int
    column: int
    row: int


@dataclass(frozen=True, slots=True)
class Grid:
    """A slide as Deep Zoom cuts it: tiles without overlap, those at the right and lower edge smaller.

    Attributes
    ----------
    width, height : int
        Full size, px.
    tile : int
        Edge of a tile, px.
    """

    width: int
    height: int
    tile: int

    @classmethod
    def of(cls, plan: LevelPlan) -> Grid:
        """Return the grid whose tiles are most often those of a plan: `planish flatten` writes its tiles by it."""
        full = plan.levels[0]
        fits = full.tile_width == full.tile_height and LEAST_TILE <= full.tile_width <= MOST_TILE
        return cls(full.width, full.height, full.tile_width if fits else DEFAULT_TILE)

    @property
    def last(self) -> int:
        """The DZI level of full size."""
        return (max(self.width, self.height) - 1).bit_length()

    @property
    def levels(self) -> int:
        """Number of DZI levels."""
        return self.last + 1

    @property
    def lowest_tiled(self) -> int:
        """The DZI level that XYZ calls zoom 0: the largest that always fits into a tile."""
        return min(self.last, self.tile.bit_length() - 1)

    def step(self, level: int) -> int:
        """Return how often full size is halved to a DZI level."""
        if not 0 <= level <= self.last:
            raise Refused("range", f"level {level} is not there; the slide has levels 0 to {self.last}")
        return self.last - level

    def size(self, level: int) -> tuple[int, int]:
        """Return width and height of a DZI level."""
        step = self.step(level)
        return -(-self.width >> step), -(-self.height >> step)

    def tiles(self, level: int) -> tuple[int, int]:
        """Return columns and rows of a DZI level."""
        width, height = self.size(level)
        return -(-width // self.tile), -(-height // self.tile)

    def tile_box(self, level: int, column: int, row: int) -> Box:
        """Return the box of a tile in the pixels of its level.

        Raises
        ------
        Refused
            Where there is no such tile.
        """
        width, height = self.size(level)
        x, y = column * self.tile, row * self.tile
        if not (0 <= x < width and 0 <= y < height):
            columns, rows = self.tiles(level)
            detail = f"tile ({column}, {row}) is not there; level {level} has {columns} columns and {rows} rows"
            raise Refused("range", detail)
        return Box(x, y, min(self.tile, width - x), min(self.tile, height - y))

    def level_of_zoom(self, zoom: int) -> int:
        """Return the DZI level of an XYZ zoom.

        Raises
        ------
        Refused
            Where there is no such zoom.
        """
        level = self.lowest_tiled + zoom
        if zoom < 0 or level > self.last:
            raise Refused(
                "range", f"zoom {zoom} is not there; the slide has zooms 0 to {self.last - self.lowest_tiled}"
            )
        return level

    def check_region(self, region: Box) -> None:
        """Raise Refused unless a box in level-0 pixels lies inside the slide."""
        x, y, width, height = region
        if min(x, y) < 0 or min(width, height) < 1 or x + width > self.width or y + height > self.height:
            detail = (
                f"region {x},{y},{width},{height} is not inside the slide, which is {self.width} × {self.height} px"
            )
            raise Refused("range", detail)

    def scaled(self, region: Box, level: int) -> Box:
        """Return a box in level-0 pixels in those of a DZI level, rounded, at least one pixel and inside of it."""
        step = self.step(level)
        left, right = _rounded(region.x, region.x + region.width, step, self.width)
        top, bottom = _rounded(region.y, region.y + region.height, step, self.height)
        return Box(left, top, right - left, bottom - top)

    def level_for(self, region: Box, out_width: int, out_height: int) -> int:
        """Return the coarsest DZI level that has no fewer pixels in a region than its picture, nor too many to hold.

        Raises
        ------
        Refused
            Where the region is not inside the slide, or the picture has no size, or too large a one.
        """
        self.check_region(region)
        if min(out_width, out_height) < 1:
            raise Refused("range", f"a picture of {out_width} × {out_height} px has no pixels; ask for at least 1 × 1")
        if max(out_width, out_height) > LARGEST_OUTPUT:
            detail = f"{out_width} × {out_height} px are too many; at most {LARGEST_OUTPUT} × {LARGEST_OUTPUT} are made"
            raise Refused("too large", detail)
        boxes = [self.scaled(region, level) for level in range(self.levels)]
        enough = [level for level, box in enumerate(boxes) if box.width >= out_width and box.height >= out_height]
        held = [level for level, box in enumerate(boxes) if _area(box) <= MOST_HELD]
        return min(min(enough, default=self.last), held[-1])

    def tile_of(self, region: Box, out_width: int, out_height: int) -> TilePlace | None:
        """Return the tile that a region's picture is, None where it is none."""
        if min(out_width, out_height) < 1:
            return None
        # Sizes are rounded up, so the ratio of a tile cropped to a few pixels says little; its other side's may.
        for ratio in {-(-region.width // out_width), -(-region.height // out_height)}:
            step = (ratio - 1).bit_length()
            side = self.tile << step
            if step > self.last or region.x % side or region.y % side:
                continue
            place = TilePlace(self.last - step, region.x // side, region.y // side)
            box = self.tile_box(*place)
            inside = min(side, self.width - region.x), min(side, self.height - region.y)
            if (region.width, region.height) == inside and (out_width, out_height) == (box.width, box.height):
                return place
        return None


@dataclass(frozen=True, slots=True)
class Rung:
    """What there is to read at a step.

    Attributes
    ----------
    width, height : int
        In pixels; up to one more or less than the DZI level's, as scanners round levels in their own ways.
    source : int or None
        Level of the slide; None where the rung is the half of the one before.
    """

    width: int
    height: int
    source: int | None


def rungs(levels: Sequence[Level], plan: LevelPlan, grid: Grid) -> tuple[Rung, ...]:
    """Return what there is to read at every step.

    Parameters
    ----------
    levels : sequence of Level
        Those of the slide.
    plan : LevelPlan
        Says which of them are taken: those that `planish flatten` takes.
    grid : Grid
        Levels that differ from it by more than a pixel are left out; they would not lie over the others.
    """
    natives = {segment.first: segment.source for segment in plan.segments}
    found = [Rung(grid.width, grid.height, 0)]
    for step in range(1, grid.levels):
        width, height = grid.size(grid.last - step)
        source = natives.get(step)
        if source is not None and _near(levels[source], width, height):
            found.append(Rung(levels[source].width, levels[source].height, source))
        else:
            found.append(Rung(-(-found[-1].width // 2), -(-found[-1].height // 2), None))
    return tuple(found)


def check_cost(ladder: Sequence[Rung], step: int, box: Box, slower: int = 1) -> None:
    """Raise Refused where a box needs more pixels of the slide than one answer may; fewer where they are `SLOWER`."""
    above = next(index for index in range(step, -1, -1) if ladder[index].source is not None)
    pixels = _area(box) << 2 * (step - above)
    most = MOST_DECODED // slower
    if pixels > most:
        detail = (
            f"the slide lacks small levels, so {pixels >> 20:,} Mpx would have to be decoded; at most "
            f"{most >> 20:,} are: ask for less, or write the slide with a pyramid"
        )
        raise Refused("too large", detail)


def _near(level: Level, width: int, height: int) -> bool:
    return abs(level.width - width) <= 1 and abs(level.height - height) <= 1


def _rounded(start: int, stop: int, step: int, length: int) -> tuple[int, int]:
    """Return where a span begins and ends after so many halvings; to the very end of the level where it did so."""
    half, limit = 1 << step >> 1, -(-length >> step)
    left = min(start + half >> step, limit - 1)
    return left, limit if stop == length else min(limit, max(left + 1, stop + half >> step))


def _area(box: Box) -> int:
    return box.width * box.height
