"""One mask per view for all time points: the union of theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import SlideError
from planish.lightsheet.mask import Foreground
from planish.lightsheet.names import Look

View = tuple[int, int, int]
"""Specimen, camera and channel."""


class GlobalMasks:
    """Unions of masks by view, one bit per voxel in memory."""

    def __init__(self) -> None:
        self._packed: dict[View, tuple[NDArray[np.uint8], tuple[int, ...]]] = {}

    def __contains__(self, look: Look) -> bool:
        return _view(look) in self._packed

    def add(self, look: Look, mask: NDArray[np.bool_]) -> None:
        """Take a time point's mask in.

        Raises
        ------
        SlideError
            Where it is of another size than those before.
        """
        packed = np.packbits(mask)
        before, shape = self._packed.get(_view(look), (packed, mask.shape))
        _check(look, mask.shape, shape)
        self._packed[_view(look)] = before | packed, shape

    def of(self, look: Look, wanted: tuple[int, ...]) -> Foreground:
        """Return the mask of a look's view; SlideError where the look is of another size."""
        packed, shape = self._packed[_view(look)]
        _check(look, wanted, shape)
        mask: Any = np.unpackbits(packed, count=int(np.prod(shape))).reshape(shape)
        return Foreground.of(mask.view(bool))


def _view(look: Look) -> View:
    return look.specimen, look.camera, look.channel


def _check(look: Look, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if found != wanted:
        raise SlideError(
            f"{look.stem}: is {found}, and other time points of its view {wanted}; a global mask is of one size: crop "
            "them alike"
        )
