"""`every_row`: all tiles of an output as they are made, row by row, in threads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from planish.threads import Progress, in_threads
from planish.write.pyramid import Ladder
from planish.write.tiles import INNER, Row, TileSource, band_rows


def every_row(source: TileSource, jobs: int, progress: Progress | None) -> Iterator[Row]:
    """Yield the rows of tiles of all levels; those of one level come in order, levels between each other.

    Parameters
    ----------
    source : TileSource
        Where the tiles come from.
    jobs : int
        Threads.
    progress : callable
        Called with ("writing", done, total) in rows of tiles.
    """
    plan = source.plan
    done, total = 0, sum(plan.levels[segment.first].rows for segment in plan.segments)
    for segment in plan.segments:
        rows = plan.levels[segment.first].rows
        outer = _OuterLevels(source, segment.first + INNER, segment.stop)
        step = band_rows(segment)
        starts = range(0, rows, step)
        with in_threads(source.band, ((segment, start) for start in starts), jobs, ordered=True) as bands:
            for start, (finished, rest) in zip(starts, bands, strict=True):
                yield from finished
                yield from outer.rows(rest, end=start + step >= rows)
                if progress:
                    progress("writing", done + min(start + step, rows), total)
        done += rows


class _OuterLevels:
    """The levels of a segment above those that a band fills by itself."""

    def __init__(self, source: TileSource, first: int, stop: int) -> None:
        self._source, self._first, self._served = source, first, first < stop
        self._ladder = Ladder(first, [level.tile_height for level in source.plan.levels[first:stop]])

    def rows(self, rest: list[NDArray[np.generic]], *, end: bool) -> Iterator[Row]:
        """Encode what became whole by what bands left over."""
        for index, band in enumerate(rest if self._served else []):
            for level, row in self._ladder.push(self._first, band, end=end and index == len(rest) - 1):
                yield self._source.encode_row(level, row)
