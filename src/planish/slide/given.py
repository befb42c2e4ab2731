"""`open_stack`: a stack, or one image per plane in the order given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from planish.slide.base import Slide
from planish.slide.images import sort_by_z
from planish.slide.open import open_slide
from planish.slide.views import PlaneView


def open_stack(images: Sequence[Path]) -> Slide:
    """Open the stack that one file or folder holds, or one image per plane, lowest first.

    Raises
    ------
    PlanishError
        As `planish.slide.open.open_slide` does.
    """
    slide = open_slide(images[0] if len(images) == 1 else images)
    return slide if len(images) == 1 else GivenOrder(slide, images)


class GivenOrder(PlaneView):
    """A list of images in the order given, which readers sort by name.

    Parameters
    ----------
    slide : Slide
        The images, sorted.
    images : sequence of Path
        The same in their order.
    """

    def __init__(self, slide: Slide, images: Sequence[Path]) -> None:
        by_name, _ = sort_by_z(list(images))
        super().__init__(slide, [by_name.index(image) for image in images])
        self._images = images
        if list(images) != by_name:
            note = "planes are in the order given; their names sort otherwise"
            self.metadata = replace(self.metadata, notes=(*self.metadata.notes, note))

    def __reduce__(self) -> tuple[Any, ...]:
        return GivenOrder, (self._slide, self._images)
