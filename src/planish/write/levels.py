"""Which levels an output has, and from which level of the slide each of them comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from planish.errors import OptionError
from planish.model import Level
from planish.slide.base import Slide

DEFAULT_TILE = 256
MIN_TILE, MAX_TILE = 64, 1024
"""px: storage tiles between these keep their size, so that they can be copied; NDPI's may be wider."""
WIDEST_TILE = 8192
_NEAR = 0.01
"""A level of the slide is taken for ÷2ⁿ where its downsample is within this share of it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A level that the slide has, and those halved from it.

    Attributes
    ----------
    source : int
        Level of the slide.
    first, stop : int
        Levels of the output: the same one, and the one after the last that is halved from it.
    """

    source: int
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class LevelPlan:
    """All levels of an output, and the segments that they fall into."""

    levels: tuple[Level, ...]
    segments: tuple[Segment, ...]

    def segment_of(self, level: int) -> Segment:
        """Return the segment that a level of the output belongs to."""
        return next(segment for segment in self.segments if segment.first <= level < segment.stop)


def plan_levels(slide: Slide, which: str = "all", multiple: int = 16) -> LevelPlan:
    """Plan the pyramid of an output.

    Parameters
    ----------
    slide : Slide
        What will be written.
    which : str
        ``"all"``: ÷2 levels down to a single tile, those that the slide has taken from it, the others halved;
        ``"source"``: the slide's own levels.
    multiple : int
        What the sides of stored tiles must be a multiple of, in px: 16 for TIFF.
    """
    if which not in ("all", "source"):
        raise OptionError(f"levels are all or source, not {which!r}")
    levels, sources = [_native(slide, 0, multiple)], [0]
    if which == "source":
        sources = list(range(len(slide.levels)))
        levels = [_native(slide, source, multiple) for source in sources]
        return LevelPlan(tuple(levels), tuple(Segment(s, s, s + 1) for s in sources))
    firsts = [0]
    while levels[-1].width > _side(levels[-1].tile_width) or levels[-1].height > _side(levels[-1].tile_height):
        source = _at(slide.levels, 2 ** len(levels))
        if source is not None:
            firsts.append(len(levels))
            sources.append(source)
        levels.append(_halved(levels[0], levels[-1], multiple) if source is None else _native(slide, source, multiple))
    stops = [*firsts[1:], len(levels)]
    segments = tuple(Segment(*each) for each in zip(sources, firsts, stops, strict=True))
    return LevelPlan(tuple(levels), segments)


def _side(tile: int) -> int:
    return min(tile, DEFAULT_TILE)


def _at(levels: Sequence[Level], downsample: int) -> int | None:
    """Return the slide's level of about that downsample, if it has one."""
    for index, level in enumerate(levels):
        if abs(max(level.downsample_x, level.downsample_y) / downsample - 1) < _NEAR:
            return index
    return None


def _native(slide: Slide, source: int, multiple: int) -> Level:
    """Return a level of the slide with its own tiles where the output can have such, and they are not too small."""
    level = slide.levels[source]
    fits = (
        level.tile_width % multiple == 0
        and level.tile_height % multiple == 0
        and MIN_TILE <= level.tile_height <= MAX_TILE
        and MIN_TILE <= level.tile_width <= WIDEST_TILE
    )
    tile = (level.tile_width, level.tile_height) if fits else (DEFAULT_TILE, DEFAULT_TILE)
    return Level(level.width, level.height, *tile, level.downsample_x, level.downsample_y)


def _halved(full: Level, above: Level, multiple: int) -> Level:
    width, height = -(-above.width // 2), -(-above.height // 2)
    tile_width, tile_height = (
        side if 128 <= side <= 512 and side % multiple == 0 else DEFAULT_TILE
        for side in (above.tile_width, above.tile_height)
    )
    if above.tile_height % tile_height:
        # Rows are halved in bands of whole tiles, which must come out as whole tiles again.
        tile_height = above.tile_height
    return Level(width, height, tile_width, tile_height, full.width / width, full.height / height)
