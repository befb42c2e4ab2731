"""`ImageSlide`: a fused image as a slide, to be written like one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.fuse.fused import shared_encoding
from planish.model import Encoding, Level, Plane
from planish.slide.base import Slide

_TILE = 256


class ImageSlide(Slide):
    """An image in place of the stack that it was made of.

    Parameters
    ----------
    stack : Slide
        Says what is known of the image; its pixels are not read.
    image : ndarray, (Y, X, C)
        The pixels.
    """

    def __init__(self, stack: Slide, image: NDArray[Any]) -> None:
        super().__init__(stack.source)
        self.stack, self._image = stack, image
        self.levels, self.planes = (Level(image.shape[1], image.shape[0], _TILE, _TILE),), (Plane(0),)
        self.dtype, self.channels = image.dtype, stack.channels
        self.metadata = replace(stack.metadata, notes=())

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        x, y, width, height = self.levels[0].tile_box(column, row)
        return np.array(self._image[y : y + height, x : x + width])

    def encoding(self, level: int, plane: int) -> Encoding | None:
        """Return the encoding that the planes share: see `shared_encoding`. No tile is handed out compressed."""
        return shared_encoding(self.stack, level)

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageSlide, (self.stack, self._image)
