"""Whether copied tiles bring text with them: a JPEG may hold comments, which no copy of its bytes leaves out."""

from __future__ import annotations

import numpy as np

from planish.jpeg import has_text
from planish.slide.base import Slide

COPIED_TEXT = (
    "copied tiles hold comments or application data of the scanner, which may name a patient; --write encode leaves "
    "them out"
)


def carries_text(slide: Slide) -> bool:
    """Whether JPEG tiles that a slide hands out hold text; the first of each level, a row of them, are looked at."""
    for level, grid in enumerate(slide.levels):
        encoding, wanted = slide.encoding(level, 0), np.zeros(grid.columns, np.int16)
        if encoding is None or encoding.codec != "jpeg":
            continue
        rows = (slide.encoded_row(level, row, wanted) for row in range(grid.rows))
        tiles = next((found for row in rows if (found := [tile for tile in row if tile is not None])), [])
        if any(has_text(tile.whole) for tile in tiles):
            return True
    return False
